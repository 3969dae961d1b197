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
OUR_KERNELS = (
    *("five", "default", "decode", "archive", "freeze_five", "freeze_default"),
    *("decode_columns", "decode_columns_ours"),  # of bench_archive
)


def write_report(latest: dict[str, Any], folder: Path) -> None:
    """README.md with a table a part, and the charts, into `folder`. `latest`: what bench.run wrote as JSON."""
    mpl.use("Agg")
    lines = ["# Benchmarks: the last report", "", _where(latest["environment"]), "", *_verdicts(latest["ratios"])]
    for name, part in latest["parts"].items():
        lines += ["", f"## {name}", "", _run(part["environment"]), ""]
        chart = {"scaling": _scaling, "whole": _whole, "latency": _latency, "recovery": _recovery, "steady": _steady}
        charts = chart.get(name, _bars)(name, part, folder)
        lines += [f"![{chart}]({chart}.svg)" for chart in charts]
        fields = ("workload", "figures", "ratios", "notes", "series")
        lines += ["", show(Part(name, **{field: part[field] for field in fields if field in part}))]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _where(environment: dict[str, Any]) -> str:
    said = "; ".join(f"{name}: {value}" for name, value in environment.items() if name != "build")
    return (
        f"Made by `{environment['command']}`, do not edit. [bench/README.md](../../bench/README.md) says what each part"
        f" answers. Simulated reports; compare ratios within this run only.\n\n{said}"
    )


def _run(environment: dict[str, Any]) -> str:
    """Parts are runs of their own, perhaps of different days: their figures are compared within one."""
    load, after = environment["load_before"][0], environment["load_after"][0]
    when = environment["date"][:16].replace("T", " ")
    commit = environment["commit"]
    return f"`{environment['command']}` ({when} UTC, commit {commit}, load {load:g} before, {after:g} after)"


def _verdicts(ratios: dict[str, float]) -> list[str]:
    lines = ["| ratio | here | aim | | what it is |", "|---|---:|---:|---|---|"]
    for name, value in ratios.items():
        target = TARGETS.get(name)
        if target is not None:
            reached = "reached" if target.met(value) else "not reached"
            lines.append(f"| `{name}` | {value:.3g} | {target} | {reached} | {target.what} |")
    return lines


def _bars(name: str, part: dict[str, Any], folder: Path) -> list[str]:
    """One bar a contender, on a logarithmic axis: the least CPU time."""
    figures = part["figures"]
    unit = "us_per_row" if "us_per_row" in figures[0] else "ns_per_report"
    words = {"us_per_row": "client CPU, µs a row", "ns_per_report": "CPU, ns a report"}[unit]
    rows = list(reversed(figures))
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(rows) + 1))
    bars = axes.barh([row["title"] for row in rows], [row[unit] for row in rows], color=THEIRS)
    for bar, row in zip(bars, rows, strict=True):
        if row["name"].startswith("ours") or row["name"] in OUR_KERNELS:
            bar.set_color(OURS)
    axes.bar_label(bars, [f"{row[unit]:,.3g}" if row[unit] < 1000 else f"{row[unit]:,.0f}" for row in rows], padding=3)
    axes.set_xscale("log")
    axes.set_xlabel(f"{words} (logarithmic; less is better)")
    axes.margins(x=0.15)
    return [_save(figure, name, folder)]


def _scaling(name: str, part: dict[str, Any], folder: Path) -> list[str]:
    """CPU seconds of a million data points over apps, partitions and processes."""
    figures, charts = part["figures"], []
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


def _whole(name: str, part: dict[str, Any], folder: Path) -> list[str]:
    """Rate and memory over time; which process had how much of the cores."""
    rows = part["series"]
    seconds = [row["seconds"] for row in rows]
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 5), sharex=True)
    above.plot(seconds, [row["million_points_per_s"] for row in rows], color=OURS)
    above.set_ylabel("million data points/s")
    below.plot(seconds, [row["resident_mb"] for row in rows], label="resident", color=OURS)
    below.plot(seconds, [row["buffers_mb"] for row in rows], label="its buffers", color=THEIRS)
    below.set_ylabel("MB")
    below.set_xlabel("seconds")
    below.legend()
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    charts = [_save(figure, f"{name}-time", folder)]
    shown = list(reversed([row for row in part["figures"] if not row["name"].startswith("beside_")]))
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(shown) + 1))
    bars = axes.barh([row["title"] for row in shown], [row["cores"] for row in shown], color=THEIRS)
    for bar, row in zip(bars, shown, strict=True):
        if row["name"] == "consumer":
            bar.set_color(OURS)
    axes.bar_label(bars, [f"{row['cores']:.2f}" for row in shown], padding=3)
    axes.set_xlabel("cores")
    axes.margins(x=0.1)
    return [*charts, _save(figure, f"{name}-cores", folder)]


def _latency(name: str, part: dict[str, Any], folder: Path) -> list[str]:
    """Share of reports over time until they were visible, a line a level."""
    figure, axes = plt.subplots(figsize=(9, 4))
    for line in part["series"]:
        found = line["quantiles"]  # 0 to 99 %, then 99.5, 99.9 and 100 %
        shares = [*range(100), 99.5, 99.9, 100]
        axes.plot(found, shares, label=f"{line['percent']} % of capacity")
    axes.set_xlabel("seconds from due at a device to read in HBase")
    axes.set_ylabel("% of reports")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return [_save(figure, name, folder)]


def _recovery(name: str, part: dict[str, Any], folder: Path) -> list[str]:
    """Every kill as a point, from the first growth to as fresh as before."""
    ways = list(dict.fromkeys(line["way"] for line in part["series"]))
    figure, axes = plt.subplots(figsize=(9, 0.8 * len(ways) + 1.2))
    for colour, what, label in (
        (THEIRS, "first", "first counter grows"),
        ("#d29922", "every", "all partitions"),
        (OURS, "fresh", "as fresh as before"),
    ):
        places = [(line[what], ways.index(line["way"])) for line in part["series"]]
        axes.scatter([x for x, _ in places], [y for _, y in places], color=colour, label=label, alpha=0.8)
    axes.set_yticks(range(len(ways)), ways)
    axes.set_ylim(-0.6, len(ways) - 0.4)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds after kill -9")
    axes.grid(alpha=0.3)
    axes.legend()
    return [_save(figure, name, folder)]


def _steady(name: str, part: dict[str, Any], folder: Path) -> list[str]:
    """Base reads and rows a report, and memory, round by round, of the process that goes on and of the next."""
    rows = part["figures"]
    kinds = {kind: [row for row in rows if row["name"].startswith(kind)] for kind in ("steady", "replaced")}
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.2))
    for axes, what, label in zip(
        panels,
        ("base_reads_per_report", "rows_per_report", "rss_mb"),
        ("base reads a report", "rows a report", "resident, MB"),
        strict=True,
    ):
        for (kind, some), style in zip(kinds.items(), ("o-", "o--"), strict=True):
            axes.plot(range(1, len(some) + 1), [row[what] for row in some], style, color=OURS, label=kind)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("round of flushes after the start")
        axes.legend()
        axes.set_title(label, fontsize=10)
        axes.grid(alpha=0.3)
    return [_save(figure, name, folder)]


def _save(figure: Any, name: str, folder: Path) -> str:
    figure.tight_layout()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / f"{name}.png", dpi=130)
    plt.close(figure)
    return name
