"""What each choice in `flurry_fast/archive/encoding.py` gains: one file a variant, CPU time and size.

    python -m bench.bench_archive [--reports N] [--rounds N]

Variants are interleaved, the minimum over the rounds is shown, beside decoding the same reports as a yardstick of the
machine at that moment. Every variant's file is read back and compared with what was written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import native
from bench.corpus import make_corpus
from bench.environment import describe, refuse_debug_build
from flurry_fast._core import decode_batch
from flurry_fast.archive import encoding
from flurry_fast.archive.format import COMPRESSION_LEVEL

EVENT = "sessions.list.element.events.list.element."
COUNT = "sessions.list.element.event_counts.list.element."
OFTEN = {EVENT + "name", EVENT + "params.list.element.name", EVENT + "params.list.element.value", COUNT + "name"}
LIBRARY_DEFAULTS = {"compression": "zstd", "compression_level": 1, "store_schema": False}


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
        "as it is": (batches, ours),
        "library's defaults": (batches, LIBRARY_DEFAULTS),
        "no statistics, index, bloom": (
            batches,
            ours | {"write_statistics": False, "write_page_index": False, "bloom_filter_options": None},
        ),
        "write_batch_size 1,024": (batches, ours | {"write_batch_size": 1024}),
        "pages of 4 MiB, 1 M rows": (batches, ours | {"data_page_size": 2**22, "max_rows_per_page": 10**6}),
        "zstd 3": (batches, ours | {"compression_level": levels}),
        "uncompressed": (batches, ours | {"compression": plain, "compression_level": None}),
        "event texts as DictionaryArray": ([interned(batch, OFTEN) for batch in batches], ours),
        "all texts as DictionaryArray": ([interned(batch, texts) for batch in batches], ours),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    refuse_debug_build()
    pa.set_cpu_count(1)
    corpus = make_corpus(arguments.reports)
    engine = native.new_engine(native.load_plan("five"), counters=False, archive=True)
    native.absorb(engine, corpus)
    batches = [pa.record_batch(batch) for batch in native.take_archive(engine).batches]
    table = pa.Table.from_batches(batches)
    best: dict[str, float] = {}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.parquet"
        for number in range(arguments.rounds):
            decoding = timed(lambda: [decode_batch(batch) for batch in corpus.batches])
            best["decode"] = min(best.get("decode", decoding), decoding)
            for name, (rows, options) in variants(batches).items():
                seconds = timed(lambda rows=rows, options=options: write(path, rows, options))  # type: ignore[misc]
                best[name] = min(best.get(name, seconds), seconds)
                sizes[name] = path.stat().st_size
                if number == 0:
                    assert pq.read_table(path).equals(table), f"{name}: other rows came back"
    scale = 1e6 / len(corpus)
    machine = describe(["python", "-m", "bench.bench_archive", *sys.argv[1:]])
    print(f"{len(corpus):,} reports of {corpus.size / len(corpus):,.0f} bytes, {machine['cpu']}, load", end=" ")
    print(f"{machine['load_before'][0]}, commit {machine['commit']}, {machine['date']}: {machine['command']}\n")
    print(f"Decoding alone: {best['decode'] * scale:.2f} us a report.\n")
    print("| variant | us a report | x decoding | bytes a report |\n|---|---:|---:|---:|")
    for name, size in sizes.items():
        print(f"| {name} | {best[name] * scale:.2f} | {best[name] / best['decode']:.1f} | {size / len(corpus):.1f} |")


if __name__ == "__main__":
    main()
