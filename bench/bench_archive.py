"""Parquet by our encoder against pyarrow: what each choice in `flurry_fast/archive/encoding.py` gains there, and what
decoding, columns and file cost together.

    python -m bench.bench_archive [--reports N] [--rounds N] [--json FILE]

Contenders are interleaved, the minimum of the CPU time over the rounds is shown, beside decoding the same reports as a
yardstick of the machine at that moment. pyarrow starts from ready Arrow columns, which cost it nothing here; we start
from the columns that the engine gathered. Every file is read back and compared with what was written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import native
from bench.corpus import Corpus, make_corpus
from bench.environment import describe, refuse_debug_build
from flurry_fast._core import ArchiveChunk, decode_batch
from flurry_fast.archive import encoding
from flurry_fast.archive.format import COMPRESSION_LEVEL, Format, Parquet, PyArrowParquet

EVENT = "sessions.list.element.events.list.element."
COUNT = "sessions.list.element.event_counts.list.element."
OFTEN = {EVENT + "name", EVENT + "params.list.element.name", EVENT + "params.list.element.value", COUNT + "name"}
LIBRARY_DEFAULTS = {"compression": "zstd", "compression_level": 1, "store_schema": False}
DECODE, COLUMNS = "decode", "decode + columns"
OURS, OURS_3 = "our encoder", "our encoder, zstd 3"
WHOLE, WHOLE_PYARROW = "decode + columns + our encoder", "decode + columns + pyarrow"


def with_dictionaries(array: pa.Array, path: str, wanted: set[str]) -> pa.Array:
    """The array with the leaves at `wanted` as DictionaryArrays."""
    if path in wanted:
        return array.dictionary_encode()
    mask = array.is_null() if array.null_count else None
    if pa.types.is_struct(array.type):
        fields = [array.type.field(i) for i in range(array.type.num_fields)]
        children = [with_dictionaries(array.field(i), f"{path}.{f.name}", wanted) for i, f in enumerate(fields)]
        typed = [field.with_type(child.type) for field, child in zip(fields, children, strict=True)]
        return pa.StructArray.from_arrays(children, fields=typed, mask=mask)
    if pa.types.is_list(array.type):
        values = with_dictionaries(array.values, f"{path}.list.element", wanted)
        element = pa.field("element", values.type, nullable=False)
        return pa.ListArray.from_arrays(array.offsets, values, type=pa.list_(element), mask=mask)
    return array


def interned(batch: pa.RecordBatch, wanted: set[str]) -> pa.RecordBatch:
    """The batch with those leaves as dictionaries."""
    columns = [with_dictionaries(batch.column(i), field.name, wanted) for i, field in enumerate(batch.schema)]
    fields = [field.with_type(column.type) for field, column in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def variants(batches: list[pa.RecordBatch]) -> dict[str, tuple[list[pa.RecordBatch], dict[str, Any]]]:
    """name -> (rows, arguments of ParquetWriter)."""
    ours = encoding.options(batches[0].schema, max(batch.num_rows for batch in batches), COMPRESSION_LEVEL)
    texts = {p for p, t in encoding.leaves(batches[0].schema) if pa.types.is_string(t) and p in ours["use_dictionary"]}
    levels = dict.fromkeys(ours["compression_level"], 3)
    plain = dict.fromkeys(ours["compression"], "none")
    return {
        "pyarrow": (batches, ours),
        "pyarrow, its defaults": (batches, LIBRARY_DEFAULTS),
        "pyarrow, no statistics, index, bloom": (
            batches,
            ours | {"write_statistics": False, "write_page_index": False, "bloom_filter_options": None},
        ),
        "pyarrow, write_batch_size 1,024": (batches, ours | {"write_batch_size": 1024}),
        "pyarrow, pages of 4 MiB, 1 M rows": (batches, ours | {"data_page_size": 2**22, "max_rows_per_page": 10**6}),
        "pyarrow, zstd 3": (batches, ours | {"compression_level": levels}),
        "pyarrow, uncompressed": (batches, ours | {"compression": plain, "compression_level": None}),
        "pyarrow, event texts as DictionaryArray": ([interned(batch, OFTEN) for batch in batches], ours),
        "pyarrow, all texts as DictionaryArray": ([interned(batch, texts) for batch in batches], ours),
    }


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def write(path: Path, batches: list[pa.RecordBatch], options: dict[str, Any]) -> None:
    with pq.ParquetWriter(path, batches[0].schema, **options) as out:
        for batch in batches:
            out.write_batch(batch, row_group_size=batch.num_rows)


def gather(corpus: Corpus) -> ArchiveChunk:
    """Decodes every report into the archive's columns, as the consumer does."""
    engine = native.new_engine(native.load_plan("five"), counters=False, archive=True)
    native.absorb(engine, corpus)
    return native.take_archive(engine)


def contenders(corpus: Corpus, chunk: ArchiveChunk, path: Path) -> dict[str, Callable[[], object]]:
    """What is timed; whatever writes, writes to `path`."""

    def whole(writer: Format) -> Callable[[], object]:
        return lambda: native.write_parquet(gather(corpus), path, writer)

    found: dict[str, Callable[[], object]] = {
        DECODE: lambda: [decode_batch(batch) for batch in corpus.batches],
        COLUMNS: lambda: gather(corpus),
        OURS: lambda: native.write_parquet(chunk, path, Parquet()),
        OURS_3: lambda: native.write_parquet(chunk, path, Parquet(3)),
        WHOLE: whole(Parquet()),
        WHOLE_PYARROW: whole(PyArrowParquet()),
    }
    ready = [pa.record_batch(batch) for batch in chunk.batches]
    for name, (rows, options) in variants(ready).items():
        found[name] = lambda rows=rows, options=options: write(path, rows, options)  # type: ignore[misc]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    refuse_debug_build()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    machine = describe(["python", "-m", "bench.bench_archive", *sys.argv[1:]])
    corpus = make_corpus(arguments.reports)
    chunk = gather(corpus)
    table = pa.Table.from_batches([pa.record_batch(batch) for batch in chunk.batches])
    best: dict[str, float] = {}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.parquet"
        rows = contenders(corpus, chunk, path)
        for number in range(arguments.rounds):
            for name, work in rows.items():
                path.unlink(missing_ok=True)
                seconds = timed(work)
                best[name] = min(best.get(name, seconds), seconds)
                if path.exists():
                    sizes[name] = path.stat().st_size
                    assert number or pq.read_table(path).equals(table), f"{name}: other rows came back"
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    scale = 1e6 / len(corpus)
    print(f"{len(corpus):,} reports of {corpus.size / len(corpus):,.0f} bytes, {machine['cpu']}, load", end=" ")
    print(f"{machine['load_before'][0]}, commit {machine['commit']}, {machine['date']}: {machine['command']}\n")
    print("| contender | us a report | x decoding | bytes a report |\n|---|---:|---:|---:|")
    for name, seconds in best.items():
        size = f"{sizes[name] / len(corpus):.1f}" if name in sizes else ""
        print(f"| {name} | {seconds * scale:.2f} | {seconds / best[DECODE]:.1f} | {size} |")
    fastest = min(seconds for name, seconds in best.items() if name.startswith("pyarrow") and "zstd" not in name)
    print(f"\npyarrow at its fastest, from ready columns: {fastest / best[OURS]:.1f} x our encoder.")
    if arguments.json is not None:
        content = {
            "environment": machine,
            "reports": len(corpus),
            "us_per_report": {name: seconds * scale for name, seconds in best.items()},
            "bytes_per_report": {name: size / len(corpus) for name, size in sizes.items()},
            "ratios": {
                "archive_us_per_report": best[WHOLE] * scale,
                "archive_bytes_per_report": sizes[WHOLE] / len(corpus),
                "archive_vs_decode": best[WHOLE] / best[DECODE],
                "pyarrow_vs_native_writer": fastest / best[OURS],
                "pyarrow_vs_native_whole": best[WHOLE_PYARROW] / best[WHOLE],
            },
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
