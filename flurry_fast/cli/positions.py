"""flurry-fast positions show|reset|fence: where the sinks stand, and the two ways to move that."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from flurry_fast.broker import BrokerNotRunning
from flurry_fast.cli.operating import chains, consent, consent_options, counted, desk, opened, partition_option
from flurry_fast.cli.output import parse_when
from flurry_fast.config.model import Settings
from flurry_fast.config.options import settings_options
from flurry_fast.config.units import parse_duration
from flurry_fast.consumer.frontier import commit_metadata
from flurry_fast.kafka import Cluster, KafkaUnavailable, TopicMissing
from flurry_fast.operations import reset as resets
from flurry_fast.operations.log import KafkaLog
from flurry_fast.operations.standing import Commit, PartitionStanding, survey
from flurry_fast.registry import Registry
from flurry_fast.stores.base import CellStore

NO_BROKER = (KafkaUnavailable, TopicMissing, BrokerNotRunning)


@click.group()
def command() -> None:
    """Where every sink stands; reset the counters to a lower position; fence a restored store."""


# --- show ----------------------------------------------------------------------------------------------------------


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a partition, with all that is known.")
@click.option("--all", "everything", is_flag=True, help="Closed plans and older incarnations of the topic, too.")
@click.option("--offline", is_flag=True, help="Ask no broker.")
@partition_option
@settings_options
def show(settings: Settings, as_json: bool, everything: bool, offline: bool, partitions: tuple[int, ...]) -> None:
    """Print each partition's positions, commit, lag, and what a restart would read again.

    The sinks' own positions are the truth; Kafka's commit is a hint for lag tools. Works without a broker, too.
    """
    with opened(settings) as store:
        look = partial(survey, everything=everything, partitions=partitions or None)
        missing = "no broker was asked" if offline else None
        found: list[PartitionStanding] = []
        if not offline:
            try:
                found = _with_broker(settings, store, look)
            except NO_BROKER as error:
                missing = error.message.rstrip(".")
        registry = Registry(store, settings.kafka.topic, _no_broker)
        if missing is not None:
            found = look(store, registry, chains(settings))
        state = registry.state()
    if as_json:
        for item in found:
            click.echo(json.dumps(_as_object(item)))
    else:
        _print(found)
    if state is not None and state.closing is not None:
        click.echo(f"The topic is being switched from plan {state.plan:08x} to {state.closing:08x}.", err=True)
    if missing is not None:
        click.echo(
            f"Not known ({missing}): the log's start and end, the lag, the group's commit, and whether the topic is"
            " still the same.",
            err=True,
        )


def _no_broker() -> int:
    raise NotImplementedError("nothing is asked of a broker here")


def _with_broker(
    settings: Settings, store: CellStore, look: Callable[..., list[PartitionStanding]]
) -> list[PartitionStanding]:
    cluster = Cluster(settings.kafka)
    identity = cluster.describe()
    registry = Registry(store, settings.kafka.topic, cluster.incarnation)
    ours = commit_metadata(identity.incarnation, store.store_id)
    with KafkaLog(settings.kafka) as log:
        committed = log.committed(range(identity.partitions))
        commits = {number: Commit(offset, text == ours) for number, (offset, text) in committed.items()}
        return look(store, registry, chains(settings), incarnation=identity.incarnation, log=log, commits=commits)


def _as_object(item: PartitionStanding) -> dict[str, Any]:
    counters, archive = (None if at is None else dataclasses.asdict(at) for at in (item.counters, item.archive))
    return {
        "partition": item.partition,
        "incarnation": f"{item.incarnation:08x}",
        "plan": f"{item.plan:08x}",
        "generation": item.generation,
        "counters": counters and counters | {"began": item.counters_began},
        "archive": archive and archive | {"began": item.archive_origin},
        "committed": None if item.commit is None else dataclasses.asdict(item.commit),
        "log": None if item.log is None else dataclasses.asdict(item.log),
        "lag": item.lag,
        "reads_from": item.reads_from,
        "read_again": item.read_again,
        "gaps": [{"start": gap.start, "end": gap.end, "reason": gap.reason} for gap in item.gaps],
        "problems": item.problems,
    }


def _print(found: list[PartitionStanding]) -> None:
    """A table for each incarnation and plan, then what is wrong."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100_000)
    for plan, incarnation in dict.fromkeys((item.plan, item.incarnation) for item in found):
        mine = [item for item in found if (item.plan, item.incarnation) == (plan, incarnation)]
        console.print(f"Plan {plan:08x}, topic incarnation {incarnation:08x}, generation {mine[0].generation}.")
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("partition", "counters", "archive", "committed", "log start", "log end", "lag", "reads from",
                     "read again", "began", "lost"):  # fmt: skip
            table.add_column(name, justify="right", no_wrap=True)
        for item in mine:
            began = item.counters_began if item.counters_began is not None else item.archive_origin
            numbers = [
                item.partition,
                item.stands.get("counters"),
                item.stands.get("archive"),
                item.commit.offset if item.commit is not None and item.commit.ours else None,
                item.log.start if item.log is not None else None,
                item.log.end if item.log is not None else None,
                item.lag,
                item.reads_from,
                item.read_again,
                began,
                sum(gap.end - gap.start for gap in item.gaps),
            ]
            table.add_row(*("" if number is None else f"{number:,}" for number in numbers))
        console.print(table)
    for item in found:
        for problem in item.problems:
            click.echo(f"partition {item.partition}: {problem}.")
        if item.commit is not None and not item.commit.ours:
            click.echo(
                f"partition {item.partition}: the group's commit ({item.commit.offset:,}) is of another store or topic"
                " and is ignored."
            )


# --- reset ---------------------------------------------------------------------------------------------------------


def _duration(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    assert isinstance(seconds, float)
    return seconds


@command.command()
@click.option("--to-offset", type=click.IntRange(min=0), metavar="N", help="This offset.")
@click.option("--to-earliest", is_flag=True, help="The first record that is in the log and belongs to the plan.")
@click.option("--shift-by", type=int, metavar="-N", help="So many records down.")
@click.option(
    "--to-datetime", metavar="TIME", callback=parse_when, help="The first record of that time (UTC) or later."
)
@click.option("--by-duration", metavar="TIME", callback=_duration, help="The first record of so long ago, like 6h.")
@partition_option
@consent_options
@settings_options
def reset(
    settings: Settings,
    to_offset: int | None,
    to_earliest: bool,
    shift_by: int | None,
    to_datetime: dt.datetime | dt.date | None,
    by_duration: float | None,
    partitions: tuple[int, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Let the counters read again from a lower position; exactly one target is needed.

    No counter changes by that: every block skips what it holds already. The archive stays where it is. Refused while
    the group is at work, upwards (see `flurry-fast gap record`) and below the log's start.

    \b
    flurry-fast positions reset --shift-by -1000 --partition 3
    flurry-fast positions reset --to-datetime 2013-11-21T15:00 --dry-run
    """
    given = [to_offset is not None, to_earliest, shift_by is not None, to_datetime is not None, by_duration is not None]
    if sum(given) != 1:
        raise click.UsageError(
            "Give exactly one of --to-offset, --to-earliest, --shift-by, --to-datetime and --by-duration."
        )
    with desk(settings) as place:
        if to_offset is not None:
            target = resets.to_offset(to_offset)
        elif shift_by is not None:
            target = resets.shift_by(shift_by)
        elif to_datetime is not None:
            target = resets.to_datetime(place.log, _ms(to_datetime))
        elif by_duration is not None:
            target = resets.to_datetime(place.log, round((time.time() - by_duration) * 1000))
        else:
            target = resets.to_earliest()
        if not dry_run:
            place.refuse_if_active()
        targets = dict.fromkeys(partitions or range(place.partitions), target)
        found = resets.prepare(place.store, place.registry, place.chains, place.log, targets)
        for partition in found.kept:
            click.echo(f"partition {partition}: stands there already.")
        for move in found.moves:
            again = move.before.position - move.after.position
            click.echo(
                f"partition {move.partition}: counters from {move.before.position:,} down to {move.after.position:,};"
                f" {counted(again, 'record')} will be read again."
            )
        if dry_run or not found.moves:
            click.echo("Nothing was changed." if dry_run else "There is nothing to reset.", err=True)
            return
        consent(
            f"Reset {counted(len(found.moves), 'partition')} of topic {settings.kafka.topic}? No counter changes.",
            yes=yes,
        )
        state = resets.apply(place.store, place.registry, found)
    click.echo(f"Done: generation {state.generation} is in force. Consumers go on from there when they are started.")


def _ms(when: dt.datetime | dt.date) -> int:
    moment = when if isinstance(when, dt.datetime) else dt.datetime.combine(when, dt.time())
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    return round(moment.timestamp() * 1000)


# --- fence ---------------------------------------------------------------------------------------------------------


@command.command()
@consent_options
@settings_options
def fence(settings: Settings, dry_run: bool, yes: bool) -> None:
    """Begin a new generation of a store that was restored from a backup; positions stay as they are.

    Whatever still runs with the store as it was before finds that it is over. Needs no broker: do it on the copy,
    before it is put in its place (docs/operations.md, "Restoring").
    """
    with opened(settings) as store:
        registry = Registry(store, settings.kafka.topic, _no_broker)
        state = registry.state()
        if dry_run and state is not None:
            click.echo(f"Generation {state.generation} of {settings.counters.store} would end. Nothing was changed.")
            return
        if state is not None:
            consent(f"End generation {state.generation} of {settings.counters.store}?", yes=yes)
        after = resets.fence(store, registry)
    click.echo(f"Done: generation {after.generation} is in force. Consumers go on when they are started.")
