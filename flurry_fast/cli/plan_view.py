"""Plans as tables and as JSON: what each counts, when it was open, where it counted."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from flurry_fast._core import Plan
from flurry_fast.cli.operating import when
from flurry_fast.operations.differences import Differences
from flurry_fast.registry import Registry, State, plans
from flurry_fast.spans import Spans
from flurry_fast.stores.base import CellStore


def as_object(store: CellStore, registry: Registry, chosen: Plan) -> dict[str, Any]:
    """The chosen plan with its text, and all plans with the times and places that they counted."""
    state, spans = registry.state(), Spans(store, registry)
    return {
        "topic_is_counted": state is not None,
        "open": None if state is None else f"{state.plan:08x}",
        "closing": None if state is None or state.closing is None else f"{state.closing:08x}",
        "plan": _plan_object(chosen) | {"toml": chosen.toml},
        "plans": [
            _plan_object(Plan.registered(text, number))
            | {
                "spans": [
                    {"opened": _moment(span.opened), "closed": None if span.closed is None else _moment(span.closed)}
                    for span in spans.of(number)
                ],
                "counted": [
                    {"incarnation": f"{incarnation:08x}", "partition": partition, "start": start, "end": end}
                    for (plan, incarnation, partition) in sorted(spans.positions())
                    if plan == number
                    for start, end in spans.ranges(plan, incarnation, partition)
                ],
            }
            for number, text in plans(store).items()
        ],
    }


def _plan_object(plan: Plan) -> dict[str, Any]:
    return {
        "id": f"{plan.id:08x}",
        "current": plan.current,
        "rollups": [
            {"name": rollup.name, "dimensions": rollup.dimensions, "measures": rollup.measures, "cap": rollup.cap}
            for rollup in plan.rollups
        ],
    }


def _moment(state: State) -> dict[str, Any]:
    return {"revision": state.revision, "at_ms": state.at_ms}


def print_plans(store: CellStore, registry: Registry, chosen: Plan, *, everything: bool) -> None:
    """The chosen plan's rollups for people; with `everything` also when and where each plan counted."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100_000)
    state, spans = registry.state(), Spans(store, registry)
    if state is not None and state.closing is not None:
        click.echo(
            f"A switch from plan {state.plan:08x} to {state.closing:08x} is under way: nobody counts. The same `plan"
            " switch` finishes it, `plan switch --abort` takes it back."
        )
    if everything:
        console.print(_history(store, spans))
        for number in dict.fromkeys(span.plan for span in spans.all):
            table = _counted(spans, number)
            if table.row_count:
                console.print(f"\nPlan {number:08x} counts" if number == chosen.id else f"\nPlan {number:08x} counted")
                console.print(table)
    rules = "" if chosen.current else ", counted by the rules of another version"
    console.print(f"\nPlan {chosen.id:08x}{rules}:")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("rollup", "dimensions", "measures", "cap"):
        table.add_column(name, justify="right" if name == "cap" else "left")
    for rollup in chosen.rollups:
        table.add_row(rollup.name, ", ".join(rollup.dimensions), ", ".join(rollup.measures), f"{rollup.cap:,}")
    console.print(table)
    click.echo("`flurry-fast plan show --toml` prints its text.")


def _history(store: CellStore, spans: Spans) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("plan", "opened (UTC)", "closed (UTC)", "rollups"):
        table.add_column(name, justify="right" if name == "rollups" else "left")
    for span in spans.all:
        first = span is spans.all[0] and span.opened.at_ms is None
        plan = plans(store).get(span.plan)
        table.add_row(
            f"{span.plan:08x}",
            "with the first consumer" if first else when(span.opened.at_ms),
            "open" if span.closed is None else when(span.closed.at_ms),
            "" if plan is None else str(len(Plan.registered(plan, span.plan).rollups)),
        )
    return table


def _counted(spans: Spans, plan: int) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("incarnation", "partition", "from", "to"):
        table.add_column(name, justify="right")
    for its_plan, incarnation, partition in sorted(spans.positions()):
        if its_plan == plan:
            for start, end in spans.ranges(plan, incarnation, partition):
                table.add_row(f"{incarnation:08x}", str(partition), f"{start:,}", "" if end is None else f"{end:,}")
    return table


def differences_object(found: Differences) -> dict[str, Any]:
    """Differences as plain values, sentences included."""
    fields = dataclasses.asdict(found)
    fields |= {"before": f"{found.before:08x}", "after": f"{found.after:08x}"}
    return fields | {"same": found.same, "meaning": list(found.meaning())}
