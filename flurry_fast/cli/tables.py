"""flurry-fast tables create|check|drop: the HBase tables of a store."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.table import Table

from flurry_fast.cli.operating import consent, consent_options, counted, when
from flurry_fast.config.hbase import parse_hbase
from flurry_fast.config.model import Settings
from flurry_fast.config.options import settings_options
from flurry_fast.errors import ConfigError, ConfigProblem
from flurry_fast.kafka import Cluster, TopicMissing
from flurry_fast.months import ends_at, following, month_of, note_dropped, table_of, was_dropped
from flurry_fast.operations.log import KafkaLog
from flurry_fast.operations.months import DropRefused, Horizon, horizon
from flurry_fast.registry import Registry
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.inspection import inspect
from flurry_fast.stores.hbase.splits import create_split, hbase_command
from flurry_fast.stores.hbase.tables import COMPRESSIONS, FOREVER, Attributes

TOPICS = b"topic|"
AHEAD = 2


class Month(click.ParamType[dt.date]):
    """2013-11 or 201311, as its first day."""

    name = "month"

    def convert(self, value: str | dt.date, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        for form in ("%Y-%m", "%Y%m"):
            try:
                return dt.datetime.strptime(value, form).replace(tzinfo=dt.UTC).date()
            except ValueError:
                continue
        return self.fail(f"{value!r} is not a month like 2013-11", param, ctx)


@click.group()
def command() -> None:
    """Make the HBase tables of months ahead of need, check them, drop old ones."""


@contextmanager
def _opened(settings: Settings, *, create: bool = False, compression: str = "NONE") -> Iterator[HBaseStore]:
    kind = settings.counters.store.partition(":")[0]
    if kind != "hbase":
        reason = f"a {kind} store makes its tables by itself, there is nothing to create, check or drop"
        raise ConfigError([ConfigProblem("settings", "counters.store", reason)])
    address = parse_hbase(settings.counters.store)
    store = HBaseStore(address, timeout=settings.counters.write_timeout, create=create, compression=compression)
    try:
        yield store
    finally:
        store.close()


# --- create ----------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("months", metavar="[MONTH]...", type=Month(), nargs=-1)
@click.option(
    "--ahead", type=click.IntRange(min=0, max=24), metavar="N",
    help=f"This month and the N that follow.  [default: {AHEAD}, if no MONTH is named]",
)  # fmt: skip
@click.option(
    "--compression", type=click.Choice(COMPRESSIONS, case_sensitive=False), default="NONE", show_default=True,
    help="Of the tables' files; the region servers must have it.",
)  # fmt: skip
@click.option(
    "--splits", type=click.IntRange(min=2, max=256), metavar="N", help="Make each with N regions, by HBase's own tool."
)
@click.option(
    "--hbase", metavar="COMMAND", help="The `hbase` command for --splits.  [default: HBASE_HOME's, or PATH's]"
)
@settings_options
def create(
    settings: Settings,
    months: tuple[dt.date, ...],
    ahead: int | None,
    compression: str,
    splits: int | None,
    hbase: str | None,
) -> None:
    """Make the control table and the tables of MONTHs (2013-11), unless they are there.

    A consumer makes what it misses, but waits for it. Regions are shared by the first byte of the row, a hash of the
    app; one region is best while there is one region server.
    """
    if splits is not None and compression != "NONE":
        raise click.UsageError("--splits makes tables without compression: alter them in the HBase shell.")
    tool = hbase_command(hbase) if splits is not None else []
    if ahead is None and not months:
        ahead = AHEAD
    today = dt.datetime.now(dt.UTC).date()
    wanted = {*months, *(following(today, count) for count in range(ahead + 1 if ahead is not None else 0))}
    with _opened(settings, create=True, compression=compression.upper()) as store:
        for table in sorted({table_of(month) for month in wanted}):
            name = store.admin.full_name(table)
            if was_dropped(store, table):
                click.echo(f"{name.decode()} was dropped: it is not made again.", err=True)
            elif store.admin.fit(table):
                click.echo(f"{name.decode()} is there.")
            else:
                if splits is not None:
                    create_split(tool, name, splits)
                store.admin.ensure(table)
                click.echo(f"{name.decode()} made{f', {splits} regions' if splits is not None else ''}.")


# --- check -----------------------------------------------------------------------------------------------------------


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a table.")
@settings_options
@click.pass_context
def check(ctx: click.Context, settings: Settings, as_json: bool) -> None:
    """Hold every table against what exactness and speed need; write and read a cell as counters are.

    Ends with status 1 where counters would not stay exact: a consumer refuses to start there, too.
    """
    with _opened(settings) as store:
        found = inspect(store)
    if as_json:
        for item in found.tables:
            verdict = {"breaking": item.breaking(), "wasteful": item.wasteful()}
            click.echo(json.dumps(dataclasses.asdict(item) | verdict))
    else:
        _print(found.tables)
        for table, reason in found.wasteful:
            click.echo(f"It costs: {table}: {reason}", err=True)
        if found.missing:
            click.echo(f"Not there yet: {', '.join(found.missing)} (flurry-fast tables create).", err=True)
        if found.dropped:
            click.echo(f"Dropped: {', '.join(found.dropped)}.", err=True)
    for table, reason in found.breaking:
        click.echo(f"Counters would be wrong: {table}: {reason}", err=True)
    if found.breaking:
        ctx.exit(1)
    if not as_json:
        click.echo(
            f"Fit: {counted(len(found.tables), 'table')}, and a cell put at a timestamp came back as it was put."
        )


def _print(found: list[Attributes]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=1000)
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("table", "regions", "versions", "ttl", "bloom", "cache", "compression"):
        shown.add_column(name, justify="right" if name in ("regions", "versions", "ttl") else "left")
    for item in found:
        ttl = "forever" if item.ttl == FOREVER else f"{item.ttl} s"
        cache = "on" if item.cache else "off"
        shown.add_row(
            item.table, str(item.regions), str(item.versions), ttl, item.bloom.lower(), cache, item.compression.lower()
        )
    console.print(shown)


# --- drop ------------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("months", metavar="MONTH...", type=Month(), nargs=-1, required=True)
@consent_options
@settings_options
def drop(settings: Settings, months: tuple[dt.date, ...], dry_run: bool, yes: bool) -> None:
    """Delete the counters of whole MONTHs (2013-11), for ever.

    Refused while a report that is still to be counted could count in one of them: the oldest unread record of every
    topic of the store decides, less the plans' time.max_age_ms and a day. The archive keeps its records, and the audit
    passes by what was dropped.
    """
    with _opened(settings) as store:
        tables = [table_of(month) for month in sorted(set(months))]
        there = set(store.tables())
        found = [table for table in tables if table in there or was_dropped(store, table)]
        for table in sorted(set(tables) - set(found)):
            click.echo(f"There is no table {store.admin.full_name(table).decode()}.", err=True)
        if not found:
            return
        limit = _horizon(settings, store)
        for table in found:
            month = month_of(table)
            if month is None or ends_at(month) > limit.at_ms:
                raise DropRefused(
                    f"Reports may still count in {store.admin.full_name(table).decode()}: {limit.why}, and sessions"
                    f" may count from {when(limit.at_ms)} (UTC) on.",
                    way_out="Nothing was dropped; name months that ended before that.",
                )
        names = ", ".join(store.admin.full_name(table).decode() for table in found)
        if dry_run:
            click.echo(f"Would drop {names}.")
            return
        consent(f"Delete {names}, with every counter in them?", yes=yes)
        for table in found:
            note_dropped(store, table)
            store.admin.drop(table)
    click.echo(f"Dropped {names}.")


def _horizon(settings: Settings, store: HBaseStore) -> Horizon:
    """The lowest over all topics that the store counts. A topic that Kafka does not have any more brings nothing."""
    found: list[Horizon] = []
    for row in store.control_rows(TOPICS):
        topic = row.removeprefix(TOPICS).decode()
        kafka = settings.kafka.model_copy(update={"topic": topic})
        cluster = Cluster(kafka)
        try:
            cluster.describe()
        except TopicMissing:
            click.echo(f"Topic {topic} does not exist any more.", err=True)
            continue
        with KafkaLog(kafka) as log:
            found.append(horizon(store, Registry(store, topic, cluster.incarnation), topic, log))
    if not found:
        raise DropRefused("None of the topics that this store counts is in Kafka: whose reports may come is not known.")
    return min(found, key=lambda item: item.at_ms)
