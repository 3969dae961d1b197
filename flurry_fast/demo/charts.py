"""The demo's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flurry_fast import reading
from flurry_fast.demo.run import Story, per_second
from flurry_fast.stores.base import CellStore

INK, GRID = "#1f2937", "#e5e7eb"
FLOW, LAG, KILL = "#0f766e", "#b45309", "#dc2626"
APPS = 10
COUNTRIES = 12


def draw_throughput(story: Story, path: Path) -> None:
    """Reports absorbed a second and reports not durable yet, over time, with a mark where the consumer was killed."""
    figure, (above, below) = _figure(2, 1, (10, 6))
    rates = per_second(story.samples, story.kills)
    above.bar(range(len(rates)), [rate for rate, _ in rates], width=1.0, align="edge", color=FLOW)
    above.set_ylabel("reports/s")
    above.set_title("Reports read by the consumer, those read again after a kill included", loc="left", fontsize=10)
    below.fill_between(
        [sample.at for sample in story.samples], [sample.lag for sample in story.samples], color=LAG, alpha=0.8
    )
    below.set_ylabel("reports")
    below.set_xlabel("seconds")
    below.set_title("Sent, but not yet durable in counters and archive", loc="left", fontsize=10)
    end = max((sample.at for sample in story.samples), default=1.0)
    for axes in (above, below):
        axes.set_xlim(0, end)
        axes.set_ylim(bottom=0)
        for kill in story.kills:
            axes.axvline(kill.at, color=KILL, linestyle="--", linewidth=1.2)
    for kill in story.kills:
        above.annotate("kill -9", (kill.at, above.get_ylim()[1]), color=KILL, fontsize=9, va="top", xytext=(3, -3),
                       textcoords="offset points")  # fmt: skip
    figure.savefig(path, dpi=120)


def draw_apps(store: CellStore, path: Path) -> str | None:
    """The busiest apps by sessions, and the countries of the busiest one: read back from the counters.

    The busiest app's key; None where nothing was counted.
    """
    busiest = reading.apps(store, by="sessions", limit=APPS)
    figure, (left, right) = _figure(1, 2, (11, 5))
    names = [str(name) for name in busiest.column("app").to_pylist()]
    _bars(left, names, busiest.column("sessions").to_pylist(), "Sessions of the busiest apps")
    if names:
        countries = reading.counters(store, names[0], "country").group_by("country").aggregate([("sessions", "sum")])
        countries = countries.sort_by([("sessions_sum", "descending")]).slice(0, COUNTRIES)
        title = f"Sessions of {names[0]} by country"
        places = [str(name) for name in countries.column("country").to_pylist()]
        _bars(right, places, countries.column("sessions_sum").to_pylist(), title)
    figure.savefig(path, dpi=120)
    return names[0] if names else None


def _figure(rows: int, columns: int, size: tuple[float, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)  # no window, no global state
    grid = figure.subplots(rows, columns)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=GRID)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK)
    return figure, grid


def _bars(axes: Any, names: Sequence[str], values: Sequence[Any], title: str) -> None:
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=GRID)
    axes.barh(range(len(names)), values, color=FLOW)
    # A dollar sign would start a formula.
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=10)
