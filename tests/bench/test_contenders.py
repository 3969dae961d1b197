"""The plain-Python contenders count like the independent count, or no time of it means anything."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from bench.contenders.python_decode import PythonDecode
from bench.contenders.python_struct import PythonStruct, text
from flurry_fast.verify.count import Blocks, Count
from flurry_fast.verify.plan import CountedPlan

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = sorted((ROOT / "tests/captures").glob("*/*.bin"))


def _expected(blocks: Blocks) -> dict[tuple[bytes, int, str, str], tuple[int, ...]]:
    return {
        (key, hour, rollup, "".join(group)): tuple(measures.values())
        for (_, key, hour), rollups in blocks.items()
        for rollup, groups in rollups.items()
        for group, measures in groups.items()
        if key
    }


def _plain_captures() -> list[tuple[bytes, dict[str, Any]]]:
    """The captures that a reader without repair can read."""
    pairs = [(path.read_bytes(), json.loads(path.with_suffix(".json").read_bytes())) for path in CAPTURES]
    return [(data, report) for data, report in pairs if report["outcome"] == "ok" and "repaired_errors" not in report]


@pytest.mark.parametrize("contender", [PythonStruct, PythonDecode])
def test_counts_real_reports_like_the_independent_count(contender: type[PythonStruct]) -> None:
    plan = CountedPlan.parse((ROOT / "bench/plans/five.toml").read_text())
    count, python = Count(plan), contender()
    captures = _plain_captures()
    assert len(captures) > 200
    for offset, (data, report) in enumerate(captures):
        # Received on time, two hours late, and long after: each rule of the clock has its turn.
        received = report["reported_at_ms"] + (0, 7_200_000, 90 * 86_400_000)[offset % 3]
        python.absorb([data], [received])
        count.add(report | {"partition": 0, "offset": offset, "timestamp_ms": received})
    assert python.unreadable == 0
    assert python.lines() == _expected(count.finish())
    assert python.groups() == len(python.lines())


@pytest.mark.parametrize("contender", [PythonStruct, PythonDecode])
@pytest.mark.parametrize("seed", range(3))
def test_damaged_reports_are_unreadable_or_counted_but_never_an_exception(
    seed: int, contender: type[PythonStruct]
) -> None:
    rng = random.Random(seed)
    python = contender()
    for data, _ in _plain_captures():
        cut = data[: rng.randrange(len(data))]
        place = rng.randrange(len(data))
        changed = data[:place] + bytes([data[place] ^ (1 + rng.randrange(255))]) + data[place + 1 :]
        python.absorb([cut, changed], [1_384_948_800_000] * 2)
    assert python.unreadable > len(_plain_captures())


def test_text_on_the_wire_becomes_text() -> None:
    assert text(b"plain") == "plain"
    assert text(b"a\xc0\x80b") == "a\0b"
    assert text(b"\xed\xa0\xbd\xed\xb8\x80") == "\U0001f600"
    assert text(b"x\xed\xa0\xbd") == "x\ufffd"
