"""Calls from columns: to the byte what thriftpy2 sends."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flurry_fast._wire import BinaryColumn, Calls

from .thrift_peer import COLUMN, TABLE, call, column, hbase, one_get, one_put, one_swap

SEQUENCES = st.integers(0, 2**31 - 1)
NAMES = st.binary(max_size=40)
CELLS = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=300)), min_size=1, max_size=40)


def their_put(table: bytes, name: bytes, timestamp: int, cells: list[tuple[bytes, bytes]], sequence: int) -> bytes:
    batches = [
        hbase.BatchMutation(row=row, mutations=[hbase.Mutation(column=name, value=value, writeToWAL=True)])
        for row, value in cells
    ]
    return call("mutateRowsTs", sequence, tableName=table, rowBatches=batches, timestamp=timestamp, attributes={})


@given(NAMES, NAMES, st.integers(-(2**63), 2**63 - 1), CELLS, SEQUENCES, st.booleans())
def test_puts(
    table: bytes, name: bytes, timestamp: int, cells: list[tuple[bytes, bytes]], sequence: int, large: bool
) -> None:
    rows, values = (column([cell[i] for cell in cells], large=large) for i in (0, 1))
    calls = Calls.put([(table, name, timestamp, rows, values)], 1000, 10**9)
    assert calls.message(0, sequence) == their_put(table, name, timestamp, cells, sequence)


@given(NAMES, NAMES, st.lists(st.binary(max_size=40), min_size=1, max_size=60), SEQUENCES)
def test_gets(table: bytes, name: bytes, rows: list[bytes], sequence: int) -> None:
    calls = Calls.get([(table, name, column(rows))], 1000, 10**9)
    theirs = call("getRowsWithColumns", sequence, tableName=table, rows=rows, columns=[name], attributes={})
    assert calls.message(0, sequence) == theirs


@given(NAMES, NAMES, NAMES, st.none() | st.binary(max_size=99), st.binary(max_size=99), SEQUENCES)
def test_swaps(table: bytes, row: bytes, name: bytes, expected: bytes | None, new: bytes, sequence: int) -> None:
    theirs = call(
        "checkAndPut",
        sequence,
        tableName=table,
        row=row,
        column=name,
        value=expected,
        mput=hbase.Mutation(column=name, value=new, writeToWAL=True),
        attributes={},
    )
    assert Calls.swap(table, [(row, name, expected, new)]).message(0, sequence) == theirs


def test_many_rows_and_long_values() -> None:
    cells = [(b"%032d" % i, b"v" * (i % 700)) for i in range(5000)]
    assert one_put(*zip(*cells, strict=True)).message(0, 1) == their_put(TABLE, COLUMN, 5, cells, 1)
    cells = [(b"r", b"\x00\xff" * 5_000_000)]
    assert one_put(*zip(*cells, strict=True)).message(0, 1) == their_put(TABLE, COLUMN, 5, cells, 1)
    rows = [cell[0] for cell in cells]
    assert one_get(rows).message(0, 7).count(rows[0]) >= 1


@given(CELLS, st.integers(0, 10), st.integers(1, 12), st.integers(1, 400), st.booleans())
def test_cuts_hold_every_cell_once_and_keep_their_bounds(
    cells: list[tuple[bytes, bytes]], skipped: int, most: int, size: int, large: bool
) -> None:
    kind = pa.large_binary() if large else pa.binary()
    arrays = [pa.array([cell[i] for cell in cells], kind).slice(skipped) for i in (0, 1)]
    cells = cells[skipped:]
    calls = Calls.put([(TABLE, COLUMN, 5, *map(BinaryColumn, arrays))], most, size)
    at = 0
    for number in range(len(calls)):
        sent = calls.message(number, 1)
        count = int.from_bytes(sent[4 + 4 + 12 + 4 + 7 + len(TABLE) + 4 :][:4], "big")
        part = cells[at : at + count]
        assert sent == their_put(TABLE, COLUMN, 5, part, 1)
        assert 1 <= count <= most
        assert count == 1 or sum(len(row) + len(value) for row, value in part) <= size
        at += count
    assert at == len(cells)


def test_several_columns_are_several_calls() -> None:
    calls = Calls.put(
        [
            (b"one", b"d:1", 1, column([b"a", b"b", b"c"]), column([b"1", b"2", b"3"])),
            (b"none", b"d:2", 2, column([]), column([])),
            (b"two", b"d:3", 3, column([b"z"]), column([b""])),
        ],
        2,
        1000,
    )
    assert [calls.message(i, i) for i in range(len(calls))] == [
        their_put(b"one", b"d:1", 1, [(b"a", b"1"), (b"b", b"2")], 0),
        their_put(b"one", b"d:1", 1, [(b"c", b"3")], 1),
        their_put(b"two", b"d:3", 3, [(b"z", b"")], 2),
    ]


def test_what_is_no_column_is_refused() -> None:
    with pytest.raises(TypeError, match="binary"):
        BinaryColumn(pa.array(["text"]))
    with pytest.raises(ValueError, match="nulls"):
        BinaryColumn(pa.array([b"a", None], pa.binary()))
    data = pa.py_buffer(b"abcdefgh")
    for wrong in ([0, 5, 3], [0, 9, 8], [7, 2, 8]):  # what pyarrow itself does not see
        for kind, width in ((pa.binary(), pa.int32()), (pa.large_binary(), pa.int64())):
            offsets = pa.array(wrong, width).buffers()[1]
            with pytest.raises(ValueError, match="leave"):
                BinaryColumn(pa.Array.from_buffers(kind, 2, [None, offsets, data]))
    with pytest.raises(ValueError, match="1 rows with 2"):
        Calls.put([(TABLE, COLUMN, 1, column([b"a"]), column([b"", b""]))], 10, 10)
    with pytest.raises(ValueError, match="at least one"):
        Calls.get([(TABLE, COLUMN, column([b"a"]))], 0, 10)
    with pytest.raises(IndexError):
        one_swap().message(1, 1)
    with pytest.raises(TypeError):
        one_swap().found()
    with pytest.raises(TypeError):
        one_get([b"a"]).swapped()


def test_lengths_of_a_column() -> None:
    made = BinaryColumn(pa.array([b"aaaa", b"", b"bb"], pa.binary()))
    assert (len(made), made.shortest, made.longest) == (3, 0, 4)
    made = BinaryColumn(pa.array([b"aaaa", b"", b"bb"], pa.binary()).slice(2))
    assert (len(made), made.shortest, made.longest) == (1, 2, 2)
    made = column([])
    assert (len(made), made.shortest, made.longest) == (0, 0, 0)
