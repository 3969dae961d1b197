"""The report of a full run: Markdown, and charts as SVG and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.part import Part, show
from bench.targets import TARGETS

OURS = "#1f6feb"
THEIRS = "#9aa4b2"


def write_report(latest: dict[str, Any], folder: Path) -> None:
    """README.md with a table a part, and the charts, into `folder`. `latest`: what bench.run wrote as JSON."""
    mpl.use("Agg")
    lines = ["# Benchmarks: the last report", "", _where(latest["environment"]), "", *_verdicts(latest["ratios"])]
    for name, part in latest["parts"].items():
        lines += ["", f"## {name}", "", f"`{part['environment']['command']}`", ""]
        charts = {"scaling": _scaling}.get(name, _bars)(name, part["figures"], folder)
        lines += [f"![{chart}]({chart}.svg)" for chart in charts]
        fields = ("workload", "figures", "ratios", "notes")
        lines += ["", show(Part(name, **{field: part[field] for field in fields}))]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _where(environment: dict[str, Any]) -> str:
    said = "; ".join(f"{name}: {value}" for name, value in environment.items() if name != "build")
    return (
        f"Made by `{environment['command']}`, do not edit. [bench/README.md](../../bench/README.md) says what each part"
        f" answers. Simulated reports; compare ratios within this run only.\n\n{said}"
    )


def _verdicts(ratios: dict[str, float]) -> list[str]:
    lines = ["| ratio | here | aim | | what it is |", "|---|---:|---:|---|---|"]
    for name, value in ratios.items():
        target = TARGETS.get(name)
        if target is not None:
            reached = "reached" if target.met(value) else "not reached"
            lines.append(f"| `{name}` | {value:.3g} | {target} | {reached} | {target.what} |")
    return lines


def _bars(name: str, figures: list[dict[str, Any]], folder: Path) -> list[str]:
    """One bar a contender, on a logarithmic axis: the least CPU time."""
    unit = "us_per_row" if "us_per_row" in figures[0] else "ns_per_report"
    words = {"us_per_row": "client CPU, µs a row", "ns_per_report": "CPU, ns a report"}[unit]
    rows = list(reversed(figures))
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(rows) + 1))
    bars = axes.barh([row["title"] for row in rows], [row[unit] for row in rows], color=THEIRS)
    for bar, row in zip(bars, rows, strict=True):
        if row["name"] in ("ours", "five", "default", "decode", "archive", "freeze_five", "freeze_default"):
            bar.set_color(OURS)
    axes.bar_label(bars, [f"{row[unit]:,.3g}" if row[unit] < 1000 else f"{row[unit]:,.0f}" for row in rows], padding=3)
    axes.set_xscale("log")
    axes.set_xlabel(f"{words} (logarithmic; less is better)")
    axes.margins(x=0.15)
    return [_save(figure, name, folder)]


def _scaling(name: str, figures: list[dict[str, Any]], folder: Path) -> list[str]:
    """CPU seconds of a million data points over apps, partitions and processes."""
    charts = []
    for kind in dict.fromkeys(row["kind"] for row in figures):
        rows = [row for row in figures if row["kind"] == kind]
        figure, axes = plt.subplots(figsize=(5, 3.2))
        axes.plot([row["at"] for row in rows], [row["cpu_s_per_million_points"] for row in rows], "o-", color=OURS)
        axes.set_xscale("log")
        axes.set_xticks([row["at"] for row in rows], [f"{row['at']:,}" for row in rows])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(kind)
        axes.set_ylabel("CPU s a million data points")
        axes.grid(alpha=0.3)
        charts.append(_save(figure, f"{name}-{kind}", folder))
    return charts


def _save(figure: Any, name: str, folder: Path) -> str:
    figure.tight_layout()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / f"{name}.png", dpi=130)
    plt.close(figure)
    return name
