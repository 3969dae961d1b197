"""The blocks of a store as an audit reads them: by their ends and digests, each checked for what it says of itself."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import cast

from flurry_fast.stores.base import CellStore
from flurry_fast.verify import blocks
from flurry_fast.verify.blocks import BlockError
from flurry_fast.verify.compare import TABLE_PREFIX, table_of
from flurry_fast.verify.result import Audit, Cell, Column, PartitionAudit

_HEAD = struct.Struct(">BQII")


def groups(
    store: CellStore, known: Sequence[PartitionAudit], limit: int, wanted: Collection[int] | None
) -> list[set[int]]:
    """Partitions whose blocks are read together: as many as have `limit` blocks, and one at least."""
    counts: Counter[int] = Counter({partition.column.partition: 0 for partition in known})
    for table in store.tables():
        if table.startswith(TABLE_PREFIX):
            for batch in store.scan(table):
                qualifiers = cast("list[bytes]", batch.column("qualifier").to_pylist())
                counts.update(int.from_bytes(name[8:]) for name in qualifiers)
    found: list[set[int]] = []
    held = 0
    for partition in sorted(counts if wanted is None else wanted):
        if not found or held + counts[partition] > limit:
            found.append(set())
            held = 0
        found[-1].add(partition)
        held += counts[partition]
    return found


def cells(
    store: CellStore, result: Audit, incarnations: set[int], partitions: Collection[int]
) -> dict[Column, dict[bytes, Cell]]:
    """Every block's end and digest by row, of some partitions; what a block says of itself is checked here."""
    found: dict[Column, dict[bytes, Cell]] = {}
    for table in store.tables():
        if not table.startswith(TABLE_PREFIX):
            continue
        for batch in store.scan(table):
            for cell in batch.to_pylist():
                row, qualifier, end, value = cell["row"], cell["qualifier"], cell["timestamp"], cell["value"]
                try:
                    column = Column(*blocks.parse_qualifier(qualifier))
                    if column.partition not in partitions:
                        continue
                    if column.incarnation not in incarnations:
                        result.other_cells += 1
                        continue
                    _self_check(table, row, column, end, value)
                except BlockError as error:
                    result.findings.append(f"{table}, row {row.hex()}, column {qualifier.hex()}: {error}")
                    continue
                found.setdefault(column, {})[row] = Cell(table, end, digest(value))
    return found


def _self_check(table: str, row: bytes, column: Column, end: int, value: bytes) -> None:
    _, bucket = blocks.parse_row(row)
    if table != table_of(bucket):
        raise BlockError("the block is in the table of another month")
    if value and value[0] != blocks.FORMAT:
        raise BlockError(f"the block has format {value[0]}; this version reads {blocks.FORMAT}")
    if len(value) < _HEAD.size + 5 or zlib.crc32(value[:-4]) != int.from_bytes(value[-4:]):
        raise BlockError("the block is damaged (its CRC does not match)")
    _, its_end, its_plan, _ = _HEAD.unpack(value[: _HEAD.size])
    if (its_end, its_plan) != (end, column.plan):
        raise BlockError(f"the block says plan {its_plan:08x} up to {its_end}, its cell {column.plan:08x} up to {end}")


def digest(value: bytes) -> bytes:
    """What is kept of a block's value, 16 bytes."""
    return hashlib.blake2b(value, digest_size=16).digest()
