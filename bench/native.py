"""Our side of the comparison: the engine and the archive writer, driven as the consumer drives them."""

from __future__ import annotations

from operator import add
from pathlib import Path

import pyarrow as pa

from bench.corpus import Corpus
from flurry_fast._core import ArchiveChunk, Engine, Flush, Plan, decode_blocks
from flurry_fast.archive.footer import Footer
from flurry_fast.archive.format import PARQUET, Format
from flurry_fast.positions import ArchivePosition, CountersPosition

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
        counters=CountersPosition(0) if counters else None,
        archive=ArchivePosition(0, None) if archive else None,
        read_from=0,
    )
    return engine


def absorb(engine: Engine, corpus: Corpus) -> None:
    """Every report of the corpus, batch by batch."""
    for batch in corpus.batches:
        needs = engine.absorb(batch)
        assert needs is None, "an empty store has no base to read"


def frozen(engine: Engine) -> Flush:
    """Everything counted so far, as one flush."""
    flush = engine.freeze(None)
    assert flush is not None, "nothing was counted"
    return flush


def lines(plan: Plan, flush: Flush) -> Lines:
    """Every counter of a flush, in the shape of the contenders' `lines()`, partitions added up.

    Rollups with one dimension or none.
    """
    names = {rollup.number: rollup.name for rollup in plan.rollups}
    found: Lines = {}
    for part in flush.parts:
        rows = pa.array(part.rows).to_pylist()
        decoded = pa.record_batch(decode_blocks(plan, part.rows, part.values))
        assert not any(decoded.column("other").to_pylist()), "a cap folded groups"
        columns = [decoded.column(name).to_pylist() for name in ("row", "rollup", "dimensions", "measures")]
        for place, rollup, dimensions, measures in zip(*columns, strict=True):
            row = rows[place]
            key, hour = row[2:-5], int.from_bytes(row[-4:])
            group = key, hour, names[rollup], "".join(dimensions)
            before = found.get(group)
            found[group] = tuple(measures if before is None else map(add, before, measures))
    return found


def take_archive(engine: Engine) -> ArchiveChunk:
    """Every row gathered so far, as one chunk."""
    chunk = engine.archive_take(0)
    assert chunk is not None, "nothing was gathered"
    return chunk


def write_parquet(chunk: ArchiveChunk, path: Path, writer: Format = PARQUET) -> int:
    """The file that the archive sink would make of a chunk, without claiming it; its size in bytes."""
    footer = Footer(
        topic="reports",
        incarnation=1,
        partition=chunk.partition,
        start=chunk.start,
        end=chunk.end,
        rows=chunk.rows,
        wire_bytes=chunk.wire_bytes,
        checksum=chunk.checksum,
        writer="bench",
        last_crc=chunk.last_crc,
    )
    with pa.OSFile(str(path), "wb") as sink:
        writer.write(sink, footer, chunk)
    return path.stat().st_size
