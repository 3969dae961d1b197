"""What went in comes out: bytes, columns, and what other programs read."""

from __future__ import annotations

import itertools
import json
import random
import zlib
from pathlib import Path
from typing import Any

import duckdb
import google_crc32c
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from places import LocalPlace
from rows import SECRET, TIMES, batch_of, chunk_of

from flurry_fast._core import RestoreError, RowChecksum, archive_batch, archive_schema, restore_batch
from flurry_fast.archive import replay
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.writer import publish


def mutated(bodies: list[bytes], count: int, seed: int = 5) -> list[bytes]:
    """Captures with a few bytes changed, cut or repeated, half of them with a CRC that fits again."""
    rng = random.Random(seed)
    out = [b"", b"\0", b"\0\x1a", bytes(70_000)]
    while len(out) < count:
        body = bytearray(rng.choice(bodies))
        for _ in range(rng.randrange(1, 4)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        if rng.random() < 0.2:
            del body[rng.randrange(len(body)) :]
        if rng.random() < 0.5 and len(body) > 6:
            body[-4:] = zlib.crc32(body[:-4]).to_bytes(4, "big")
        out.append(bytes(body))
    return out


@pytest.fixture(scope="module")
def payloads(bodies: list[bytes]) -> list[bytes]:
    return bodies + mutated(bodies, 2_000)


@pytest.fixture
def place(tmp_path: Path) -> LocalPlace:
    """Other programs read it there, too."""
    return LocalPlace(tmp_path / "archive")


@pytest.fixture
def file(chain: Chain, payloads: list[bytes]) -> Path:
    """All of them in one published file."""
    chain.begin(0)
    assert publish(chain, chunk_of(payloads), lambda: None).ours
    return Path(chain.files.describe(chain.path(0)))


def test_restored_bytes_are_the_records(file: Path, payloads: list[bytes]) -> None:
    checksum = RowChecksum()
    restored = []
    for batch in pq.ParquetFile(file).iter_batches(batch_size=777):
        rows = restore_batch(batch, checksum)
        bounds = np.frombuffer(rows.payload_offsets, np.int64)
        restored += [rows.payload[a:b] for a, b in itertools.pairwise(bounds)]
        assert len(rows) == batch.num_rows
    assert restored == payloads
    assert checksum.hexdigest() == chunk_of(payloads).checksum


def test_replayed_batches_are_the_records(chain: Chain, file: Path, payloads: list[bytes]) -> None:
    del file
    records = [row for batch in replay.batches(chain, max_rows=500) for row in batch.rows()]
    expected = batch_of(payloads).rows()
    assert records == expected
    assert list(replay.batches(chain, start=len(payloads))) == []
    assert list(replay.batches(chain, stop=0)) == []


def test_raw_is_kept_for_few(file: Path, bodies: list[bytes]) -> None:
    raw = pq.read_table(file, columns=["raw", "outcome", "repaired_errors"]).slice(0, len(bodies))
    kept = raw.filter(pa.compute.is_valid(raw["raw"]))
    assert kept.num_rows < 30
    assert raw.filter(pa.compute.equal(raw["outcome"], "bad_crc")).num_rows == 2
    assert raw.filter(pa.compute.greater(raw["repaired_errors"], 0)).num_rows == 5


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row in the schema of the captures' JSON."""
    known = ("device_model", "brand", "build_id", "os_version", "build_device", "build_product")
    wire = ("device.model", "build.brand", "build.id", "version.release", "build.device", "build.product")
    pairs = [(name, row[column]) for name, column in zip(wire, known, strict=True) if row[column] is not None]
    ids = [(0, None if row["device_id"] is None else row["device_id"].encode()), (5, row["imei_sha1"])]
    ids += [(other["type"], other["id"]) for other in row["other_ids"]]
    out = {
        "outcome": row["outcome"],
        "protocol": row["protocol"],
        "platform": row["platform"],
        "agent_version": row["agent_version"],
        "reported_at_ms": row["reported_at"],
        "api_key": row["api_key"],
        "app_version": row["app_version"],
        "device_id": row["device_id"],
        "device_ids": [{"type": kind, "hex": value.hex()} for kind, value in ids if value is not None],
        "first_session_start_ms": row["first_session_start"],
        "session_start_ms": row["session_start"],
        "properties": dict(pairs + [(pair["name"], pair["value"]) for pair in row["other_properties"]]),
        "referrer": {entry["name"]: entry["values"] for entry in row["referrer"]},
        "launch_options": {entry["name"]: entry["values"] for entry in row["launch_options"]},
        "sessions": [session_json(session, row["protocol"]) for session in row["sessions"]],
    }
    return out | ({"repaired_errors": row["repaired_errors"]} if row["repaired_errors"] else {})


def session_json(session: dict[str, Any], protocol: int) -> dict[str, Any]:
    same = (
        "app_version",
        "duration_ms",
        "locale",
        "timezone",
        "network",
        "user_id",
        "location",
        "page_views",
        "gender",
    )
    untimed = None if protocol == 8 else 0  # null in the column, 0 on the wire

    def pairs(entries: list[dict[str, Any]]) -> list[list[Any]]:
        return [list(entry.values()) for entry in entries]

    return {name: session[name] for name in (*same, "events_complete", "total_errors")} | {
        "start_ms": session["start"],
        "birth_ms": session["birth"],
        "event_counts": pairs(session["event_counts"]),
        "events": [
            event | {"params": pairs(event["params"]), "duration_ms": event["duration_ms"] or untimed}
            for event in session["events"]
        ],
        "errors": [{("time_ms" if k == "time" else k): v for k, v in error.items()} for error in session["errors"]],
    }


def times_as_numbers(table: pa.Table) -> pa.Table:
    def plain(data_type: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(data_type):
            return pa.int64()
        if pa.types.is_list(data_type):
            return pa.list_(pa.field("element", plain(data_type.value_type), nullable=False))
        if pa.types.is_struct(data_type):
            return pa.struct([field.with_type(plain(field.type)) for field in data_type])
        return data_type

    return table.cast(pa.schema([field.with_type(plain(field.type)) for field in table.schema]))


def test_columns_say_what_the_captures_say(file: Path, captures: list[Path]) -> None:
    rows = times_as_numbers(pq.read_table(file).slice(0, len(captures))).to_pylist()
    for row, path in zip(rows, captures, strict=True):
        truth = json.loads(path.with_suffix(".json").read_text())
        if truth["outcome"] != "ok":
            assert row["outcome"] == truth["outcome"]
            assert row["raw"] == path.read_bytes()
            assert row["api_key"] is None
            assert row["sessions"] == []
            continue
        assert as_json(row) == truth, path
        assert row["crc32c"] == google_crc32c.value(path.read_bytes())
        assert row["key"] == b"KEY|0"
        assert row["headers"] is None
        assert row["kafka_timestamp"] == TIMES + 7 * row["offset"]


def test_columns_are_read_back_as_they_were_written(file: Path) -> None:
    stored = pq.read_schema(file).remove_metadata()
    assert stored.equals(pa.record_batch(archive_schema()).schema)
    pq.read_table(file).validate(full=True)


def test_duckdb_polars_and_pandas_agree(file: Path, payloads: list[bytes]) -> None:
    table = pq.read_table(file)
    sessions = sum(len(row) for row in table["sessions"].to_pylist())
    events = sum(len(s["events"]) for row in table["sessions"].to_pylist() for s in row)
    ok = sum(outcome == "ok" for outcome in table["outcome"].to_pylist())
    assert 0 < ok < len(payloads)

    query = """select count(*), count(distinct "offset"), count(*) filter (outcome = 'ok'), sum(len(sessions)),
        sum(list_sum(list_transform(sessions, lambda s: len(s.events)))), min(kafka_timestamp)::varchar,
        max(reported_at) is not null from read_parquet(?)"""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        found = connection.execute(query, [str(file)]).fetchone()
    count = len(payloads)
    assert found == (count, count, ok, sessions, events, "2013-11-09 12:26:40+00", True)

    frame = pl.scan_parquet(file)
    summed = frame.select(
        pl.len(),
        pl.col("offset").n_unique().alias("offsets"),
        (pl.col("outcome") == "ok").sum().alias("ok"),
        pl.col("sessions").list.len().sum().alias("sessions"),
    ).collect()
    assert summed.row(0) == (count, count, ok, sessions)
    exploded = frame.select(pl.col("sessions").explode(empty_as_null=False, keep_nulls=False)).unnest("sessions")
    assert exploded.select(pl.col("events").list.len().sum()).collect().item() == events

    rows = pd.read_parquet(file)
    assert (len(rows), int((rows.outcome == "ok").sum())) == (count, ok)
    assert sum(len(entry) for entry in rows.sessions) == sessions


def test_a_report_is_found_without_reading_the_rest(file: Path, bodies: list[bytes]) -> None:
    metadata = pq.read_metadata(file)
    columns = {metadata.row_group(0).column(i).path_in_schema: i for i in range(metadata.num_columns)}
    for name in ("offset", "kafka_timestamp", "api_key", "device_id"):
        column = metadata.row_group(0).column(columns[name])
        assert column.has_column_index, name
        assert column.statistics.has_min_max, name
    with duckdb.connect() as connection:
        blooms = connection.execute(
            "select path_in_schema from parquet_metadata(?) where bloom_filter_offset is not null", [str(file)]
        ).fetchall()
        assert {name for (name,) in blooms} == {"api_key", "device_id"}
        found = connection.execute(
            "select count(*) from read_parquet(?) where device_id = 'AND9f3c0d5b7a1e2468'", [str(file)]
        ).fetchone()
    assert found is not None
    assert found[0] >= len(bodies) - 2


def test_a_damaged_column_is_refused(bodies: list[bytes]) -> None:
    batch = pa.record_batch(chunk_of(bodies[:5]).batches[0])
    place = batch.schema.get_field_index("agent_version")
    changed = batch.set_column(place, batch.schema.field(place), pa.array([1] * 5, pa.int32()))
    with pytest.raises(RestoreError, match="offset 0 restores to bytes of CRC-32C"):
        restore_batch(changed)
    with pytest.raises(RestoreError, match="column raw is missing"):
        restore_batch(batch.drop_columns(["raw"]))
    retyped = batch.set_column(place, "agent_version", pa.array([1] * 5, pa.int64()))
    with pytest.raises(RestoreError, match="column agent_version has another type"):
        restore_batch(retyped)
    with pytest.raises(TypeError, match="record batch"):
        restore_batch(pa.array([1, 2]))
    with pytest.raises(TypeError, match="__arrow_c_array__"):
        restore_batch([1])
    torn = pa.StringArray.from_buffers(5, pa.py_buffer(np.arange(6, dtype=np.int32)), pa.py_buffer(b"\xff" * 5))
    place = batch.schema.get_field_index("app_version")
    with pytest.raises(ValueError, match=r"[Ii]nvalid|encountered"):
        restore_batch(batch.set_column(place, batch.schema.field(place), torn))


def test_rows_below_the_position_are_passed_by(bodies: list[bytes]) -> None:
    batch = batch_of(bodies[:10], start=100)
    chunk = archive_batch(batch, secret=SECRET, position=104)
    assert chunk is not None
    assert (chunk.start, chunk.end, chunk.rows, len(chunk)) == (104, 110, 6, 6)
    assert chunk.last_crc == google_crc32c.value(bodies[9])
    assert (chunk.min_timestamp, chunk.max_timestamp) == (TIMES + 7 * 104, TIMES + 7 * 109)
    assert chunk.wire_bytes == sum(len(body) for body in bodies[4:10])
    assert archive_batch(batch, secret=SECRET, position=110) is None


def test_fingerprints_are_keyed_and_repeat(bodies: list[bytes]) -> None:
    def prints(secret: bytes) -> list[int]:
        chunk = archive_batch(batch_of(bodies), secret=secret, position=0)
        assert chunk is not None
        sessions = pa.record_batch(chunk.batches[0])["sessions"].to_pylist()
        return [session["fingerprint"] for row in sessions for session in row]

    assert prints(SECRET) == prints(SECRET)
    assert set(prints(SECRET)).isdisjoint(prints(bytes(16)))
