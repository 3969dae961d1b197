"""Kernels alone, over the same reports: `python -m pytest bench --benchmark-only`. Results are asserted, then timed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import native
from bench.contenders.python_decode import PythonDecode
from bench.contenders.python_struct import PythonStruct
from bench.corpus import Corpus
from flurry_fast._core import Engine, crc32_batch, decode_batch

ROUNDS = 7


def _time(benchmark: BenchmarkFixture, corpus: Corpus, prepare: Callable[[], Any], work: Callable[[Any], Any]) -> Any:
    """Times `work(prepare())`, `prepare` left out; a fresh state every round."""
    benchmark.extra_info["reports"] = len(corpus)
    benchmark.extra_info["bytes"] = corpus.size
    corpus.batches, corpus.payloads, corpus.times  # noqa: B018 (made before the clock runs)
    return benchmark.pedantic(work, setup=lambda: ((prepare(),), {}), rounds=ROUNDS, warmup_rounds=1)


def test_crc32(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    found = _time(benchmark, corpus, lambda: corpus.batches, lambda batches: reduce(xor, map(crc32_batch, batches)))
    assert found == reduce(xor, map(zlib.crc32, corpus.payloads))


def test_decode(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    found = _time(benchmark, corpus, lambda: corpus.batches, lambda batches: [decode_batch(batch) for batch in batches])
    assert sum(readable for readable, _ in found) == len(corpus)


@pytest.mark.parametrize("name", native.PLANS)
def test_decode_and_count(benchmark: BenchmarkFixture, corpus: Corpus, name: str) -> None:
    plan = native.load_plan(name)
    engine = _time(benchmark, corpus, lambda: native.new_engine(plan), lambda engine: _absorbed(engine, corpus))
    assert engine.stats()["records"] == len(corpus)
    assert engine.stats()["updates"] > len(corpus)


@pytest.mark.parametrize("name", native.PLANS)
def test_freeze(benchmark: BenchmarkFixture, corpus: Corpus, name: str) -> None:
    plan = native.load_plan(name)
    flush = _time(benchmark, corpus, lambda: _absorbed(native.new_engine(plan), corpus), native.frozen)
    assert sum(part.count for part in flush.parts) > 0


def test_archive_append(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    def prepare() -> Engine:
        return native.new_engine(native.load_plan("five"), counters=False, archive=True)

    chunk = _time(benchmark, corpus, prepare, lambda engine: native.take_archive(_absorbed(engine, corpus)))
    assert chunk.rows == len(corpus)
    assert chunk.wire_bytes == corpus.size


def test_parquet_write(benchmark: BenchmarkFixture, corpus: Corpus, tmp_path: Path) -> None:
    engine = native.new_engine(native.load_plan("five"), counters=False, archive=True)
    chunk = native.take_archive(_absorbed(engine, corpus))
    path = tmp_path / "archive.parquet"
    size = _time(benchmark, corpus, lambda: chunk, lambda rows: native.write_parquet(rows, path))
    assert 0 < size < corpus.size
    benchmark.extra_info["bytes_per_report"] = size / len(corpus)


@pytest.mark.parametrize("contender", [PythonStruct, PythonDecode])
def test_python(benchmark: BenchmarkFixture, corpus: Corpus, contender: type[PythonStruct]) -> None:
    def work(python: PythonStruct) -> PythonStruct:
        python.absorb(corpus.payloads, corpus.times)
        return python

    python = _time(benchmark, corpus, contender, work)
    plan = native.load_plan("five")
    assert python.lines() == native.lines(plan, native.frozen(_absorbed(native.new_engine(plan), corpus)))


def _absorbed(engine: Engine, corpus: Corpus) -> Engine:
    native.absorb(engine, corpus)
    return engine
