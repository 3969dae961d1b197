"""`make fuzz`: every target in turn, for as long as told; what came of it, and a non-zero exit if anything fell over.

make fuzz ARGS="--minutes 5 --target decode --target block"
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "build" / "fuzz"
SUMMARY = ROOM / "summary.txt"
# Bytes of an input: what is found at all is found in short ones, which are faster.
LONGEST = {"decode": 2048, "round_trip": 2048, "block": 1024, "plan": 1024, "archive": 2048, "engine": 2048}
# A hang is what takes over 100 ms when tried again (src/pace.rs); this is for what never ends.
LIMITS = ["-timeout=5", "-rss_limit_mb=1024", "-malloc_limit_mb=128"]
PULSE = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)/")


@dataclass
class Outcome:
    """What a target's run said about itself."""

    target: str
    executions: int = 0
    coverage_first: int = 0
    coverage: int = 0
    corpus: int = 0
    seconds: float = 0.0
    slowest_us: int = 0
    peak_mb: int = 0
    artifacts: list[Path] = field(default_factory=list)
    failed: bool = False
    last_words: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """Takes one line of libFuzzer's log."""
        if pulse := PULSE.match(line):
            self.executions, self.coverage, self.corpus = (int(number) for number in pulse.groups())
            if "INITED" in line:
                self.coverage_first = self.coverage
        elif line.startswith("slowest: "):
            self.slowest_us = int(line.split()[1])
        elif line.startswith("stat::peak_rss_mb:"):
            self.peak_mb = int(line.split()[-1])
        elif line.startswith("stat::number_of_executed_units:"):
            self.executions = int(line.split()[-1])
        elif "Test unit written to " in line:
            self.artifacts.append(Path(line.split("Test unit written to ")[1].strip()))
        elif not line.startswith(("#", "stat::", "INFO:")):
            self.last_words = [*self.last_words[-29:], line]


def main() -> int:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__, formatter_class=layout)
    parser.add_argument("--minutes", type=float, default=5.0, help="for all targets together (default: 5)")
    parser.add_argument("--target", action="append", choices=sorted(LONGEST), help="only this one (may be given again)")
    parser.add_argument("--sanitizer", choices=("address", "none"), default="address")
    parser.add_argument("--keep", action="store_true", help="minimise what was found into the committed corpus")
    asked = parser.parse_args()
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        print("make fuzz needs a C++ compiler for libFuzzer: install g++ (or set CXX).", file=sys.stderr)
        return 2
    targets = asked.target or list(LONGEST)
    binaries = build(targets, asked.sanitizer)
    if binaries is None:
        print("If AddressSanitizer is what is missing: make fuzz ARGS='--sanitizer none'.", file=sys.stderr)
        return 2
    corpus("unpack", ROOM / "seeds")
    outcomes = list(fuzz(targets, binaries, asked.minutes * 60 / len(targets)))
    report(outcomes, binaries, asked.sanitizer)
    failed = any(outcome.failed for outcome in outcomes)
    if asked.keep and not failed:
        keep(targets, binaries)
    return int(failed)


def corpus(what: str, room: Path) -> None:
    command = ["cargo", "run", "--quiet", "--manifest-path", str(ROOT / "rust" / "fuzz" / "Cargo.toml")]
    subprocess.run([*command, "--example", "corpus", "--", what, str(room)], check=True)


def build(targets: list[str], sanitizer: str) -> Path | None:
    """Where the targets' programs are; None if they cannot be built (the compiler has said why)."""
    home = ROOM / sanitizer
    # What instruments code is not in stable Rust yet. The same compiler as the product's is worth more than a nightly.
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1", "CARGO_PROFILE_RELEASE_LTO": "off"}
    fuzzer = ROOT / "build" / "tools" / "bin" / "cargo-fuzz"
    for target in targets:
        command = [str(fuzzer), "fuzz", "build", "--fuzz-dir", ".", "--features", "libfuzzer", "--sanitizer", sanitizer]
        command += ["--target-dir", str(home), target]
        if subprocess.run(command, cwd=ROOT / "rust" / "fuzz", env=environment, check=False).returncode != 0:
            return None
    return next(home.glob(f"*/release/{targets[0]}")).parent


def fuzz(targets: list[str], binaries: Path, seconds: float) -> Iterator[Outcome]:
    name, numbers = TextColumn("{task.description:<11}"), TextColumn("{task.fields[said]}")
    columns = (name, BarColumn(bar_width=10), TimeRemainingColumn(), numbers)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for target in targets:
            outcome = Outcome(target)
            task = progress.add_task(target, total=seconds, said="")
            began = time.monotonic()
            with started(target, binaries, seconds) as process:
                assert process.stderr is not None
                for line in process.stderr:
                    outcome.hear(line.rstrip())
                    outcome.seconds = time.monotonic() - began
                    progress.update(task, completed=min(outcome.seconds, seconds), said=said(outcome))
            outcome.failed = process.returncode != 0
            yield outcome


def started(target: str, binaries: Path, seconds: float) -> subprocess.Popen[str]:
    corpus, artifacts = ROOM / "corpus" / target, ROOM / "artifacts" / target
    for room in (corpus, artifacts):
        room.mkdir(parents=True, exist_ok=True)
    command = [str(binaries / target), str(corpus), str(ROOM / "seeds" / target), *LIMITS]
    command += [f"-max_len={LONGEST[target]}", f"-max_total_time={max(1, round(seconds))}", "-print_final_stats=1"]
    command += [f"-dict={ROOT / 'rust' / 'fuzz' / dictionary(target)}", f"-artifact_prefix={artifacts}/"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")


def dictionary(target: str) -> str:
    return "plan.dict" if target == "plan" else "wire.dict"


def said(outcome: Outcome) -> str:
    rate = outcome.executions / max(outcome.seconds, 0.001)
    return f"{outcome.executions:,} executions  {rate:,.0f}/s  coverage {outcome.coverage:,}  corpus {outcome.corpus:,}"


def report(outcomes: list[Outcome], binaries: Path, sanitizer: str) -> None:
    """The summary, on the screen and in a file."""
    table = Table(title=f"make fuzz, sanitizer: {sanitizer}")
    for name in ("target", "executions", "a second", "edges", "new", "slowest", "peak", "result"):
        table.add_column(name, justify="left" if name in ("target", "result") else "right")
    for outcome in outcomes:
        table.add_row(
            outcome.target,
            f"{outcome.executions:,}",
            f"{outcome.executions / max(outcome.seconds, 0.001):,.0f}",
            f"{outcome.coverage:,}",
            f"{outcome.coverage - outcome.coverage_first:,}",
            f"{outcome.slowest_us / 1000:.1f} ms" if outcome.slowest_us else "< 1 ms",
            f"{outcome.peak_mb} MB",
            "FAILED" if outcome.failed else "held",
        )
    with SUMMARY.open("w", encoding="utf-8") as file:
        for console in (Console(), Console(file=file, width=120)):
            console.print(table)
            for outcome in (outcome for outcome in outcomes if outcome.failed):
                console.print(f"\n{outcome.target}: " + "\n".join(outcome.last_words), markup=False, highlight=False)
                for artifact in outcome.artifacts:
                    replay = f"{(binaries / outcome.target).relative_to(ROOT)} {artifact.relative_to(ROOT)}"
                    console.print(f"again: {replay}", markup=False, highlight=False, soft_wrap=True)
    print(f"Kept in {SUMMARY.relative_to(ROOT)}; what was found goes on from build/fuzz/corpus next time.")


def keep(targets: list[str], binaries: Path) -> None:
    """Commits what reaches edges that captured and generated seeds do not: the tests replay it."""
    for target in targets:
        small, seeds = ROOM / "small" / target, ROOM / "seeds" / target
        shutil.rmtree(small, ignore_errors=True)
        shutil.copytree(seeds, small, ignore=shutil.ignore_patterns("kept-*"))
        command = [str(binaries / target), "-merge=1", "-use_counters=0", f"-max_len={LONGEST[target]}"]
        found = [str(small), str(seeds), str(ROOM / "corpus" / target)]
        subprocess.run([*command, *found], check=True, stderr=subprocess.DEVNULL)
    corpus("pack", ROOM / "small")


if __name__ == "__main__":
    sys.exit(main())
