"""Batches, stores and comparisons for the engine's tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from flurry_fast._core import Engine, Plan, Simulator, decode_json
from flurry_fast._wire import Batch
from flurry_fast.positions import ArchivePosition, CountersPosition
from flurry_fast.verify import blocks
from flurry_fast.verify.count import Count
from flurry_fast.verify.plan import CountedPlan

INCARNATION = 0xABCD_0123
SECRET = bytes(range(16))


def batch_of(payloads: Sequence[bytes], timestamps: Sequence[int], first: int = 0, partition: int = 0) -> Batch:
    """Records of one partition from offset `first` on; timestamps in ms."""
    return Batch.from_buffers(
        b"".join(payloads),
        np.cumsum([0, *map(len, payloads)]).astype(np.int64),
        np.arange(first, first + len(payloads), dtype=np.int64),
        np.asarray(timestamps, dtype=np.int64),
        partition,
    )


def new_engine(plan: Plan, **options: Any) -> Engine:
    return Engine(plan, incarnation=INCARNATION, secret=SECRET, **options)


def assigned_engine(plan: Plan, position: CountersPosition | None = None) -> Engine:
    """An engine with partition 0, from the beginning of its log or from `position`; no archive.

    The log is to be read from its beginning in any case: records below `position` say whose sessions came before.
    """
    engine = new_engine(plan, archive=False)
    position = position or CountersPosition(0)
    engine.assign(0, log_start=0, counters=position, archive=None, read_from=0, recall_from=0)
    return engine


def simulated(reports: int, **options: Any) -> tuple[list[bytes], list[int]]:
    """Payloads and Kafka timestamps of a simulated fleet."""
    batch = Simulator(**options).next_batch(reports)
    return batch.payloads(), np.frombuffer(batch.times_ms, dtype=np.int64).tolist()


def counted(toml: str, payloads: Sequence[bytes], timestamps: Sequence[int], partition: int = 0) -> Count:
    """The independent count of the same records."""
    count = Count(CountedPlan.parse(toml))
    for offset, (payload, timestamp) in enumerate(zip(payloads, timestamps, strict=True)):
        line = {"outcome": "ok", **json.loads(decode_json(payload))}
        count.add(line | {"partition": partition, "offset": offset, "timestamp_ms": timestamp})
    return count


def in_memory(engine: Engine, toml: str, partition: int = 0) -> dict[Any, Any]:
    """Every block of the engine, read by the independent decoder, in the shape of `Count.blocks`."""
    plan = CountedPlan.parse(toml)
    found = {}
    rows, _ = engine.touched(partition)
    for row in pa.array(rows).to_pylist():
        value = engine.peek_block(partition, row)
        assert value is not None
        api_key, bucket = blocks.parse_row(row)
        found[partition, api_key, bucket] = blocks.decode(plan, value).rollups
    return found


@dataclass
class CellMap:
    """The smallest cell store: the highest timestamp wins."""

    cells: dict[tuple[str, bytes, bytes], tuple[int, bytes]] = field(default_factory=dict)

    def write(self, part: Any) -> None:
        rows, values = pa.array(part.rows).to_pylist(), pa.array(part.values).to_pylist()
        assert len(rows) == part.count
        for row, value in zip(rows, values, strict=True):
            name = (part.table, part.qualifier, row)
            old = self.cells.get(name, (-1, b""))
            assert old[0] != part.timestamp or old[1] == value
            self.cells[name] = max(old, (part.timestamp, value))

    def seed(self, engine: Engine, group: Any, log_end: int) -> None:
        rows = pa.array(group.rows).to_pylist()
        found = [(at, self.cells.get((group.table, group.qualifier, row))) for at, row in enumerate(rows)]
        cells = [(at, *cell) for at, cell in found if cell is not None]
        engine.seed(
            group,
            pa.array([at for at, _, _ in cells], pa.int32()),
            pa.array([timestamp for _, timestamp, _ in cells], pa.int64()),
            pa.array([value for _, _, value in cells], pa.binary()),
            log_end,
        )


ORIGIN = CountersPosition(0)
ARCHIVE_ORIGIN = ArchivePosition(0)
