"""Batches: what is put in is what Rust reads, and wrong bounds never reach it."""

from __future__ import annotations

import array
import gc
import weakref
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, Message

from flurry_fast import _core, _wire


def columns(**changes: Any) -> dict[str, Any]:
    """Three records: b"ab", b"", b"cde"."""
    given: dict[str, Any] = {
        "payload": b"abcde",
        "payload_offsets": np.array([0, 2, 2, 5], dtype=np.int64),
        "offsets": np.array([7, 8, 9], dtype=np.int64),
        "timestamps": np.array([100, 101, 102], dtype=np.int64),
        "partition": 3,
    }
    return given | changes


ROWS = [
    (3, 7, 100, None, None, b"ab"),
    (3, 8, 101, None, None, b""),
    (3, 9, 102, None, None, b"cde"),
]


def test_buffers_are_read_by_rust_as_given() -> None:
    batch = _wire.Batch.from_buffers(**columns())
    assert len(batch) == 3
    assert batch.payload_bytes == 5
    assert _core._batch_rows(batch) == ROWS == batch.rows()


def test_buffers_of_arrow_and_array_do_too() -> None:
    payloads = pa.array([b"ab", b"", b"cde"], pa.large_binary())
    _, bounds, data = payloads.buffers()
    batch = _wire.Batch.from_buffers(
        data, bounds, array.array("q", [7, 8, 9]), pa.array([100, 101, 102]).buffers()[1], 3
    )
    assert _core._batch_rows(batch) == ROWS


@pytest.mark.parametrize(
    ("ends", "left", "reached"),
    [({3: 10}, ROWS, set()), ({3: 9}, ROWS[:2], {3}), ({3: 7}, [], {3}), ({4: 9}, [], {3}), ({}, [], {3})],
)
def test_a_batch_is_cut_where_its_partition_ends(
    ends: dict[int, int], left: list[tuple[Any, ...]], reached: set[int]
) -> None:
    batch = _wire.Batch.from_buffers(**columns())
    assert batch.cut(ends) == reached
    assert _core._batch_rows(batch) == left == batch.rows()
    assert len(batch) == len(left)
    assert batch.payload_bytes == sum(len(row[5]) for row in left)
    assert batch.cut(ends) == set()


def test_a_batch_is_not_cut_under_its_reader() -> None:
    batch = _wire.Batch.from_buffers(**columns())
    capsule = batch.__ff_batch__()
    with pytest.raises(BufferError):
        batch.cut({3: 8})
    del capsule
    assert batch.cut({3: 8}) == {3}


def test_keys_of_buffers() -> None:
    batch = _wire.Batch.from_buffers(**columns(keys=b"xyz", key_offsets=np.array([0, 1, 3, 3])))
    assert [row[3] for row in _core._batch_rows(batch)] == [b"x", b"yz", b""]


def test_empty_keys_are_not_absent_keys() -> None:
    batch = _wire.Batch.from_buffers(**columns(keys=b"", key_offsets=np.array([0, 0, 0, 0])))
    assert [row[3] for row in _core._batch_rows(batch)] == [b"", b"", b""]


def test_no_records() -> None:
    batch = _wire.Batch.from_buffers(b"", np.array([0]), b"", b"", 0)
    assert len(batch) == 0
    assert _core._batch_rows(batch) == []
    assert _core._batch_rows(_wire.Batch.from_messages([])) == []
    assert _core._batch_rows(_wire.Batch()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"payload_offsets": np.array([0, 2, 1, 5])}, "goes backwards"),
        ({"payload_offsets": np.array([0, 2, 2, 6])}, "leave their 5 bytes"),
        ({"payload_offsets": np.array([-1, 2, 2, 5])}, "leave their 5 bytes"),
        ({"payload_offsets": np.array([0, 2**62, 2**62, 5])}, "goes backwards"),
        ({"payload_offsets": np.array([0, 2, 5])}, "payload_offsets has 24 bytes"),
        ({"payload_offsets": b""}, "payload_offsets has 0 bytes"),
        ({"timestamps": np.array([1])}, "timestamps has 8 bytes"),
        ({"timestamps": np.array([1, 2, 3], dtype=np.int32)}, "not a column of int64"),
        ({"offsets": np.array([1.0, 2.0, 3.0])}, "not a column of int64"),
        ({"offsets": b"1234567"}, "offsets has 7 bytes"),
        ({"offsets": np.array([7, 8, -9])}, r"offsets\[2\] is negative"),
        ({"offsets": np.arange(6)[::2]}, "not contiguous"),
        ({"offsets": memoryview(bytes(25))[1:]}, "not aligned"),
        ({"payload": np.arange(10, dtype=np.uint8)[::2]}, "not contiguous"),
        ({"partition": -1}, "partition is negative"),
        ({"keys": b"x"}, "come together"),
        ({"keys": b"x", "key_offsets": np.array([0, 1, 2, 2])}, "leave their 1 bytes"),
    ],
)
def test_wrong_columns_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _wire.Batch.from_buffers(**columns(**change))


def test_what_is_no_buffer_is_refused() -> None:
    with pytest.raises(TypeError):
        _wire.Batch.from_buffers(**columns(payload="text"))
    with pytest.raises(TypeError):
        _core._batch_rows(b"no batch")


def test_messages() -> None:
    messages = [
        Message("t", 2, 40, b"key", b"value", [("a", b"1"), ("é", None)], None, (2, 1234)),
        Message("t", 2, 41, None, None, None, None, (0, 0)),
        Message("t", 5, 0, b"", b"", [], None, (1, 5)),
    ]
    batch = _wire.Batch.from_messages(messages)
    assert batch.payload_bytes == 5
    headers = b"\x01\x00a\x01\x00\x00\x001" + b"\x02\x00\xc3\xa9\xff\xff\xff\xff"
    assert batch.rows() == [
        (2, 40, 1234, b"key", headers, b"value"),
        (2, 41, -1, None, None, None),
        (5, 0, 5, b"", None, b""),
    ]
    # Rust reads a tombstone as an empty record.
    assert _core._batch_rows(batch) == [
        (2, 40, 1234, b"key", headers, b"value"),
        (2, 41, -1, None, None, b""),
        (5, 0, 5, b"", None, b""),
    ]


def test_a_message_with_an_error_is_no_record() -> None:
    with pytest.raises(ValueError, match="error"):
        _wire.Batch.from_messages([Message("t", error=KafkaError(KafkaError._PARTITION_EOF))])


def test_release_waits_for_readers() -> None:
    batch = _wire.Batch.from_buffers(**columns())
    capsule = batch.__ff_batch__()
    with pytest.raises(BufferError):
        batch.release()
    del capsule
    batch.release()
    batch.release()
    assert batch.released
    assert len(batch) == batch.payload_bytes == 0
    for read in (batch.__ff_batch__, batch.rows, lambda: _core._batch_rows(batch)):
        with pytest.raises(ValueError, match="released"):
            read()


def test_a_capsule_keeps_the_batch_and_the_batch_its_buffers() -> None:
    payload = np.frombuffer(b"abcde", dtype=np.uint8).copy()
    gone = weakref.ref(payload)
    batch = _wire.Batch.from_buffers(**columns(payload=payload))
    capsule = batch.__ff_batch__()
    del payload, batch
    gc.collect()
    assert gone() is not None
    del capsule
    assert gone() is None


def test_a_resizable_buffer_is_locked() -> None:
    payload = bytearray(b"abcde")
    batch = _wire.Batch.from_buffers(**columns(payload=payload))
    with pytest.raises(BufferError):
        payload.extend(b"f" * 4096)
    batch.release()
    payload.extend(b"f")
