"""flurry-fast audit: every counter block against the archive."""

from __future__ import annotations

import dataclasses
import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.config.model import Settings
from flurry_fast.config.options import settings_options
from flurry_fast.stores import open_store
from flurry_fast.verify.audit import Audit, PartitionAudit, audit
from flurry_fast.verify.compare import Comparison
from flurry_fast.verify.truth import compare_with_manifest


def _incarnation(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 16)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not eight hexadecimal digits") from None


@click.command()
@click.option("--complete", is_flag=True, help="Also fail where counters are ahead of the archive.")
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also compare every counter with an independent count (slow, plain Python) of what the simulator sent.",
)
@click.option("--incarnation", metavar="HEX", callback=_incarnation, help="Which topic --manifest tells of.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, all findings in it.")
@settings_options
@click.pass_context
def command(
    ctx: click.Context,
    complete: bool,
    manifest: Path | None,
    incarnation: int | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Check every counter block against the archive; exit 1 if anything is wrong, or nothing could be compared.

    Folds every archived record again and compares bytes. May run beside a consumer; needs no broker.
    """
    store = open_store(settings.counters, create=False)
    try:
        with _Bar() as bar:
            result = audit(store, LocalFileSystem(settings.archive.root), settings.kafka.topic, bar)
        compared = None
        if manifest is not None:
            cores = os.cpu_count() or 1
            compared = compare_with_manifest(
                store, settings.kafka.topic, manifest, incarnation=incarnation, processes=cores
            )
    finally:
        store.close()
    problems = result.problems(complete=complete)
    if compared is not None:
        problems += [f"against the manifest: {difference}" for difference in compared.differences]
        if not compared.counters:
            problems.append("against the manifest: nothing could be compared")
    if as_json:
        counters = {} if compared is None else {"counters": compared.counters}
        click.echo(json.dumps(as_object(result, problems) | counters))
    else:
        print_result(result, problems, compared)
    if problems:
        ctx.exit(1)


class _Bar:
    """A progress bar on standard error, where that is a terminal: records folded of all that are archived."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._seen: set[int] = set()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = None if self._progress is None else self._progress.add_task("records", total=0)

    def __enter__(self) -> _Bar:
        (self._progress or nullcontext()).__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        (self._progress or nullcontext()).__exit__(*failure)

    def __call__(self, partition: PartitionAudit, records: int) -> None:
        if self._progress is None or self._task is None:
            return
        total = self._progress.tasks[self._task].total or 0
        if partition.column.partition not in self._seen:
            self._seen.add(partition.column.partition)
            total += partition.to_fold
        self._progress.update(self._task, advance=records, total=total)


def as_object(result: Audit, problems: list[str]) -> dict[str, Any]:
    """The result as plain values; `ok` is whether there is no problem."""
    return {
        "ok": not problems,
        "topic": result.topic,
        "generation": result.generation,
        "blocks": result.blocks,
        "records": result.records,
        "other_cells": result.other_cells,
        "problems": problems,
        "partitions": [
            {
                "plan": f"{partition.column.plan:08x}",
                "incarnation": f"{partition.column.incarnation:08x}",
                "partition": partition.column.partition,
                **{
                    field.name: getattr(partition, field.name)
                    for field in dataclasses.fields(partition)
                    if field.name not in ("column", "to_fold")
                },
            }
            for partition in result.partitions
        ],
    }


def print_result(result: Audit, problems: list[str], compared: Comparison | None = None) -> None:
    """The result for people: a line a partition, then what is wrong, then the verdict."""
    for partition in result.partitions:
        notes = [
            f"{partition.ahead:,} blocks are ahead of the archive" if partition.ahead else "",
            f"{partition.behind_gap:,} blocks lie behind a recorded gap" if partition.behind_gap else "",
            f"{partition.other_rules:,} blocks were counted by another version's rules"
            if partition.other_rules
            else "",
            f"{partition.unchecked:,} counted records are not archived yet" if partition.unchecked else "",
        ]
        told = "; ".join(note for note in notes if note)
        verdict = f"{len(partition.findings):,} findings" if partition.findings else "ok"
        click.echo(
            f"partition {partition.column.partition}: {verdict}. {partition.compared:,} of {partition.blocks:,} blocks"
            f" compared, {partition.records:,} records folded from {partition.files:,} files"
            f"{'; ' + told if told else ''}."
        )
    for problem in problems:
        click.echo(f"  {problem}", err=True)
    if problems:
        click.echo(f"The audit found {len(problems):,} problem{'s' * (len(problems) != 1)}.", err=True)
    else:
        click.echo(
            f"Exact: all {result.blocks:,} blocks that the archive has reached are, byte for byte, what its"
            f" {result.records:,} records give; none is missing."
        )
        if compared is not None:
            click.echo(f"All {compared.counters:,} counters in {compared.blocks:,} blocks are what the manifest gives.")
