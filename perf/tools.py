"""The tools: each is attached to a subject (perf/subject.py) that is ready, and makes stacks or a text of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.child import ROOT, Child
from flurry_fast.errors import FlurryFastError
from perf.memory import read_allocations, read_peak
from perf.scenarios import Scenario
from perf.stacks import Stacks, from_folded, from_perf_script

PROFILERS = ROOT / "build/profilers"
PERF_WAYS = "Install it: `apt install linux-perf` on Debian, `apt install linux-tools-$(uname -r)` on Ubuntu."
STACK_BYTES = 16_384  # of a sample's stack, that perf unwinds by DWARF: release builds keep no frame pointers
RATE = 499  # samples a second: no divisor of a timer's
SETTLE = 5.0  # seconds
COUNTERS = (
    "task-clock,page-faults,context-switches,cpu-migrations,cycles,instructions,branches,branch-misses,"
    "cache-references,cache-misses,L1-dcache-load-misses,LLC-load-misses,dTLB-load-misses"
)


class ToolError(FlurryFastError):
    """A tool is not there, or did not do what it was asked to."""


@dataclass(frozen=True)
class Work:
    """What is recorded."""

    scenario: Scenario
    reports: int
    rounds: int


@dataclass(frozen=True)
class Outcome:
    """What a tool found. `text` stands above the table of functions; without `stacks` it is all there is."""

    text: str
    stacks: Stacks | None = None
    unit: str = ""


def found(name: str, way_out: str) -> str:
    """The program's path, of build/profilers before others. Raises ToolError."""
    own = PROFILERS / "bin" / name
    path = str(own) if own.exists() else shutil.which(name)
    if path is None:
        raise ToolError(f"{name} is missing.", way_out=way_out)
    return path


def packages() -> Path:
    """Where memray is installed for this very Python. Raises ToolError."""
    folder = PROFILERS / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    if not (folder / "memray").is_dir():
        raise ToolError("memray is missing for this Python.", way_out="Run `make profile` with any scenario once.")
    return folder


@contextmanager
def subject(work: Work, *memray: str, options: tuple[str, ...] = ()) -> Iterator[Child]:
    """A process that has prepared the scenario."""
    scenario = work.scenario
    arguments = [scenario.name, str(work.reports), str(work.rounds), *memray]
    # A kernel on one core, as bench/ measures it; the consumer has threads that overlap.
    argv = [sys.executable, *options, "-m", "perf.subject", *arguments]
    with Child(scenario.name, argv, pinned=scenario.rounds is not None, env={"PYTHONPATH": str(ROOT)}) as child:
        child.expect("ready")
        yield child


def attached(argv: list[str], child: Child, *, told: bool = True) -> str:
    """Runs all rounds while the tool looks; its stderr. Raises ToolError.

    perf looks from the moment it is told to and says so through a pipe of its own (`told`).
    """
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "stderr"
        pipes: list[int] = []
        passed: tuple[int, ...] = ()
        if told:
            (hears, tells), (listens, answers) = os.pipe(), os.pipe()
            argv = [*argv, "--delay=-1", f"--control=fd:{hears},{answers}"]
            passed, pipes = (hears, answers), [tells, listens]
        with said.open("wb") as err:
            tool = subprocess.Popen(
                argv, stdout=subprocess.DEVNULL, stderr=err, stdin=subprocess.DEVNULL, pass_fds=passed
            )
        for end in passed:
            os.close(end)
        try:
            if told:
                try:
                    os.write(pipes[0], b"enable\n")
                    looks = os.read(pipes[1], 5).startswith(b"ack")
                except BrokenPipeError:
                    looks = False
            else:
                looks = _settles(tool)
            if looks:
                child.ask("run", "done")
        finally:
            tool.send_signal(signal.SIGINT)
            status = tool.wait(120)
            for end in pipes:
                os.close(end)
        words = said.read_text(encoding="utf-8", errors="replace")
    if not looks or status not in (0, -signal.SIGINT, 130):
        raise ToolError(f"{Path(argv[0]).name} failed: {' '.join(words.split())[:600]}", way_out=RIGHTS)
    return words


RIGHTS = (
    "If the system forbids it to look at processes: run as root, or set kernel.perf_event_paranoid=1 (perf) and "
    "kernel.yama.ptrace_scope=0 (py-spy) with sysctl."
)


def _settles(tool: subprocess.Popen[bytes]) -> bool:
    """py-spy says nothing without a terminal: it has some seconds to read symbols, and must still run then."""
    try:
        tool.wait(SETTLE)
    except subprocess.TimeoutExpired:
        return True
    return False


def with_perf(work: Work) -> Outcome:
    """CPU samples of every thread, kernel included where this user may see it."""
    perf = found("perf", PERF_WAYS)
    event = "cycles" if "cycles" in hardware(perf) else "cpu-clock"
    frames = sys.version_info >= (3, 12)
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/perf.data"
        with subject(work, options=("-X", "perf") if frames else ()) as child:
            attached(
                [perf, "record", "--quiet", f"--event={event}", f"--freq={RATE}", f"--call-graph=dwarf,{STACK_BYTES}",
                 f"--pid={child.pid}", f"--output={data}"], child,
            )  # fmt: skip
            # Names of Python functions are in a map that the living process wrote for perf.
            script = subprocess.run(
                [perf, "script", "--no-inline", f"--input={data}"], capture_output=True, text=True, check=False
            )
    if script.returncode:
        raise ToolError(f"perf script failed: {script.stderr.strip()[:300]}")
    note = "" if frames else "Python frames: none (`-X perf` came with Python 3.12; --with py-spy has them here).\n"
    text = f"Event: {event}, {RATE} samples a second of CPU time.\n{note}"
    return Outcome(text, from_perf_script(script.stdout.splitlines()), "samples")


def with_py_spy(work: Work) -> Outcome:
    """Samples of threads that run, Python and native frames in one stack."""
    py_spy = found("py-spy", "Run `make profile` with any scenario once, or `pip install py-spy`.")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "stacks"
        with subject(work) as child:
            words = attached(
                [py_spy, "record", "--native", "--threads", "--function", f"--rate={RATE // 2}", "--format=raw",
                 f"--output={raw}", f"--pid={child.pid}"], child, told=False,
            )  # fmt: skip
        if not raw.exists():
            raise ToolError(f"py-spy wrote nothing: {' '.join(words.split())[:300]}", way_out=RIGHTS)
        stacks = from_folded(raw.read_text(encoding="utf-8").splitlines())
    return Outcome(f"{RATE // 2} samples a second of each thread that runs.\n", stacks, "samples")


def with_perf_stat(work: Work) -> Outcome:
    """Counts of the processor's and the kernel's events."""
    perf = found("perf", PERF_WAYS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts"
        with subject(work) as child:
            attached(
                [perf, "stat", f"--event={COUNTERS}", f"--pid={child.pid}", "--field-separator=|", f"--output={path}"],
                child,
            )  # fmt: skip
        counts = parse_counts(path.read_text(encoding="utf-8"))
    return Outcome(counters_text(counts, work.reports * work.rounds))


def with_memray(work: Work) -> Outcome:
    """What was held when most memory was held."""
    with _memray(work) as path:
        text, stacks = read_peak(path, packages())
    return Outcome(text, stacks, "bytes")


def with_allocations(work: Work) -> Outcome:
    """Every call of malloc, calloc, realloc, mmap and so on."""
    with _memray(work) as path:
        text, stacks = read_allocations(path, packages(), work.reports * work.rounds)
    return Outcome(text, stacks, "allocations")


@contextmanager
def _memray(work: Work) -> Iterator[Path]:
    folder = packages()
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "memray.bin"
        with subject(work, str(path), str(folder)) as child:
            child.ask("run", "done")
        yield path


def parse_counts(text: str) -> dict[str, float | None]:
    """Of `perf stat --field-separator=|`: event -> its count (task-clock in ms), None where it could not be counted."""
    found: dict[str, float | None] = {}
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) < 3 or line.startswith("#"):
            continue
        found[fields[2].removesuffix(":u")] = None if fields[0].startswith("<") else float(fields[0])
    return found


def counters_text(counts: dict[str, float | None], reports: int) -> str:
    """One line an event; says plainly which the machine does not count."""
    lines = [f"{'event':<24}{'count':>18}{'a report':>14}"]
    lines += [f"{name:<24}{n:>18,.0f}{n / reports:>14,.4f}" for name, n in counts.items() if n is not None]
    missing = [name for name, count in counts.items() if count is None]
    cycles, instructions = counts.get("cycles"), counts.get("instructions")
    if cycles and instructions:
        lines.append(f"Instructions a cycle: {instructions / cycles:.2f}.")
    if missing:
        lines.append(f"Not counted, this machine (or its hypervisor) does not offer them: {', '.join(missing)}.")
    return "\n".join(lines) + "\n"


def hardware(perf: str) -> set[str]:
    """Those of `COUNTERS` that this machine counts."""
    ran = subprocess.run(
        [perf, "stat", f"--event={COUNTERS}", "--field-separator=|", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {name for name, count in parse_counts(ran.stderr).items() if count is not None}


TOOLS = {
    "perf": with_perf,
    "py-spy": with_py_spy,
    "perf-stat": with_perf_stat,
    "memray": with_memray,
    "allocations": with_allocations,
}
