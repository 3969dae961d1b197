"""flurry-fast apps: the busiest apps."""

from __future__ import annotations

import datetime as dt

import click

from flurry_fast import reading
from flurry_fast.cli.output import Format, format_option, parse_when, print_table
from flurry_fast.cli.store import store_options
from flurry_fast.stores.base import CellStore


@click.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many apps.")
@click.option("--by", default="sessions", show_default=True, metavar="MEASURE", help="Which measure decides.")
@click.option("--from", "start", metavar="TIME", callback=parse_when, help="First hour: an ISO date or time (UTC).")
@click.option("--to", "end", metavar="TIME", callback=parse_when, help="Up to, and without, this time.")
@format_option
@store_options
def command(
    limit: int,
    by: str,
    start: dt.datetime | dt.date | None,
    end: dt.datetime | dt.date | None,
    style: Format,
    store: CellStore,
) -> None:
    """List the busiest apps with their totals, over all hours or those of a range."""
    table = reading.apps(store, by, limit, start, end)
    print_table(table, style, empty="Nothing is counted there.")
