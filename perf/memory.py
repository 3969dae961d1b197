"""What memray recorded, as stacks. Small objects of Python come in arenas: an arena is one allocation here."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from perf.stacks import Stacks, tidy

FREES = {"FREE", "MUNMAP", "PYMALLOC_FREE"}
DEPTH = 100  # frames of a stack that are kept, innermost first


def _memray(packages: Path) -> Any:
    if str(packages) not in sys.path:
        sys.path.append(str(packages))
    import memray

    return memray


def read_peak(path: Path, packages: Path) -> tuple[str, Stacks]:
    """A sentence and the bytes held, by stack, at the moment when most were."""
    stacks: Stacks = Counter()
    reader = _memray(packages).FileReader(str(path))
    for record in reader.get_high_watermark_allocation_records(merge_threads=True):
        stacks[_stack(record, merged=True)] += record.size
    return f"Peak beyond what was there before the first round: {stacks.total() / 2**20:,.1f} MiB.\n", stacks


def read_allocations(path: Path, packages: Path, reports: int) -> tuple[str, Stacks]:
    """Some lines of counts, and the calls that allocated, by stack."""
    memray = _memray(packages)
    kinds, calls = Counter[str](), Counter[tuple[int, int, int]]()
    asked, examples = 0, dict[tuple[int, int, int], Any]()
    for record in memray.FileReader(str(path)).get_allocation_records():
        kind = memray.AllocatorType(record.allocator).name
        kinds[kind] += 1
        if kind not in FREES:
            asked += record.size
            key = (record.tid, record.stack_id, record.native_stack_id)
            calls[key] += 1
            examples.setdefault(key, record)
    stacks: Stacks = Counter()
    for key, count in calls.items():
        stacks[_stack(examples[key], merged=False)] += count
    lines = [f"{kind.lower():<16}{n:>12,} calls{n / reports:>10.4f} a report" for kind, n in kinds.most_common()]
    lines.append(f"{'asked for':<16}{asked / 2**20:>12,.1f} MiB  {asked / reports:>10.1f} bytes a report")
    return "\n".join(lines) + "\n", stacks


def _stack(record: Any, *, merged: bool) -> tuple[str, ...]:
    frames = record.hybrid_stack_trace(DEPTH)
    thread = () if merged else (record.thread_name or "main",)
    names = (tidy(f"{name} ({file})" if file.endswith(".py") else name) for name, file, _ in reversed(frames))
    return (*thread, *names) if frames or thread else ("[unknown]",)
