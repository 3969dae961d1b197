"""A store as it is found after an upgrade that changed the rules: this version gives its plan another id."""

from __future__ import annotations

import struct
import zlib

import pyarrow as pa

from flurry_fast.registry import STATE
from flurry_fast.stores.base import CellStore
from flurry_fast.stores.memory import MemoryStore

from .logs import TOPIC

_PLAN_AT = 1 + 8  # of a block: behind format and E


def counted_by_other_rules(store: CellStore, plan: int, other: int) -> MemoryStore:
    """A copy in which everything of `plan` stands under the id `other`."""
    ours, theirs = plan.to_bytes(4), other.to_bytes(4)
    target = MemoryStore(store.store_id)
    for row in (b"topic|" + TOPIC.encode(), b"plan", b"position|counters", b"began"):
        for qualifier, cell in store.scan_control(row).items():
            value = cell.value
            if qualifier == STATE:
                state = value[4:].replace(b'"plan":%d' % plan, b'"plan":%d' % other)
                value = zlib.crc32(state).to_bytes(4) + state
            target.put_control(row, qualifier.replace(ours, theirs), cell.timestamp, value)
    for table in store.tables():
        for batch in store.scan(table):
            for cell in batch.to_pylist():
                value = cell["value"]
                assert value[_PLAN_AT : _PLAN_AT + 4] == ours
                body = value[:_PLAN_AT] + theirs + value[_PLAN_AT + 4 : -4]
                sealed = pa.array([body + struct.pack(">I", zlib.crc32(body))], pa.binary())
                qualifier = cell["qualifier"].replace(ours, theirs)
                target.write(table, qualifier, cell["timestamp"], pa.array([cell["row"]], pa.binary()), sealed)
    return target
