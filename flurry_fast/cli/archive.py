"""`flurry-fast archive`: what is in the archive, and whether it is whole."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterable

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table

from flurry_fast.archive.chain import chains
from flurry_fast.archive.files import open_files
from flurry_fast.archive.verify import Survey, survey, verify
from flurry_fast.config import Settings
from flurry_fast.config.options import settings_options


@click.group()
def command() -> None:
    """List or verify the archive."""


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a partition.")
@click.option("--all-topics", is_flag=True, help="Every topic in the archive, not only kafka.topic.")
@settings_options
def list_partitions(settings: Settings, as_json: bool, all_topics: bool) -> None:
    """Files, reports, bytes, offsets and times of every partition."""
    files = open_files(settings.archive)
    found = [survey(chain) for chain in chains(files, None if all_topics else settings.kafka.topic)]
    if as_json:
        _print_json(found)
    elif not found:
        click.echo(f"There is no archive of {settings.kafka.topic} under {settings.archive.root}.", err=True)
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(_table(found))
    if any(not partition.ok for partition in found):
        click.echo("Some partitions are not as they must be: see `flurry-fast archive verify`.", err=True)


@command.command("verify")
@click.option("--deep", is_flag=True, help="Restore every report's bytes and check them against their CRC-32C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a partition.")
@click.option("--all-topics", is_flag=True, help="Every topic in the archive, not only kafka.topic.")
@settings_options
def verify_partitions(settings: Settings, deep: bool, as_json: bool, all_topics: bool) -> None:
    """Check chains, counts, checksums and, with --deep, every byte. Exit status 1 if anything is wrong."""
    files = open_files(settings.archive)
    found = chains(files, None if all_topics else settings.kafka.topic)
    size = sum(link.bytes for chain in found for link in chain.links())
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("verifying", total=size)
        checked = [verify(chain, deep=deep, progress=lambda done: bar.advance(task, done)) for chain in found]
    findings = [(partition, finding) for partition in checked for finding in partition.findings]
    if as_json:
        _print_json(checked)
    else:
        for partition, finding in findings:
            file = "" if finding.start is None else f", file {finding.start:020d}"
            click.echo(
                f"{partition.topic} {partition.incarnation} partition {finding.partition}{file}: {finding.fault}."
            )
        if not checked:
            click.echo(
                f"There is no archive of {settings.kafka.topic} under {settings.archive.root}: nothing to verify."
            )
        elif not findings:
            rows, count = sum(p.rows for p in checked), sum(p.files for p in checked)
            how = "restored byte for byte" if deep else "counted and summed"
            click.echo(f"{rows:,} reports in {count:,} files of {len(checked)} partitions, {how}: all as it must be.")
    if findings or not checked:
        sys.exit(1)


def _print_json(partitions: Iterable[Survey]) -> None:
    for partition in partitions:
        click.echo(json.dumps(partition.as_dict()))


def _table(partitions: list[Survey]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("topic")
    table.add_column("incarnation")
    for name in ("partition", "files", "reports", "lost", "MB", "B/report", "start", "end"):
        table.add_column(name, justify="right")
    table.add_column("from (UTC)")
    table.add_column("to (UTC)")
    for p in partitions:
        table.add_row(
            p.topic,
            p.incarnation,
            str(p.partition),
            f"{p.files:,}",
            f"{p.rows:,}",
            f"{p.gap_offsets:,}",
            f"{p.file_bytes / 1e6:,.1f}",
            f"{p.file_bytes / p.rows:,.0f}" if p.rows else "",
            str(p.origin if p.start is None else p.start),
            str(p.origin if p.end is None else p.end),
            _time(p.min_timestamp),
            _time(p.max_timestamp),
        )
    return table


def _time(ms: int | None) -> str:
    if ms is None:
        return ""
    try:
        return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"
