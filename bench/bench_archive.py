"""Parquet by our encoder against pyarrow and parquet-rs: what each choice in `flurry_fast/archive/encoding.py` gains
there, and what decoding, columns and file cost together.

    python -m bench.bench_archive [--reports N] [--rounds N] [--json FILE]

Contenders are interleaved, the minimum of the CPU time over the rounds is shown, beside decoding the same reports as a
yardstick of the machine at that moment. The libraries start from ready Arrow columns, which cost them nothing here; we
start from the columns that the engine gathered. Every file is read back and compared with what was written.
Without cargo parquet-rs is left out.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import native, parquet_rs
from bench.corpus import Corpus, make_corpus
from bench.part import Part, parser, run
from bench.rounds import interleave
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
COMPARABLE = 1.15  # a file may have so many times our bytes, or its speed was bought with them


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


def all_interned(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The batches with all texts that have dictionaries in our files as dictionaries."""
    wanted = set(encoding.options(batches[0].schema, 1, COMPRESSION_LEVEL)["use_dictionary"])
    texts = {path for path, kind in encoding.leaves(batches[0].schema) if pa.types.is_string(kind) and path in wanted}
    return [interned(batch, texts) for batch in batches]


def variants(batches: list[pa.RecordBatch]) -> dict[str, tuple[list[pa.RecordBatch], dict[str, Any]]]:
    """name -> (rows, arguments of ParquetWriter)."""
    ours = encoding.options(batches[0].schema, max(batch.num_rows for batch in batches), COMPRESSION_LEVEL)
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
        "pyarrow, all texts as DictionaryArray": (all_interned(batches), ours),
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


def contenders(corpus: Corpus, chunk: ArchiveChunk, path: Path) -> dict[str, Callable[[], float]]:
    """What gives CPU seconds; whatever writes, writes to `path`."""

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
    return {name: partial(timed, work) for name, work in found.items()}


def parquet_rs_contenders(stack: ExitStack, chunk: ArchiveChunk, path: Path) -> dict[str, Callable[[], float]]:
    """As `contenders`, until `stack` closes. Raises ParquetRsMissing."""
    program = parquet_rs.built()
    ready = [pa.record_batch(batch) for batch in chunk.batches]
    rows = {parquet_rs.COLUMNS: ready, parquet_rs.DICTIONARIES: all_interned(ready)}
    child = stack.enter_context(parquet_rs.ParquetRs(program, rows, path.parent))
    wanted = parquet_rs.variants(ready[0].schema, max(batch.num_rows for batch in ready), COMPRESSION_LEVEL)
    return {name: partial(child.write, path, settings) for name, settings in wanted.items()}


def fastest(library: str, best: Mapping[str, float], sizes: Mapping[str, int]) -> float | None:
    """The least that a library took for a file of comparable size; None: it was not there."""
    most = sizes[OURS] * COMPARABLE
    return min((best[name] for name in sizes if name.startswith(library) and sizes[name] <= most), default=None)


def ratios(best: Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    """What is compared between runs; from the least seconds, and the bytes of the files."""
    found = {"archive_vs_decode": best[WHOLE] / best[DECODE]}
    pyarrow, rust = fastest("pyarrow", best, sizes), fastest("parquet-rs", best, sizes)
    if pyarrow is not None:
        found["pyarrow_vs_native_writer"] = pyarrow / best[OURS]
    found["pyarrow_vs_native_whole"] = best[WHOLE_PYARROW] / best[WHOLE]
    if rust is not None:
        found["parquet_rs_vs_native_writer"] = rust / best[OURS]
        found["parquet_rs_vs_native_whole"] = (best[COLUMNS] + rust) / best[WHOLE]  # handing columns over is free
    return found


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    corpus = make_corpus(options.reports)
    chunk = gather(corpus)
    table = pa.Table.from_batches([pa.record_batch(batch) for batch in chunk.batches])
    sizes: dict[str, int] = {}
    notes = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "archive.parquet"
        rows = contenders(corpus, chunk, path)
        try:
            rows |= parquet_rs_contenders(stack, chunk, path)
        except parquet_rs.ParquetRsMissing as missing:
            notes.append(f"parquet-rs is left out: {missing}")

        def once(name: str, work: Callable[[], float]) -> tuple[float, float]:
            path.unlink(missing_ok=True)
            start = time.monotonic()
            cpu = work()
            wall = time.monotonic() - start
            if path.exists() and name not in sizes:
                sizes[name] = path.stat().st_size
                assert pq.read_table(path).equals(table), f"{name}: other rows came back"
            return cpu, wall

        samples = interleave(
            "archive", {name: partial(once, name, work) for name, work in rows.items()}, options.rounds
        )
    best = {name: found.least for name, found in samples.items()}
    figures: list[dict[str, Any]] = [
        {"name": re.sub(r"\W+", "_", name.replace("our encoder", "ours")), "title": name}
        | found.figures(len(corpus))
        | {
            "times_decode": best[name] / best[DECODE],
            "bytes_per_report": sizes[name] / len(corpus) if name in sizes else None,
        }
        for name, found in samples.items()
    ]
    workload = {"reports": len(corpus), "bytes_a_report": corpus.size / len(corpus)}
    return Part("bench_archive", workload, figures, ratios(best, sizes), notes)


def main() -> None:
    """See the module's words."""
    arguments = parser(__doc__)
    arguments.set_defaults(rounds=4)
    arguments.add_argument("--reports", type=int, default=100_000)
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()
