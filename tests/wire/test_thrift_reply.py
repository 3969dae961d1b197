"""Replies: thriftpy2's are understood; anything else ends the connection, and takes neither memory nor time."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flurry_fast._wire import Calls, WireFailure

from .thrift_peer import (
    COLUMN,
    cell_row,
    cells_of,
    hbase,
    one_get,
    one_put,
    one_swap,
    put_reply,
    refusal,
    reply,
    rows_reply,
)

STRUCT, MAP, LIST, STRING, I64, I32, BOOL = 12, 13, 15, 11, 10, 8, 2
ROWS = [b"a", b"b", b"", b"d" * 300, b"e"]
CELLS = [(0, 5, b"one"), (2, 0, b""), (3, 2**62, b"\x00" * 1000)]
GOOD = rows_reply(9, [cell_row(ROWS[i], at, value) for i, at, value in CELLS])


def answer(calls: Calls, data: bytes, sequence: int = 9, step: int = 0) -> int:
    return calls.answer(0, sequence, data, step)


def fails(calls: Calls, data: bytes, *kinds: str, step: int = 0) -> WireFailure:
    with pytest.raises(WireFailure) as caught:
        answer(calls, data, step=step)
    assert caught.value.kind in kinds, caught.value
    return caught.value


def head(name: bytes = b"getRowsWithColumns", kind: int = 2, sequence: int = 9) -> bytes:
    return struct.pack(">II", 0x8001_0000 | kind, len(name)) + name + struct.pack(">i", sequence)


def field(kind: int, number: int) -> bytes:
    return struct.pack(">Bh", kind, number)


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


# --- what thriftpy2 makes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1, 2, 7, 100])
def test_cells(step: int) -> None:
    calls = one_get(ROWS)
    assert answer(calls, GOOD, step=step) == len(GOOD)
    assert cells_of(calls) == CELLS


@given(
    st.lists(
        st.tuples(st.binary(max_size=20), st.none() | st.tuples(st.integers(0, 2**63 - 1), st.binary(max_size=200))),
        unique_by=lambda cell: cell[0],
        min_size=1,
        max_size=50,
    ),
    st.integers(0, 2**31 - 1),
    st.integers(0, 50),
)
def test_any_cells(rows: list[tuple[bytes, tuple[int, bytes] | None]], sequence: int, step: int) -> None:
    calls = one_get([row for row, _ in rows])
    there = [(i, *cell) for i, (_, cell) in enumerate(rows) if cell is not None]
    data = rows_reply(sequence, [cell_row(rows[i][0], at, value) for i, at, value in there])
    assert answer(calls, data, sequence, step) == len(data)
    assert cells_of(calls) == there


def test_rows_without_the_cell_and_rows_that_come_twice() -> None:
    calls = one_get([b"a", b"b", b"b"])
    rows = [hbase.TRowResult(row=b"a", columns={}), cell_row(b"b", 1, b"x"), cell_row(b"b", 1, b"x")]
    data = rows_reply(9, rows)
    assert answer(calls, data) == len(data)
    assert cells_of(calls) == [(1, 1, b"x"), (2, 1, b"x")]


def test_empty_results() -> None:
    calls = one_get(ROWS)
    assert answer(calls, rows_reply(9, [])) > 0
    assert cells_of(calls) == []
    assert answer(one_put([b"a"], [b"v"]), put_reply(9)) == len(put_reply(9))


@pytest.mark.parametrize("swapped", [True, False])
def test_swaps(swapped: bool) -> None:
    calls = one_swap()
    assert answer(calls, reply("checkAndPut", 9, success=swapped)) > 0
    assert calls.swapped() == [swapped]


@pytest.mark.parametrize("step", [0, 1])
def test_exceptions(step: int) -> None:
    long = b"org.apache.Oops: " + b"x" * 5000
    for name, calls in (("mutateRowsTs", one_put([b"a"], [b"v"])), ("getRowsWithColumns", one_get(ROWS))):
        failure = fails(calls, reply(name, 9, io=hbase.IOError(message=long)), "io", step=step)
        assert failure.text == long[:1023].decode()
    told = hbase.IllegalArgument(message=b"no such \xff thing")
    failure = fails(one_swap(), reply("checkAndPut", 9, ia=told), "illegal", step=step)
    assert failure.text == "no such � thing"
    failure = fails(one_swap(), refusal("checkAndPut", 9, 6, b"Internal error"), "application", step=step)
    assert (failure.code, failure.text) == (6, "Internal error")


def test_fields_of_later_versions_are_passed_over_in_rows_and_cells() -> None:
    nested = field(LIST, 9) + bytes([MAP]) + struct.pack(">I", 1) + bytes([STRING, STRUCT]) + struct.pack(">I", 1)
    nested += text(b"key") + field(I32, 1) + bytes(4) + field(BOOL, 2) + b"\1" + b"\0"
    nested += field(3, 11) + b"x" + field(4, 12) + bytes(8) + field(6, 13) + bytes(2) + field(14, -5) + b"\2" + bytes(4)
    cell = nested + field(STRING, 1) + text(b"value") + field(I64, 2) + struct.pack(">q", 7) + nested + b"\0"
    columns = field(MAP, 2) + bytes([STRING, STRUCT]) + struct.pack(">I", 1) + text(COLUMN) + cell
    row = nested + columns + field(STRING, 1) + text(b"a") + b"\0"  # the columns before the row
    data = head() + field(LIST, 0) + bytes([STRUCT]) + struct.pack(">I", 1) + row + b"\0"
    for step in (0, 1):
        calls = one_get(ROWS)
        assert answer(calls, data, step=step) == len(data)
        assert cells_of(calls) == [(0, 7, b"value")]


# --- what is no answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        put_reply(8),
        put_reply(10),
        reply("mutateRows", 9),
        rows_reply(9, []),
        head(b"mutateRowsTs", 1) + b"\0",  # a call
        head(b"mutateRowsTs", 4) + b"\0",  # a one-way call
        head(b"mutateRowsTs\0") + b"\0",
        head(b"x" * 65) + b"\0",
        head(b"mutateRowsTs") + field(STRUCT, 3) + b"\0\0",  # an exception of a later gateway
        head(b"mutateRowsTs") + field(LIST, 0) + bytes([STRUCT]) + bytes(4) + b"\0",
    ],
)
def test_an_answer_to_something_else(data: bytes) -> None:
    for step in (0, 1):
        fails(one_put([b"a"], [b"v"]), data, "mismatch", step=step)


def test_a_mismatch_says_what_came() -> None:
    failure = fails(one_put([b"a"], [b"v"]), rows_reply(7, []), "mismatch")
    assert failure.text == "message 7 of type 2 to 'getRowsWithColumns' came for call 9 of 'mutateRowsTs'"


@pytest.mark.parametrize(
    "rows",
    [
        [cell_row(b"other", 1, b"")],
        [cell_row(b"a", 1, b"", b"d:other")],
        [cell_row(b"b", 1, b""), cell_row(b"a", 1, b"")],  # not in the order of the question
        [cell_row(b"a", 1, b""), cell_row(b"a", 1, b"")],
        [cell_row(b"e", 1, b""), cell_row(b"e", 2, b"")],
        [hbase.TRowResult(columns={})],
        [hbase.TRowResult(row=b"a")],
        [hbase.TRowResult(row=b"a", columns={COLUMN: hbase.TCell(value=b"")})],
        [hbase.TRowResult(row=b"a", columns={COLUMN: hbase.TCell(timestamp=1)})],
    ],
)
def test_rows_that_were_not_asked_for_or_lack_a_part(rows: list[Any]) -> None:
    fails(one_get(ROWS), rows_reply(9, rows), "mismatch")


def test_what_comes_twice() -> None:
    once = field(STRING, 1) + text(b"a")
    columns = field(MAP, 2) + bytes([STRING, STRUCT])
    cell = text(COLUMN) + field(STRING, 1) + text(b"v") + field(I64, 2) + bytes(8)
    rows = field(LIST, 0) + bytes([STRUCT]) + struct.pack(">I", 1)
    for row in (
        once + once + columns + bytes(4),
        once + columns + bytes(4) + columns + bytes(4),
        once + columns + struct.pack(">I", 2) + cell + b"\0" + cell + b"\0",
        once + columns + struct.pack(">I", 1) + cell + field(I64, 2) + bytes(8) + b"\0",
    ):
        fails(one_get(ROWS), head() + rows + row + b"\0\0", "mismatch")
    fails(one_get(ROWS), head() + (field(LIST, 0) + bytes([STRUCT]) + bytes(4)) * 2 + b"\0", "mismatch")


def test_no_result() -> None:
    assert "no result" in fails(one_get(ROWS), head() + b"\0", "mismatch").text
    assert "no result" in fails(one_swap(), head(b"checkAndPut") + b"\0", "mismatch").text
    fails(one_get(ROWS), head() + field(BOOL, 0) + b"\1\0", "mismatch")


# --- hostile bytes ---------------------------------------------------------------------------------------------------


def test_every_truncation_wants_more() -> None:
    for at in range(len(GOOD)):
        assert answer(one_get(ROWS), GOOD[:at]) == -1
    for at in range(len(put_reply(9))):
        assert answer(one_put([b"a"], [b"v"]), put_reply(9)[:at]) == -1


def test_what_follows_a_reply_is_left_there() -> None:
    assert answer(one_get(ROWS), GOOD + b"more") == len(GOOD)


@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(1, 255)), min_size=1, max_size=4), st.integers(0, 9)
)
def test_flipped_bytes_never_crash_and_never_invent_rows(flips: list[tuple[int, int]], step: int) -> None:
    data = bytearray(GOOD)
    for at, change in flips:
        data[at] ^= change
    calls = one_get(ROWS)
    try:
        answer(calls, bytes(data), step=step)
    except WireFailure:
        return
    indices = [index for index, _, _ in cells_of(calls)]
    assert indices == sorted(set(indices))
    assert all(0 <= index < len(ROWS) for index in indices)


@given(st.binary(max_size=300), st.integers(0, 5), st.sampled_from(["put", "get", "swap"]))
def test_any_bytes_after_a_head(data: bytes, step: int, kind: str) -> None:
    calls, name = {
        "put": (one_put([b"a"], [b"v"]), b"mutateRowsTs"),
        "get": (one_get(ROWS), b"getRowsWithColumns"),
        "swap": (one_swap(), b"checkAndPut"),
    }[kind]
    for message in (head(name) + data, head(name, 3) + data, data):
        try:
            answer(calls, message, step=step)
        except WireFailure:
            continue


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1, 300 * 2**20])
def test_giant_lengths_are_refused_at_once(length: int) -> None:
    giant = struct.pack(">I", length)
    rows = field(LIST, 0) + bytes([STRUCT])
    fails(one_get(ROWS), head() + rows + giant, "too large")
    fails(one_get(ROWS), head() + rows + struct.pack(">I", 1) + field(STRING, 1) + giant, "too large")
    fails(one_get(ROWS), head() + rows + struct.pack(">I", 1) + field(MAP, 9) + bytes([BOOL, 3]) + giant, "too large")
    fails(one_swap(), head(b"checkAndPut", 3) + field(STRING, 1) + giant, "too large")
    fails(one_swap(), head(b"checkAndPut", 3) + field(LIST, 5) + bytes([3]) + giant, "too large")
    fails(one_get(ROWS), struct.pack(">I", 0x8001_0002) + giant, "mismatch")


def test_deep_nesting_is_refused() -> None:
    for inner in (field(STRUCT, 7), field(LIST, 7) + bytes([STRUCT]) + struct.pack(">I", 1)):
        data = head(b"checkAndPut", 3) + inner * 100
        assert "deeply" in fails(one_swap(), data, "garbled").text
    lists = bytes([LIST]) + struct.pack(">I", 1)
    fails(one_swap(), head(b"checkAndPut", 3) + field(LIST, 7) + lists * 100, "garbled")


def test_an_endless_reply_ends() -> None:
    endless = head(b"checkAndPut", 3) + (field(STRING, 5) + text(b"x" * 2**20)) * 17
    fails(one_swap(), endless, "too large")
    fails(one_swap(), head(b"checkAndPut", 3) + (field(BOOL, 5) + b"\1") * (2**22 + 1), "too large")


@pytest.mark.parametrize("kind", [1, 5, 7, 9, 16, 200])
def test_types_that_there_are_not(kind: int) -> None:
    fails(one_swap(), head(b"checkAndPut", 3) + field(kind, 5) + bytes(20), "garbled")
    for container in (field(LIST, 5) + bytes([kind]), field(MAP, 5) + bytes([BOOL, kind])):
        fails(one_swap(), head(b"checkAndPut", 3) + container + struct.pack(">I", 1) + bytes(20), "garbled")
    fails(one_swap(), head(b"checkAndPut") + field(BOOL, 0) + bytes([kind + 1]), "garbled")


def test_old_and_other_protocols_are_refused() -> None:
    for data in (
        b"HTTP/1.1 400 Bad Request\r\n",
        struct.pack(">I", 12) + b"mutateRowsTs" + b"\2",
        b"\x82\x41\0\0\0\0\0\0",
    ):
        fails(one_put([b"a"], [b"v"]), data, "garbled")
