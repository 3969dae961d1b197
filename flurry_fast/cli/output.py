"""Arrow tables for people and for scripts: an aligned table, CSV, or one JSON object a line."""

from __future__ import annotations

import csv
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

import click
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

Format = Literal["table", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json")


def format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--format`; it receives `style: Format`."""
    return click.option(
        "--format", "style", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print."
    )(command)


def print_table(table: pa.Table, style: Format, *, empty: str) -> None:
    """Print the table to standard output; without rows a person reads `empty` on standard error instead."""
    if style == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows([_plain(value) for value in row] for row in _rows(table))
    elif style == "json":
        for row in _rows(table):
            fields = {name: _plain(value) for name, value in zip(table.column_names, row, strict=True)}
            click.echo(json.dumps(fields, ensure_ascii=False))
    elif not table.num_rows:
        click.echo(empty, err=True)
    else:
        _print_aligned(_without_empty_mark(table))


def _without_empty_mark(table: pa.Table) -> pa.Table:
    """People need not see that nothing is missing."""
    if "lower_bound" in table.column_names and table.column("lower_bound").null_count == table.num_rows:
        return table.drop_columns(["lower_bound"])
    return table


def _print_aligned(table: pa.Table) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        # A pipe has no width: nothing may be cut off or folded for it.
        console = Console(highlight=False, width=100_000)
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for field in table.schema:
        numeric = pa.types.is_integer(field.type)
        shown.add_column(field.name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in _rows(table):
        shown.add_row(*(_text(value) for value in row))
    console.print(shown)


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else value


def _text(value: Any) -> Text:
    if isinstance(value, dt.datetime):
        return Text(value.strftime("%Y-%m-%d %H:%M %Z"))
    if isinstance(value, int) and not isinstance(value, bool):
        return Text(f"{value:,}")
    return Text("" if value is None else printable(str(value)))  # no markup


def printable(text: str) -> str:
    """Names come from devices: nothing that a terminal would obey."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def parse_when(_ctx: click.Context, _param: click.Parameter, text: str | None) -> dt.datetime | dt.date | None:
    """A click callback: ISO date or datetime, with or without offset."""
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text) if len(text) <= 10 else dt.datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no date like 2013-11-21 or time like 2013-11-21T15:00+01:00") from None
