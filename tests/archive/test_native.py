"""Our Parquet encoder against pyarrow's: the same rows through both, read by everybody, field by field."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import corpora
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compact import Reader
from rows import chunk_of

from flurry_fast._core import ArchiveChunk, ParquetEncoder, RowChecksum, restore_batch
from flurry_fast.archive.encoding import STATISTICS
from flurry_fast.archive.footer import Footer
from flurry_fast.archive.format import Parquet, PyArrowParquet

PROTOCOLS = (8, 15, 22, 24, 25, 26, 27, 29, 30)


def footer_of(chunk: ArchiveChunk) -> Footer:
    return Footer(
        "reports", 1, chunk.partition, chunk.start, chunk.end, chunk.rows, chunk.wire_bytes, chunk.checksum, "w"
    )


@dataclass(frozen=True)
class Both:
    """The same rows, written by us and by pyarrow."""

    payloads: list[bytes]
    chunk: ArchiveChunk
    ours: Path
    theirs: Path

    @property
    def metadata(self) -> pq.FileMetaData:
        return pq.read_metadata(self.ours)


def same(ours: Any, theirs: Any) -> bool:
    """Whether two columns are equal, NaN included, which Arrow takes for unequal to itself."""
    return bool(ours.equals(theirs)) or repr(ours.to_pylist()) == repr(theirs.to_pylist())


def write_both(payloads: list[bytes], folder: Path) -> Both:
    chunk = chunk_of(payloads)
    both = Both(payloads, chunk, folder / "ours.parquet", folder / "theirs.parquet")
    for path, writer in ((both.ours, Parquet()), (both.theirs, PyArrowParquet())):
        with pa.OSFile(str(path), "wb") as sink:
            writer.write(sink, footer_of(chunk), chunk)
    return both


CORPORA: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "captures": lambda bodies: bodies,
    "one report": lambda bodies: bodies[:1],
    "unreadable": lambda _: [b"", b"\0", b"\xff" * 70_000] * 20,
    "simulated": lambda _: corpora.simulated(40_000, malformed=0.02),
    "edges": lambda _: corpora.edges(20_000),
    "hostile": lambda _: corpora.hostile(10_000),
    **{f"protocol {p}": lambda _, p=p: corpora.simulated(2_000, p, malformed=0.05) for p in PROTOCOLS},  # type: ignore[misc]
}


@pytest.fixture(scope="module")
def written(bodies: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    """Makes the files of a corpus once."""

    @cache
    def make(name: str) -> Both:
        return write_both(CORPORA[name](bodies), tmp_path_factory.mktemp(name.replace(" ", "-")))

    return make


@pytest.fixture(params=list(CORPORA))
def both(request: pytest.FixtureRequest, written: Callable[[str], Both]) -> Both:
    return written(request.param)


def test_schema_values_and_metadata_are_those_of_pyarrow(both: Both) -> None:
    ours, theirs = pq.ParquetFile(both.ours), pq.ParquetFile(both.theirs)
    assert ours.schema.equals(theirs.schema)
    assert repr(ours.schema).partition("\n")[2] == repr(theirs.schema).partition("\n")[2]
    assert ours.metadata.metadata == theirs.metadata.metadata
    assert ours.metadata.num_row_groups == theirs.metadata.num_row_groups
    assert re.fullmatch(r"flurry_fast version \S+ \(build \S+\)", ours.metadata.created_by)
    table = ours.read()
    table.validate(full=True)
    assert table.schema.equals(theirs.schema_arrow)
    for name in table.column_names:
        assert same(table[name], theirs.read([name])[name]), name


def test_records_come_back_byte_for_byte(both: Both) -> None:
    checksum, restored = RowChecksum(), []
    for batch in pq.ParquetFile(both.ours).iter_batches(batch_size=5_000):
        rows = restore_batch(batch, checksum)
        bounds = np.frombuffer(rows.payload_offsets, np.int64)
        restored += [rows.payload[a:b] for a, b in itertools.pairwise(bounds)]
    assert restored == both.payloads
    assert checksum.hexdigest() == both.chunk.checksum


def test_duckdb_reads_the_same(both: Both) -> None:
    query = "select count(*) from (select * from read_parquet(?) except all select * from read_parquet(?))"
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for pair in itertools.permutations([str(both.ours), str(both.theirs)]):
            assert connection.execute(query, list(pair)).fetchone() == (0,)
        count = connection.execute("select count(*) from read_parquet(?)", [str(both.ours)]).fetchone()
    assert count == (len(both.payloads),)


def test_polars_reads_the_same(both: Both) -> None:
    ours, theirs = pl.read_parquet(both.ours), pl.read_parquet(both.theirs)
    assert ours.schema == theirs.schema
    assert ours.height == len(both.payloads)
    for name in ours.columns:
        assert same(ours[name].to_arrow(), theirs[name].to_arrow()), name
    lazy = pl.scan_parquet(both.ours).select("offset", "api_key", "crc32c").collect()
    assert lazy.equals(theirs.select("offset", "api_key", "crc32c"))


def test_pandas_reads_the_same(both: Both) -> None:
    frames = (pd.read_parquet(path, dtype_backend="pyarrow") for path in (both.ours, both.theirs))
    ours, theirs = (pa.Table.from_pandas(frame, preserve_index=False) for frame in frames)
    assert ours.schema == theirs.schema
    for name in ours.column_names:
        assert same(ours[name], theirs[name]), name


def leaves(metadata: pq.FileMetaData, group: int = 0) -> dict[str, pq.ColumnChunkMetaData]:
    row_group = metadata.row_group(group)
    columns = (row_group.column(i) for i in range(row_group.num_columns))
    return {column.path_in_schema: column for column in columns}


def test_statistics_are_of_the_values(both: Both) -> None:
    for name in STATISTICS:
        statistics = leaves(both.metadata)[name].statistics
        column = pq.read_table(both.ours, columns=[name])[name].combine_chunks()
        if column.null_count == len(column):
            assert statistics is None
            continue
        assert statistics.null_count == column.null_count
        least, most = pa.compute.min_max(column).values()
        if pa.types.is_string(column.type):
            assert statistics.min <= least.as_py() <= most.as_py() <= statistics.max
            assert len(statistics.min) <= 64
            assert len(statistics.max) <= 64
        else:
            assert (statistics.min, statistics.max) == (least.as_py(), most.as_py())


def footer_struct(data: bytes) -> dict[int, Any]:
    length = int.from_bytes(data[-8:-4], "little")
    return Reader(data, len(data) - 8 - length).struct()


def test_page_indexes_point_at_pages_and_say_what_is_in_them(written: Callable[[str], Both]) -> None:
    both = written("simulated")
    data = both.ours.read_bytes()
    rows = pq.read_table(both.ours)
    footer = footer_struct(data)
    assert len(footer[4]) == 1
    indexed = set()
    for column in footer[4][0][1]:
        path = b".".join(column[3][3]).decode()
        locations = Reader(data, column[4]).struct()[1]
        assert [page[3] for page in locations] == [0, 20_000], path
        entries = 0
        for page in locations:
            reader = Reader(data, page[1])
            header = reader.struct()
            assert header[1] == 0
            assert reader.place + header[3] == page[1] + page[2]
            entries += header[5][1]
        assert entries == column[3][5]
        if 6 not in column:
            continue
        indexed.add(path)
        index = Reader(data, column[6]).struct()
        for place, (start, stop) in enumerate(itertools.pairwise([0, 20_000, rows.num_rows])):
            values = rows[path].slice(start, stop - start)
            assert index[5][place] == values.null_count
            assert index[1][place] == (values.null_count == len(values))
            if pa.types.is_string(values.type):
                bounds = (index[2][place].decode(), index[3][place].decode())
            else:
                values = values.cast(pa.int64())
                bounds = tuple(int.from_bytes(index[n][place], "little", signed=True) for n in (2, 3))
            assert bounds == tuple(pa.compute.min_max(values).as_py().values()), path
    assert indexed == set(STATISTICS)


def bloom_filter(path: Path, name: str) -> bytes:
    """The bits of the first row group's filter."""
    data = path.read_bytes()
    columns = footer_struct(data)[4][0][1]
    column = next(column[3] for column in columns if column[3][3] == [name.encode()])
    reader = Reader(data, column[14])
    header = reader.struct()
    assert header == {1: header[1], 2: {1: {}}, 3: {1: {}}, 4: {1: {}}}
    if 15 in column:
        assert reader.place + header[1] == column[14] + column[15]
    return data[reader.place : reader.place + header[1]]


def folded(bits: bytes, size: int) -> bytes:
    """The filter as it were with fewer blocks: neighbours laid over each other."""
    blocks = np.frombuffer(bits, np.uint32).reshape(size // 32, -1, 8)
    return np.bitwise_or.reduce(blocks, axis=1).tobytes()


@pytest.mark.parametrize("name", ["api_key", "device_id"])
def test_bloom_filters_are_those_of_pyarrow(both: Both, name: str) -> None:
    ours, theirs = (bloom_filter(path, name) for path in (both.ours, both.theirs))
    # We make room for other numbers of distinct values than pyarrow.
    size = min(len(ours), len(theirs))
    assert folded(ours, size) == folded(theirs, size)
    assert any(ours) == (pq.read_table(both.ours, columns=[name])[name].null_count < len(both.payloads))


def test_dictionaries_end_where_names_never_repeat(written: Callable[[str], Both]) -> None:
    both = written("hostile")
    event = "sessions.list.element.events.list.element."
    found = leaves(both.metadata)
    for name in ("api_key", event + "name", event + "params.list.element.name", event + "params.list.element.value"):
        assert "DELTA_LENGTH_BYTE_ARRAY" in found[name].encodings, name
    assert found["outcome"].encodings == ("RLE_DICTIONARY", "RLE", "PLAIN")
    # Most keep their raw bytes, too.
    assert both.chunk.memory < 3 * both.chunk.wire_bytes + 2**20
    assert both.ours.stat().st_size < 1.1 * both.theirs.stat().st_size


def test_ordinary_files_are_no_larger_than_those_of_pyarrow(written: Callable[[str], Both]) -> None:
    both = written("simulated")
    assert both.ours.stat().st_size < both.theirs.stat().st_size


def test_texts_that_repeat_stand_once(written: Callable[[str], Both]) -> None:
    both = written("simulated")
    assert both.chunk.memory < 1.5 * both.chunk.wire_bytes
    for path, column in leaves(both.metadata).items():
        last = path.rpartition(".")[2]
        packed = last in ("imei_sha1", "crc32c", "fingerprint", "first_session_start")
        assert column.compression == ("UNCOMPRESSED" if packed else "ZSTD")
        assert column.total_compressed_size > 0


@pytest.mark.parametrize("level", [1, 3, 19])
def test_every_level_gives_the_same_rows(bodies: list[bytes], level: int) -> None:
    chunk = chunk_of(bodies)
    sink = io.BytesIO()
    Parquet(level).write(sink, footer_of(chunk), chunk)
    assert pq.read_table(sink).equals(pa.Table.from_batches([pa.record_batch(batch) for batch in chunk.batches]))


def test_a_file_without_rows_is_that_of_pyarrow(tmp_path: Path) -> None:
    footer = Footer("reports", 1, 3, 10, 20, 0, 0, RowChecksum().hexdigest(), "w", gap="retention")
    tables = []
    for writer in (Parquet(), PyArrowParquet()):
        path = tmp_path / "gap.parquet"
        with pa.OSFile(str(path), "wb") as sink:
            writer.write(sink, footer, None)
        assert Parquet().read(pa.OSFile(str(path)), "gap") == (footer, 0)
        tables.append(pq.read_table(path))
    assert tables[0].schema.equals(tables[1].schema, check_metadata=True)
    assert tables[0].equals(tables[1])


def test_encoding_again_gives_the_same_bytes(bodies: list[bytes]) -> None:
    chunk = chunk_of(bodies)
    files = []
    for _ in range(2):
        sink = io.BytesIO()
        Parquet().write(sink, footer_of(chunk), chunk)
        files.append(sink.getvalue())
    assert files[0] == files[1]


def test_an_encoder_makes_one_file(bodies: list[bytes]) -> None:
    chunk = chunk_of(bodies[:3])
    encoder = ParquetEncoder(1)
    assert encoder.start() == b"PAR1"
    before = chunk.memory
    pieces = encoder.row_group(chunk, 0)
    assert chunk.memory == before + sum(map(len, pieces))
    with pytest.raises(IndexError, match="no such row group"):
        encoder.row_group(chunk, 1)
    assert encoder.finish([], created_by="us").endswith(b"PAR1")
    for call in (encoder.start, lambda: encoder.row_group(chunk, 0), lambda: encoder.finish([], created_by="us")):
        with pytest.raises(ValueError, match="the file is finished"):
            call()
