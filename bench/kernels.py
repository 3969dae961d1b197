"""Decode and count without I/O: ours against Python, msgspec and Java, one process a contender, on one core.

    python -m bench.kernels [--reports N] [--rounds N] [--only NAME ...] [--json FILE]

All contenders count the five rollups of plans/five.toml over one corpus and must come to the same digest before any of
them is timed. What each row means is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import java
from bench.child import Child
from bench.corpus import Corpus, make_corpus, write_corpus
from bench.part import Part, parser, run
from bench.rounds import Samples, interleave
from flurry_fast._core import decode_batch


@dataclass(frozen=True)
class Contender:
    """A row. `counts`: it counts the five rollups, so its digest must be everybody's."""

    name: str
    title: str
    language: Literal["ours", "python", "java"]
    counts: bool = True
    slow: bool = False


CONTENDERS = [
    Contender("crc", "CRC-32 of the same bytes", "ours", counts=False),
    Contender("decode", "decode and validate", "ours", counts=False),
    Contender("five", "decode + five rollups", "ours"),
    Contender("default", "decode + default plan", "ours", counts=False),
    Contender("freeze_five", "freeze a flush, five rollups", "ours", counts=False),
    Contender("freeze_default", "freeze a flush, default plan", "ours", counts=False),
    Contender("archive", "decode + archive, Parquet file", "ours", counts=False, slow=True),
    Contender("flat", "Java, flat tables", "java"),
    Contender("stream", "Java, DataInputStream + HashMap", "java"),
    Contender("msgspec_needed", "msgspec, only what is needed", "python", slow=True),
    Contender("msgspec_whole", "msgspec, whole records", "python", slow=True),
    Contender("python_needed", "Python struct, only what is needed", "python", slow=True),
    Contender("python_whole", "Python struct, whole reports", "python", slow=True),
]
RATIOS = {  # name -> (what is divided, by what)
    "decode_vs_crc": ("decode", "crc"),
    "aggregate_vs_crc": ("five", "crc"),
    "aggregate_vs_java_stream": ("stream", "five"),
    "aggregate_vs_java_fast": ("flat", "five"),
    "aggregate_vs_python": ("python_needed", "five"),
    "aggregate_vs_python_whole": ("python_whole", "five"),
    "aggregate_vs_msgspec": ("msgspec_whole", "five"),
    "aggregate_vs_msgspec_needed": ("msgspec_needed", "five"),
}


class NotEqual(AssertionError):
    """Contenders came to different counters: no time of them means anything."""


def launch(contender: Contender, corpus: Path) -> Child:
    """Its process, loading."""
    if contender.language == "java":
        folder = java.compiled(["Contender", "Streaming", "Flat", "Digest", "Kernel"])
        return Child(contender.name, java.command("Kernel", folder, contender.name, str(corpus)))
    return Child.python(contender.name, "bench.contenders.python_kernel", contender.name, str(corpus))


def check_equal(children: dict[str, Child], rows: list[Contender]) -> dict[str, str]:
    """One untimed round of each; its digests. Raises NotEqual."""
    digests = {}
    for row in rows:
        child = children[row.name]
        child.ask("prepare", "prepared")
        child.ask("round", "done")
        digests[row.name] = child.ask("digest", "digest")
        if not digests[row.name].endswith(" 0"):
            raise NotEqual(f"{row.name} could not read some reports: {digests[row.name]}.")
    counted = {row.name: digests[row.name] for row in rows if row.counts}
    if len(set(counted.values())) > 1:
        raise NotEqual(f"The contenders count differently: {counted}.")
    return digests


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    corpus = make_corpus(options.reports)
    rows = [row for row in CONTENDERS if not options.only or row.name in options.only]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "corpus"
        write_corpus(corpus, path)
        children = {}
        for row in rows:  # one after the other: loading is work, too
            children[row.name] = stack.enter_context(launch(row, path))
            children[row.name].expect("ready")
        digests = check_equal(children, rows)

        def once(child: Child) -> tuple[float, float]:
            child.ask("prepare", "prepared")
            return child.timed("round", "done")[:2]

        samples = interleave(
            "kernels",
            {row.name: lambda child=children[row.name]: once(child) for row in rows},  # type: ignore[misc]
            options.rounds,
            [row.name for row in rows if row.slow],
        )
        peaks = {row.name: children[row.name].peak_bytes() for row in rows}
    return _part(corpus, rows, samples, peaks, digests)


def _part(
    corpus: Corpus, rows: list[Contender], samples: dict[str, Samples], peaks: dict[str, int], digests: dict[str, str]
) -> Part:
    reports = len(corpus)
    points = sum(points for _, points in map(decode_batch, corpus.batches))
    crc = samples["crc"].least if "crc" in samples else None
    figures = []
    for row in rows:
        found = samples[row.name]
        figures.append(
            {"name": row.name, "title": row.title, **found.figures(reports)}
            | {
                "ns_per_data_point": found.least / points * 1e9,
                "million_data_points_per_s": points / found.least / 1e6,
                "times_crc": found.least / crc if crc else None,
                "peak_mb": peaks[row.name] / 1e6,
            }
        )
    ratios = {name: samples[a].least / samples[b].least for name, (a, b) in RATIOS.items() if {a, b} <= samples.keys()}
    workload = {"reports": reports, "bytes_a_report": corpus.size / reports, "data_points_a_report": points / reports}
    if {"default", "decode"} <= samples.keys():
        updates = int(digests["default"].split()[1])
        workload["updates_a_report_default_plan"] = updates / reports
        ratios["ns_per_counter_update"] = (samples["default"].least - samples["decode"].least) / updates * 1e9
    if "archive" in samples:
        ratios["archive_us_per_report"] = samples["archive"].least / reports * 1e6
        ratios["archive_bytes_per_report"] = int(digests["archive"].split()[1]) / reports
    return Part("kernels", workload, figures, ratios)


def main() -> None:
    """See the module's words."""
    arguments = parser(__doc__)
    arguments.add_argument("--reports", type=int, default=100_000)
    arguments.add_argument("--only", nargs="+", choices=[row.name for row in CONTENDERS], metavar="NAME")
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()
