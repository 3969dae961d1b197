"""Our side of the comparison: the engine and the archive writer, driven as the consumer drives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.corpus import Corpus
from flurry_fast._core import ArchivePosition, CountersPosition, Engine, Flush, Plan, decode_blocks

ROOT = Path(__file__).resolve().parents[1]
PLANS = {"five": ROOT / "bench/plans/five.toml", "default": ROOT / "flurry_fast/plans/default.toml"}

Lines = dict[tuple[bytes, int, str, str], tuple[int, ...]]


def load_plan(name: str) -> Plan:
    """One of `PLANS`."""
    return Plan.parse(PLANS[name].read_text(encoding="utf-8"))


def new_engine(plan: Plan, *, counters: bool = True, archive: bool = False) -> Engine:
    """An engine at offset 0 of an empty store: no block has a base that would have to be read."""
    engine = Engine(plan, incarnation=1, secret=bytes(range(16)), counters=counters, archive=archive)
    engine.assign(
        0,
        log_start=0,
        counters=CountersPosition(position=0, max_bucket=-1, crc=None, max_timestamp=-1) if counters else None,
        archive=ArchivePosition(position=0, crc=None) if archive else None,
        read_from=0,
    )
    return engine


def absorb(engine: Engine, corpus: Corpus) -> None:
    """Every report of the corpus, batch by batch."""
    for batch in corpus.batches:
        needs = engine.absorb(batch)
        assert needs is None, "an empty store has no base to read"


def lines(plan: Plan, flush: Flush) -> Lines:
    """Every counter of a flush, in the shape of the contenders' `lines()`. Rollups with one dimension or none."""
    names = {rollup.number: rollup.name for rollup in plan.rollups}
    found: Lines = {}
    for part in flush.parts:
        rows = pa.array(part.rows).to_pylist()
        decoded = pa.table(decode_blocks(plan, part.rows, part.values))
        assert not any(decoded.column("other").to_pylist()), "a cap folded groups"
        columns = [decoded.column(name).to_pylist() for name in ("index", "rollup", "dimensions", "measures")]
        for index, rollup, dimensions, measures in zip(*columns, strict=True):
            row = rows[index]
            key, hour = row[2:-5], int.from_bytes(row[-4:])
            found[key, hour, names[rollup], "".join(dimensions)] = tuple(measures)
    return found


def archive_chunks(engine: Engine, corpus: Corpus) -> Iterator[Any]:
    """Absorbs the corpus into an archive-only engine; takes its rows after every `roll` worth of batches."""
    absorb(engine, corpus)
    chunk = engine.archive_take(0)
    while chunk is not None:
        yield chunk
        chunk = engine.archive_take(0)
