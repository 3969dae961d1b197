"""flurry-fast cell APP HOUR: the stored blocks of one hour, decoded."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import click

from flurry_fast import reading
from flurry_fast.cells import Group, StoredBlock, hours_of, stored_blocks
from flurry_fast.cli.operating import counted
from flurry_fast.cli.output import printable
from flurry_fast.cli.store import store_options
from flurry_fast.gaps import HOUR_MS, LowerBounds, gaps
from flurry_fast.stores.base import CellStore

LAST_BUCKET = 70_389_527  # of the year 9999
NEAREST = 3  # hours named on either side where there is no block


def _hour(_ctx: click.Context, _param: click.Parameter, text: str) -> int:
    """Hours since the epoch: of an ISO time, or as they are."""
    if text.isdecimal() and len(text) < 9 and int(text) <= LAST_BUCKET:
        return int(text)
    try:
        moment = dt.datetime.fromisoformat(text) if len(text) > 10 else None
    except ValueError:
        moment = None
    if moment is None:
        raise click.BadParameter(f"{text!r} is no hour like 2013-11-21T15 (UTC), or a number of hours since 1970")
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    return max(0, int(moment.timestamp() * 1000) // HOUR_MS)


def _key(_ctx: click.Context, _param: click.Parameter, text: str) -> bytes:
    key = reading.wire_key(text)
    if len(key) > 255:
        raise click.BadParameter("an API key has at most 255 bytes")
    return key


@click.command()
@click.argument("app", callback=_key)
@click.argument("bucket", metavar="HOUR", callback=_hour)
@click.option("--rollup", metavar="NAME", help="Only this rollup of the plan.")
@click.option("--partition", type=click.IntRange(min=0), metavar="N", help="Only this partition's block.")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Groups shown of a rollup.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a block, with all groups.")
@click.option("--raw", is_flag=True, help="The value's bytes, in hexadecimal, one block a line.")
@store_options
def command(
    app: bytes,
    bucket: int,
    rollup: str | None,
    partition: int | None,
    limit: int,
    as_json: bool,
    raw: bool,
    store: CellStore,
) -> None:
    """Show what is stored of APP in HOUR: each partition's block, decoded.

    HOUR is UTC, like 2013-11-21T15. APP '' has the unreadable reports. Exit status 1 where there is no block, or
    one that is damaged.

    \b
    flurry-fast cell ABCDEFGHJKLMNPQRSTUV 2013-11-21T15 --rollup country
    flurry-fast cell ABCDEFGHJKLMNPQRSTUV 2013-11-21T15 --partition 3 --raw
    """
    everything = stored_blocks(store, app, bucket)
    found = [block for block in everything if partition in (None, block.partition)]
    if rollup is not None:
        found = [_only(block, rollup) for block in found]
    recorded = gaps(store)
    for block in found:
        mine = [gap for gap in recorded if (gap.plan, gap.incarnation, gap.partition) == _column(block)]
        missing = LowerBounds(mine).of(bucket, bucket + 1)
        if raw:
            click.echo(block.value.hex())
        elif as_json:
            click.echo(json.dumps(_as_object(block, app, bucket, missing), ensure_ascii=False))
        else:
            _print(block, missing, limit)
    if not found:
        _nothing(store, app, bucket, [block.partition for block in everything])
    if not found or any(block.problem for block in found):
        raise click.exceptions.Exit(1)


def _only(block: StoredBlock, rollup: str) -> StoredBlock:
    return dataclasses.replace(block, rollups={rollup: block.rollups.get(rollup, [])})


def _column(block: StoredBlock) -> tuple[int, int, int]:
    return block.plan, block.incarnation, block.partition


def _print(block: StoredBlock, missing: str | None, limit: int) -> None:
    crc = "" if block.last_crc is None else f", whose CRC-32C is {block.last_crc:08x}"
    click.echo(
        f"partition {block.partition}, plan {block.plan:08x}, incarnation {block.incarnation:08x}: all records below"
        f" offset {block.end:,} (E); the last is {block.end - 1:,}{crc}. {counted(len(block.value), 'byte')} in"
        f" {block.table}."
    )
    if missing is not None:
        click.echo(f"  lower bound: {missing} (flurry-fast gap ls)")
    if block.problem is not None:
        click.echo(f"  damaged: {block.problem}", err=True)
    for name, groups in block.rollups.items():
        click.echo(f"  {name}: {counted(len(groups), 'group')}")
        for group in groups[:limit]:
            click.echo(f"    {_words(group)}")
        if len(groups) > limit:
            click.echo(f"    and {len(groups) - limit:,} more (--limit)")


def _words(group: Group) -> str:
    if group.dimensions is None:
        name = reading.OTHER
    else:
        name = ", ".join(f"{key}={printable(value) or reading.UNKNOWN}" for key, value in group.dimensions.items())
    measures = "  ".join(f"{key} {value:,}" for key, value in group.measures.items())
    return f"{name}: {measures}" if name else measures


def _as_object(block: StoredBlock, app: bytes, bucket: int, missing: str | None) -> dict[str, Any]:
    return {
        "app": app.decode("utf-8", "backslashreplace"),
        "hour": _shown(bucket),
        "partition": block.partition,
        "plan": f"{block.plan:08x}",
        "incarnation": f"{block.incarnation:08x}",
        "end": block.end,
        "last_crc": None if block.last_crc is None else f"{block.last_crc:08x}",
        "bytes": len(block.value),
        "table": block.table,
        "row": block.row.hex(),
        "qualifier": block.qualifier.hex(),
        "lower_bound": missing,
        "problem": block.problem,
        "rollups": {
            name: [{"dimensions": group.dimensions, "measures": group.measures} for group in groups]
            for name, groups in block.rollups.items()
        },
    }


def _nothing(store: CellStore, app: bytes, bucket: int, partitions: list[int]) -> None:
    """What there is instead."""
    name = repr(app.decode("utf-8", "backslashreplace"))
    if partitions:
        there = ", ".join(map(str, sorted(set(partitions))))
        click.echo(f"That partition has no block of app {name} in that hour. There is one of {there}.", err=True)
        return
    hours = hours_of(store, app)
    if not hours:
        click.echo(f"Nothing is counted for app {name}. `flurry-fast apps` lists those that there are.", err=True)
        return
    before = [hour for hour in hours if hour < bucket][-NEAREST:]
    after = [hour for hour in hours if hour > bucket][:NEAREST]
    click.echo(
        f"App {name} has no block in {_shown(bucket)}. It has some in {counted(len(hours), 'hour')}, nearest:"
        f" {', '.join(map(_shown, before + after))}.",
        err=True,
    )


def _shown(bucket: int) -> str:
    return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=bucket)).strftime("%Y-%m-%dT%HZ")
