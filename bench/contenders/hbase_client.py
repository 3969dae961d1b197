"""A client that puts cells into an HBase table and reads them: NAME HOST PORT PREFIX TABLE FILE, the last a `Load`.

Answers the lines of bench/child.py: ``prepare``; ``put T`` puts all cells with timestamp T and returns when HBase has
acknowledged them; ``get`` reads all of them by their rows; ``got`` and ``scan`` give the digest of what the last get
found and of what a scan does. contenders/java/HBaseClient.java does the same.
"""

from __future__ import annotations

import gc
import hashlib
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import happybase
import pyarrow as pa

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stores.base import CellColumn
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.tables import FAMILY

PUT_ROWS, GET_ROWS = 5_000, 1_000  # a call: what flurry_fast sends, too
TIMEOUT = 120.0
_HEAD = struct.Struct(">HI")  # of a cell in a file: lengths of row and value


@dataclass(frozen=True)
class Load:
    """Cells of one column, as columns: what is put and read. In a file: u16 length and bytes of the qualifier, then
    per cell u16 and u32 lengths, row, value, big-endian."""

    qualifier: bytes
    rows: pa.BinaryArray
    values: pa.BinaryArray

    @cached_property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """As Python bytes, for clients that want those."""
        return list(zip(self.rows.to_pylist(), self.values.to_pylist(), strict=True))

    def save(self, path: Path) -> None:
        """Raises OSError."""
        with path.open("wb") as out:
            out.write(struct.pack(">H", len(self.qualifier)) + self.qualifier)
            for row, value in self.pairs:
                out.write(_HEAD.pack(len(row), len(value)) + row + value)

    @classmethod
    def read(cls, path: Path) -> Load:
        """Raises OSError."""
        data = path.read_bytes()
        place = 2 + int.from_bytes(data[:2])
        qualifier, rows, values = data[2:place], [], []
        while place < len(data):
            row, value = _HEAD.unpack_from(data, place)
            place += _HEAD.size + row + value
            rows.append(data[place - value - row : place - value])
            values.append(data[place - value : place])
        return cls(qualifier, pa.array(rows, pa.binary()), pa.array(values, pa.binary()))


Pairs = Iterable[tuple[bytes, bytes]]


class Client(Protocol):
    """Puts into the table that it was made for, and reads from it."""

    def put(self, timestamp: int) -> None:
        """All cells, acknowledged."""

    def get(self) -> Any:
        """All cells, as the client gives them."""

    def pairs(self, answer: Any) -> Pairs:
        """Row and value of what `get` gave."""


class Ours:
    """flurry_fast's store, as the counters' sink uses it: `sockets` connections, `calls` unanswered on each."""

    def __init__(self, address: HBaseAddress, table: str, load: Load, sockets: int, calls: int) -> None:
        self._store = HBaseStore(address, timeout=TIMEOUT, sockets=sockets, calls=calls)
        self._store.admin.ensure(table)
        self._table, self._load = table, load

    def put(self, timestamp: int) -> None:
        load = self._load
        self._store.write_columns([CellColumn(self._table, load.qualifier, timestamp, load.rows, load.values)])

    def get(self) -> Any:
        return self._store.read(self._table, self._load.qualifier, self._load.rows)

    def pairs(self, answer: Any) -> Pairs:
        return zip(self._load.rows.take(answer.indices).to_pylist(), answer.values.to_pylist(), strict=True)


class HappyBase:
    """As its user guide has it: a batch with a timestamp, a dict a row; `Table.rows` with timestamps."""

    def __init__(self, address: HBaseAddress, table: str, load: Load) -> None:
        connection = happybase.Connection(address.host, address.port, timeout=int(TIMEOUT * 1000))
        self._table = connection.table(address.prefix + table)
        self._column = FAMILY + b":" + load.qualifier
        self._pairs = load.pairs

    def put(self, timestamp: int) -> None:
        column = self._column
        with self._table.batch(timestamp=timestamp, batch_size=PUT_ROWS) as batch:
            for row, value in self._pairs:
                batch.put(row, {column: value})

    def get(self) -> Any:
        found = []
        for at in range(0, len(self._pairs), GET_ROWS):
            keys = [row for row, _ in self._pairs[at : at + GET_ROWS]]
            found += self._table.rows(keys, columns=[self._column], include_timestamp=True)
        return found

    def pairs(self, answer: Any) -> Pairs:
        return ((row, cells[self._column][0]) for row, cells in answer)


class ThriftPy:
    """thriftpy2's compiled protocol under calls put together by hand: what flurry_fast did before csrc/thrift.h."""

    def __init__(self, address: HBaseAddress, table: str, load: Load) -> None:
        connection = happybase.Connection(
            address.host, address.port, timeout=int(TIMEOUT * 1000), transport="buffered", protocol="binary"
        )
        self._connection, self._client = connection, connection.client
        self._name = f"{address.prefix}{table}".encode()
        self._column, self._load = FAMILY + b":" + load.qualifier, load
        self._idl = import_module("Hbase_thrift")

    def put(self, timestamp: int) -> None:
        mutation, batch, column = self._idl.Mutation, self._idl.BatchMutation, self._column
        cells = list(zip(self._load.rows.to_pylist(), self._load.values.to_pylist(), strict=True))
        for at in range(0, len(cells), PUT_ROWS):
            call = [
                batch(row=row, mutations=[mutation(column=column, value=value, writeToWAL=True)])
                for row, value in cells[at : at + PUT_ROWS]
            ]
            self._client.mutateRowsTs(self._name, call, timestamp, {})

    def get(self) -> Any:
        keys, found = self._load.rows.to_pylist(), {}
        for at in range(0, len(keys), GET_ROWS):
            for result in self._client.getRowsWithColumns(self._name, keys[at : at + GET_ROWS], [self._column], {}):
                found[result.row] = result.columns[self._column].value
        return found

    def pairs(self, answer: Any) -> Pairs:
        return answer.items()  # type: ignore[no-any-return]


def scan(address: HBaseAddress, table: str) -> Pairs:
    """Every cell, by happybase, whoever put it."""
    connection = happybase.Connection(address.host, address.port, timeout=int(TIMEOUT * 1000))
    for row, cells in connection.table(address.prefix + table).scan(batch_size=1000):
        for value in cells.values():
            yield row, value
    connection.close()


def digest(pairs: Pairs) -> str:
    """SHA-256 of all cells in the order of their rows, and how many there are."""
    sha, count = hashlib.sha256(), 0
    for row, value in sorted(pairs):
        sha.update(b"%d %d " % (len(row), len(value)) + row + value)
        count += 1
    return f"{sha.hexdigest()} {count}"


def main() -> None:
    """See the module's words."""
    name, host, port, prefix, table, file = sys.argv[1:]
    address, load = HBaseAddress(host, int(port), prefix), Load.read(Path(file))
    client: Client = {
        "ours": lambda: Ours(address, table, load, 2, 2),
        "ours_1": lambda: Ours(address, table, load, 1, 1),
        "happybase": lambda: HappyBase(address, table, load),
        "thriftpy2": lambda: ThriftPy(address, table, load),
    }[name]()
    answer: Any = None
    print("ready", flush=True)
    for line in map(str.strip, sys.stdin):
        match line.split():
            case ["prepare"]:
                answer = None
                gc.collect()
                gc.freeze()
                print("prepared", flush=True)
            case ["put", timestamp]:
                client.put(int(timestamp))
                print("done", flush=True)
            case ["get"]:
                answer = client.get()
                print("done", flush=True)
            case ["got"]:
                print("digest", digest(client.pairs(answer)), flush=True)
            case ["scan"]:
                print("digest", digest(scan(address, table)), flush=True)
            case _:
                raise ValueError(line)


if __name__ == "__main__":
    main()
