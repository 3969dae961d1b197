"""What thriftpy2 makes of the same calls and replies, and columns to make them from."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pyarrow as pa
from thriftpy2.protocol import TBinaryProtocol  # type: ignore[attr-defined]
from thriftpy2.thrift import TApplicationException, TMessageType
from thriftpy2.transport import TMemoryBuffer  # type: ignore[attr-defined]

from flurry_fast._wire import BinaryColumn, Calls

import_module("happybase")  # compiles the IDL
hbase: Any = import_module("Hbase_thrift")
TABLE, COLUMN = b"flurry_counters_201311", b"d:\x00\x01qualifier"


def column(values: Sequence[bytes], *, large: bool = False) -> BinaryColumn:
    return BinaryColumn(pa.array(list(values), pa.large_binary() if large else pa.binary()))


def one_put(rows: Sequence[bytes], values: Sequence[bytes], timestamp: int = 5) -> Calls:
    """All in one call."""
    calls = Calls.put([(TABLE, COLUMN, timestamp, column(rows), column(values))], 10**6, 2**31)
    assert len(calls) == 1
    return calls


def one_get(rows: Sequence[bytes]) -> Calls:
    calls = Calls.get([(TABLE, COLUMN, column(rows))], 10**6, 2**31)
    assert len(calls) == 1
    return calls


def one_swap(expected: bytes | None = b"old", new: bytes = b"new") -> Calls:
    return Calls.swap(TABLE, [(b"row", COLUMN, expected, new)])


def message(name: str, kind: int, sequence: int, content: Any) -> bytes:
    """A message of the strict binary protocol, by thriftpy2."""
    transport = TMemoryBuffer()
    protocol = TBinaryProtocol(transport)
    protocol.write_message_begin(name, kind, sequence)
    content.write(protocol)
    protocol.write_message_end()
    return bytes(transport.getvalue())


def call(name: str, sequence: int, **arguments: Any) -> bytes:
    return message(name, TMessageType.CALL, sequence, getattr(hbase.Hbase, name + "_args")(**arguments))


def reply(name: str, sequence: int, **result: Any) -> bytes:
    return message(name, TMessageType.REPLY, sequence, getattr(hbase.Hbase, name + "_result")(**result))


def refusal(name: str, sequence: int, kind: int, text: bytes) -> bytes:
    return message(name, TMessageType.EXCEPTION, sequence, TApplicationException(kind, text))


def cell_row(row: bytes, timestamp: int, value: bytes, name: bytes = COLUMN) -> Any:
    return hbase.TRowResult(row=row, columns={name: hbase.TCell(value=value, timestamp=timestamp)})


def put_reply(sequence: int) -> bytes:
    return reply("mutateRowsTs", sequence)


def rows_reply(sequence: int, rows: Sequence[Any]) -> bytes:
    return reply("getRowsWithColumns", sequence, success=list(rows))


def cells_of(calls: Calls, number: int = 0) -> list[tuple[int, int, bytes]]:
    """(index, timestamp, value) of what was found for one column."""
    indices, timestamps, offsets, values = calls.found()[number]
    count = len(indices) // 4
    ends = struct.unpack(f"={count + 1}i", offsets)
    found = struct.unpack(f"={count}i", indices), struct.unpack(f"={count}q", timestamps)
    return [(found[0][i], found[1][i], values[ends[i] : ends[i + 1]]) for i in range(count)]
