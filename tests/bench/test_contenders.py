"""The contenders count like the independent count, or no time of theirs means anything."""

from __future__ import annotations

import json
import random
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.child import Child, ChildFailed
from bench.contenders.python_decode import PythonDecode
from bench.contenders.python_msgspec import MsgspecNeeded, MsgspecWhole, encode
from bench.contenders.python_struct import PythonStruct, text
from bench.corpus import Corpus, make_corpus, read_corpus, write_corpus
from bench.digest import digest
from bench.kernels import CONTENDERS, NotEqual, check_equal, launch
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


def _received(report: dict[str, Any], place: int) -> int:
    """On time, two hours late, and long after: each rule of the clock has its turn."""
    reported: int = report["reported_at_ms"]
    return reported + (0, 7_200_000, 90 * 86_400_000)[place % 3]


def _count_of_captures() -> dict[tuple[bytes, int, str, str], tuple[int, ...]]:
    count = Count(CountedPlan.parse((ROOT / "bench/plans/five.toml").read_text()))
    for offset, (_, report) in enumerate(_plain_captures()):
        count.add(report | {"partition": 0, "offset": offset, "timestamp_ms": _received(report, offset)})
    return _expected(count.finish())


@pytest.mark.parametrize("contender", [PythonStruct, PythonDecode, MsgspecWhole, MsgspecNeeded])
def test_counts_real_reports_like_the_independent_count(contender: type[PythonStruct]) -> None:
    captures = _plain_captures()
    assert len(captures) > 200
    python = contender()
    for place, (data, report) in enumerate(captures):
        record = encode(data) if issubclass(contender, MsgspecWhole) else data
        python.absorb([record], [_received(report, place)])
    assert python.unreadable == 0
    assert python.lines() == _count_of_captures()
    assert python.groups() == len(python.lines())


def _corpus(reports: list[bytes], times: list[int]) -> Corpus:
    bounds = np.cumsum([0, *map(len, reports)], dtype=np.int64)
    return Corpus(b"".join(reports), bounds, np.array(times, dtype=np.int64))


def _one_round(name: str, path: Path) -> str:
    """The digest that a contender's process comes to."""
    row = next(row for row in CONTENDERS if row.name == name)
    with launch(row, path) as child:
        child.expect("ready")
        child.ask("prepare", "prepared")
        child.ask("round", "done")
        return child.ask("digest", "digest")


needs_java = pytest.mark.skipif(shutil.which("javac") is None, reason="the contenders in Java need a JDK")


@needs_java
@pytest.mark.parametrize("name", ["stream", "flat"])
def test_java_counts_real_reports_like_the_independent_count(tmp_path: Path, name: str) -> None:
    captures = _plain_captures()
    times = [_received(report, place) for place, (_, report) in enumerate(captures)]
    write_corpus(_corpus([data for data, _ in captures], times), tmp_path / "corpus")
    assert _one_round(name, tmp_path / "corpus") == f"{digest(_count_of_captures())} 0"


@needs_java
def test_java_survives_damaged_reports_and_the_two_agree_on_them(tmp_path: Path) -> None:
    rng = random.Random(7)
    reports = []
    for data, _ in _plain_captures():
        place = rng.randrange(len(data))
        reports.append(data[: rng.randrange(len(data))])
        reports.append(data[:place] + bytes([data[place] ^ (1 + rng.randrange(255))]) + data[place + 1 :])
        # Without a CRC behind the damage nothing but the decoder itself stands in its way.
        reports.append(_with_crc(data, rng))
    write_corpus(_corpus(reports, [1_384_948_800_000] * len(reports)), tmp_path / "corpus")
    ours = _one_round("five", tmp_path / "corpus")
    assert _one_round("stream", tmp_path / "corpus") == _one_round("flat", tmp_path / "corpus")
    assert int(ours.split()[2]) > len(_plain_captures())


def test_a_contender_that_counts_otherwise_is_found(tmp_path: Path) -> None:
    """`five` over one report and `python_needed` over two are not timed."""
    corpora = {"five": make_corpus(1), "python_needed": make_corpus(2)}
    rows = [row for row in CONTENDERS if row.name in corpora]
    children: dict[str, Child] = {}
    try:
        for row in rows:
            write_corpus(corpora[row.name], tmp_path / row.name)
            children[row.name] = launch(row, tmp_path / row.name)
            children[row.name].expect("ready")
        with pytest.raises(NotEqual, match="differently"):
            check_equal(children, rows)
    finally:
        for child in children.values():
            child.__exit__(None, None, None)


def test_a_contender_that_ends_is_named(tmp_path: Path) -> None:
    row = next(row for row in CONTENDERS if row.name == "five")
    with launch(row, tmp_path / "missing") as child, pytest.raises(ChildFailed, match="five"):
        child.expect("ready")


def test_a_corpus_comes_back_from_its_file(tmp_path: Path) -> None:
    corpus = make_corpus(50)
    write_corpus(corpus, tmp_path / "corpus")
    again = read_corpus(tmp_path / "corpus")
    assert again.payloads == corpus.payloads
    assert again.times == corpus.times
    (tmp_path / "corpus").write_bytes((tmp_path / "corpus").read_bytes()[:-1])
    with pytest.raises(ValueError, match="ends inside"):
        read_corpus(tmp_path / "corpus")


def _with_crc(data: bytes, rng: random.Random) -> bytes:
    """A byte changed and, from protocol 22 on, the CRC made right again."""
    place = 2 + rng.randrange(len(data) - 6)
    changed = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
    if int.from_bytes(data[:2]) < 22:
        return changed
    return changed[:-4] + zlib.crc32(changed[:-4]).to_bytes(4)


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
