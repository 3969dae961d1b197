"""Counting a manifest file, on several processors if there are some: partitions have nothing to do with each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from flurry_fast.verify.count import Count, CountError, Ranges
from flurry_fast.verify.plan import CountedPlan

# Inside a JSON string the quote after the name would be escaped: this is never found in a report's own text.
_PARTITION = re.compile(rb'"partition":\s*([0-9]+)')


def partition_of(line: bytes) -> int:
    """The partition of a manifest line, found without parsing it. Raises CountError."""
    # The partition is written after the report, which may be long.
    match = _PARTITION.search(line, max(0, len(line) - 400)) or _PARTITION.search(line)
    if match is None:
        raise CountError(f"a line of the manifest has no partition: {line[:80]!r}")
    return int(match.group(1))


def _lines(path: Path, part: int, parts: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if partition_of(line) % parts == part:
                yield line


def _count_part(path: Path, plan: CountedPlan, ranges: Ranges | None, part: int, parts: int) -> Count:
    count = Count(plan, ranges=ranges)
    for line in _lines(path, part, parts):
        count.add(json.loads(line))
    count.finish()
    return count


def count_manifest(path: Path, plan: CountedPlan, *, ranges: Ranges | None = None, processes: int = 1) -> Count:
    """The counters of every report in the manifest, offsets from 0 on; of those in `ranges` only, if given.

    Raises CountError where the manifest has a hole, an offset twice, or no report at all.
    """
    if processes == 1:
        total = _count_part(path, plan, ranges, 0, 1)
    else:
        total = Count(plan, ranges=ranges)
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            jobs = [pool.submit(_count_part, path, plan, ranges, part, processes) for part in range(processes)]
            for job in jobs:
                part = job.result()
                total.blocks.update(part.blocks)
                total.crcs.update(part.crcs)
                total.reports += part.reports
                total.again += part.again
    if not total.crcs:
        raise CountError("the manifest is empty")
    return total
