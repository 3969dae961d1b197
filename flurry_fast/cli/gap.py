"""flurry-fast gap record|ls: records that retention removed before they were read."""

from __future__ import annotations

import dataclasses
import json
import time

import click

from flurry_fast.cli.operating import consent, consent_options, counted, desk, opened, partition_option, when
from flurry_fast.config.model import Settings
from flurry_fast.config.options import settings_options
from flurry_fast.gaps import HOUR_MS, gaps
from flurry_fast.operations import gap
from flurry_fast.operations.gap import Loss

REASON = "retention removed them before they were read"


@click.group()
def command() -> None:
    """Record that retention removed records before they were read, and list what was recorded."""


@command.command()
@click.option("--reason", default=REASON, show_default=True, metavar="TEXT", help="What to tell whoever asks later.")
@partition_option
@consent_options
@settings_options
def record(settings: Settings, reason: str, partitions: tuple[int, ...], dry_run: bool, yes: bool) -> None:
    """Let sinks whose position retention has passed go on at the log's start, and put the loss on record.

    The records are gone; this makes it known. The archive gets a file without rows that says why; totals of the
    hours around the gap are shown as lower bounds from then on; the audit does not compare what lies behind. Refused
    while the group is at work. Does nothing where nothing is lost.
    """
    with desk(settings) as place:
        if not dry_run:
            place.refuse_if_active()
        losses = gap.prepare(
            place.store, place.registry, place.chains, place.log, lambda: round(time.time() * 1000), partitions or None
        )
        if not losses.found:
            click.echo("There is nothing to record: no position lies below its log's start.")
            return
        for loss in losses.found:
            click.echo(_describe(loss))
        if dry_run:
            click.echo("Nothing was changed.", err=True)
            return
        lost = sum(loss.log_start - _lowest(loss) for loss in losses.found)
        consent(f"Record the loss of {counted(lost, 'record')} of topic {settings.kafka.topic}?", yes=yes)
        gap.record(place.store, place.registry, place.chains, losses, reason)
    click.echo("Recorded. Consumers go on behind it when they are started.")


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a gap.")
@settings_options
def list_gaps(settings: Settings, as_json: bool) -> None:
    """List the gaps of the counters, with the hours whose totals are lower bounds."""
    with opened(settings) as store:
        found = gaps(store)
    for item in found:
        first, last = item.lost_hours
        hours = {"first_hour": _hour(first), "last_hour": _hour(last), "late_from": _hour(item.late_from)}
        if as_json:
            ids = {"incarnation": f"{item.incarnation:08x}", "plan": f"{item.plan:08x}"}
            click.echo(json.dumps(dataclasses.asdict(item) | ids | hours))
        else:
            lost = counted(item.end - item.start, "record")
            click.echo(
                f"partition {item.partition} (incarnation {item.incarnation:08x}): {lost}, {item.start:,} to"
                f" {item.end - 1:,}, lost: {item.reason}. Totals of {hours['first_hour']} to {hours['last_hour']} (UTC)"
                f" are lower bounds; late sessions may be missing from {hours['late_from']} on."
            )
    if not found and not as_json:
        click.echo("No gap of the counters is on record.", err=True)


def _lowest(loss: Loss) -> int:
    stands = [loss.archive, None if loss.counters is None else loss.counters.position]
    return min(position for position in stands if position is not None)


def _describe(loss: Loss) -> str:
    parts = []
    if loss.counters is not None:
        start = loss.counters.position
        parts.append(f"counters lose {counted(loss.log_start - start, 'record')} ({start:,} to {loss.log_start - 1:,})")
    if loss.archive is not None:
        start = loss.archive
        parts.append(f"the archive {counted(loss.log_start - start, 'record')} ({start:,} to {loss.log_start - 1:,})")
    before = None if loss.counters is None else loss.counters.max_timestamp
    times = f", received between {when(before)} and {when(loss.after)} (UTC)"
    return f"partition {loss.partition}: {'; '.join(parts)}{times}."


def _hour(bucket: int) -> str:
    return when(bucket * HOUR_MS)[:13] + "h"
