"""flurry-fast audit: every counter block against the archive."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import click

from flurry_fast.archive.files import open_files
from flurry_fast.cli.operating import partition_option
from flurry_fast.cli.progress import AuditProgress
from flurry_fast.config.model import Settings
from flurry_fast.config.options import settings_options
from flurry_fast.registry import State
from flurry_fast.stores import open_store
from flurry_fast.verify.audit import audit
from flurry_fast.verify.compare import Comparison
from flurry_fast.verify.ledger import Ledger
from flurry_fast.verify.result import Audit, Memory, Oblivion
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
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep finished partitions in FILE, and go on from it if it is there.",
)
@partition_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, all findings in it.")
@settings_options
@click.pass_context
def command(
    ctx: click.Context,
    complete: bool,
    manifest: Path | None,
    incarnation: int | None,
    resume: Path | None,
    partitions: tuple[int, ...],
    as_json: bool,
    settings: Settings,
) -> None:
    """Check every counter block against the archive; exit 1 if anything is wrong, or nothing could be compared.

    Folds every archived record again and compares bytes. May run beside a consumer; needs no broker. Ctrl-C loses
    only the partition at work, with --resume.
    """
    if manifest is not None and partitions:
        raise click.UsageError("--manifest tells of all partitions: it goes without --partition.")
    store = open_store(settings.counters, create=False)
    topic, files = settings.kafka.topic, open_files(settings.archive)

    def memory(state: State) -> Memory:
        return Oblivion() if resume is None else Ledger(resume, store, topic, state)

    try:
        with AuditProgress() as progress:
            result = audit(store, files, topic, progress, partitions=partitions or None, memory=memory)
        compared = None
        if manifest is not None:
            cores = os.cpu_count() or 1
            compared = compare_with_manifest(
                store, settings.kafka.topic, manifest, incarnation=incarnation, processes=cores
            )
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted. {_how_to_go_on(resume)}", err=True)
        ctx.exit(1)
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


def _how_to_go_on(resume: Path | None) -> str:
    if resume is None:
        return "Nothing of it is kept; with --resume FILE the partitions that are finished would be."
    return f"Finished partitions are in {resume}: the same command goes on from there."


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
            f"{partition.behind_gap:,} blocks lie behind a recorded gap, and are not compared"
            if partition.behind_gap
            else "",
            f"{partition.dropped:,} blocks are not missed, their months were dropped" if partition.dropped else "",
            f"{partition.other_rules:,} blocks were counted by another version's rules"
            if partition.other_rules
            else "",
            f"{partition.unchecked:,} counted records are not archived yet" if partition.unchecked else "",
            partition.note,
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
