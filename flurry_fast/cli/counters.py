"""flurry-fast counters APP: an app's counters by hour or day."""

from __future__ import annotations

import datetime as dt

import click

from flurry_fast import reading
from flurry_fast.cli.output import Format, format_option, parse_when, print_table
from flurry_fast.cli.store import store_options
from flurry_fast.stores.base import CellStore


@click.command()
@click.argument("app")
@click.option("--rollup", metavar="NAME", help="Which rollup of the plan; by default the app's totals.")
@click.option("--from", "start", metavar="TIME", callback=parse_when, help="First hour: an ISO date or time.")
@click.option("--to", "end", metavar="TIME", callback=parse_when, help="Up to, and without, this time.")
@click.option("--bucket", type=click.Choice(["hour", "day"]), default="hour", show_default=True, help="Sum to this.")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Time zone of days and of bare times.")
@format_option
@store_options
def command(
    app: str,
    rollup: str | None,
    start: dt.datetime | dt.date | None,
    end: dt.datetime | dt.date | None,
    bucket: reading.Bucket,
    tz: str,
    style: Format,
    store: CellStore,
) -> None:
    """Print the counters of APP, an API key ('' for the reports that could not be read, by reason).

    \b
    flurry-fast counters ABCDEFGHJKLMNPQRSTUV
    flurry-fast counters ABCDEFGHJKLMNPQRSTUV --rollup event --bucket day --tz America/New_York
    flurry-fast counters ABCDEFGHJKLMNPQRSTUV --rollup country --from 2013-11-21 --format csv
    """
    table = reading.counters(store, app, rollup, start, end, bucket, tz)
    print_table(table, style, empty=f"Nothing is counted for app {app!r} there.")
