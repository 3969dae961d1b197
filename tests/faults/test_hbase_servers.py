"""Gateway and region server are killed under writers: what was acknowledged is not lost, and nobody needs a restart."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.errors import StoreUnavailable
from flurry_fast.stack import Stack
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.tables import CONTROL

TABLE = "counters_201311"


@pytest.fixture
def store(stack: Stack) -> Iterator[HBaseStore]:
    assert stack.addresses.hbase_thrift is not None
    address = HBaseAddress(*stack.addresses.hbase_thrift, f"test_{secrets.token_hex(4)}_")
    made = HBaseStore(address, timeout=90)
    made.check()
    made.admin.ensure(TABLE)
    yield made
    for table in (TABLE, CONTROL):
        made.admin.drop(table)
    made.close()


class Writer(threading.Thread):
    """Sends each timestamp until it is acknowledged, a block and then a position, as the sink does."""

    def __init__(self, store: HBaseStore) -> None:
        super().__init__(daemon=True)
        self.store = store
        self.acknowledged = 0
        self.failures: list[str] = []
        self.longest = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        timestamp = 0
        while not self.stop.is_set():
            timestamp += 1
            began = time.monotonic()
            while not self._sent(timestamp):
                time.sleep(0.2)
            self.longest = max(self.longest, time.monotonic() - began)
            self.acknowledged = timestamp

    def _sent(self, timestamp: int) -> bool:
        rows = pa.array([b"%d" % (timestamp % 7), b"all"], pa.binary())
        values = pa.array([b"%d" % timestamp] * 2, pa.binary())
        try:
            self.store.write(TABLE, b"q", timestamp, rows, values)
            self.store.put_control(b"position", b"p", timestamp, b"%d" % timestamp)
        except StoreUnavailable as error:
            self.failures.append(str(error))
            return False
        return True

    def wait_for(self, more: int) -> None:
        target = self.acknowledged + more
        while self.acknowledged < target:
            assert self.is_alive()
            time.sleep(0.05)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("victim", ["thrift", "hmaster"])
def test_what_was_acknowledged_survives(victim: str, stack: Stack, store: HBaseStore) -> None:
    writer = Writer(store)
    writer.start()
    writer.wait_for(50)
    for _ in range(2):
        stack.kill(victim)
        acknowledged = writer.acknowledged
        stack.start(victim)
        writer.wait_for(30)
        cells = store.read(TABLE, b"q", pa.array([b"all"], pa.binary()))
        assert cells.timestamps[0].as_py() > acknowledged
    writer.stop.set()
    writer.join()
    print(f"{victim}: longest {writer.longest:.1f} s, {len(writer.failures)} failures, like {writer.failures[:1]}")
    last = writer.acknowledged
    cells = store.read(TABLE, b"q", pa.array([b"%d" % i for i in range(7)] + [b"all"], pa.binary()))
    found = cells.timestamps.to_pylist()
    assert sorted(found) == sorted([*range(last - 6, last + 1), last])
    assert [value.decode() for value in cells.values.to_pylist()] == [str(at) for at in found]
    position = store.get_control(b"position", b"p")
    assert position is not None
    assert position.timestamp == last
