"""One app's stored blocks of one hour, as they are: what an operator wants to see when a counter looks odd.

Readers sum what is here (reading.py). Nothing here writes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa

from flurry_fast import _core
from flurry_fast.registry import plans
from flurry_fast.stores.base import CellStore, prefix_end


@dataclass(frozen=True)
class Group:
    """One line of a rollup: its dimensions' values (None: the line `(other)`) and its measures, by name."""

    dimensions: dict[str, str] | None
    measures: dict[str, int]


@dataclass(frozen=True)
class StoredBlock:
    """What one partition contributed under one plan: all its records below offset `end` (E).

    `last_crc`: CRC-32C of record E - 1. `problem`: why the value cannot be decoded; then there are no rollups.
    """

    table: str
    row: bytes
    qualifier: bytes
    plan: int
    incarnation: int
    partition: int
    end: int
    value: bytes
    last_crc: int | None = None
    rollups: dict[str, list[Group]] = field(default_factory=dict)
    problem: str | None = None


def stored_blocks(store: CellStore, api_key: bytes, bucket: int) -> list[StoredBlock]:
    """Every block of an app's hour, by plan, incarnation and partition; empty if there is none.

    `api_key` as its wire bytes, at most 255; `bucket` in hours since the epoch. Raises StoreError.
    """
    table, row = _core.table_of(bucket), _core.row_key(api_key, bucket)
    known = {number: _core.Plan.registered(toml, number) for number, toml in plans(store).items()}
    batches = store.scan(table, start=row, stop=row + b"\0")
    found = [_decoded(table, known, cell) for batch in batches for cell in batch.to_pylist()]
    return sorted(found, key=lambda block: (block.plan, block.incarnation, block.partition))


def hours_of(store: CellStore, api_key: bytes) -> list[int]:
    """Every hour (bucket) in which an app has a block, in order. Reads all its blocks. Raises StoreError."""
    first = _core.row_key(api_key, 0)
    prefix = first[:-4]
    found: set[int] = set()
    for table in store.tables():
        for batch in store.scan(table, start=prefix, stop=prefix_end(prefix)):
            rows = cast("list[bytes]", batch.column("row").to_pylist())
            found.update(int.from_bytes(row[-4:]) for row in rows if len(row) == len(first))
    return sorted(found)


def _decoded(table: str, known: dict[int, _core.Plan], cell: dict[str, Any]) -> StoredBlock:
    row, qualifier, end, value = cell["row"], cell["qualifier"], cell["timestamp"], cell["value"]
    owner, incarnation, partition = (int.from_bytes(part) for part in (qualifier[:4], qualifier[4:8], qualifier[8:]))
    cell_only = StoredBlock(table, row, qualifier, owner, incarnation, partition, end, value)
    plan = known.get(owner)
    if plan is None:
        return dataclasses.replace(cell_only, problem=f"plan {owner:08x} is not registered in this store")
    try:
        block = _core.decode_block(plan, row, value)
    except _core.CellCorrupt as error:
        return dataclasses.replace(cell_only, problem=str(error))
    problem = None
    if (block.end, block.plan) != (end, owner):
        problem = f"it says plan {block.plan:08x} up to {block.end}, its cell {owner:08x} up to {end}"
    return dataclasses.replace(cell_only, last_crc=block.last_crc, rollups=_rollups(plan, block), problem=problem)


def _rollups(plan: _core.Plan, block: _core.Block) -> dict[str, list[Group]]:
    shapes = {rollup.number: rollup for rollup in plan.rollups}
    found: dict[str, list[Group]] = {}
    for line in pa.record_batch(block.groups).to_pylist():
        shape = shapes[line["rollup"]]
        dimensions = None if line["other"] else dict(zip(shape.dimensions, line["dimensions"], strict=True))
        group = Group(dimensions, dict(zip(shape.measures, line["measures"], strict=True)))
        found.setdefault(shape.name, []).append(group)
    return found
