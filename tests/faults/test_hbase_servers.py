"""Gateway and region server are killed under writers: what was acknowledged is not lost, and nobody needs a restart.

Needs a stack that may be killed: FLURRY_FAST_KILL_STACK is its directory, FLURRY_FAST_STACK_COMMAND takes `status`,
`kill NAME` and `start NAME` with `--dir`.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.errors import StoreUnavailable
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.tables import CONTROL

TABLE = "counters_201311"


class Servers:
    """The processes of one stack."""

    def __init__(self, directory: str, command: str) -> None:
        self._directory, self._command = directory, shlex.split(command)

    def do(self, *arguments: str) -> str:
        line = [*self._command, *arguments, "--dir", self._directory]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    def gateway(self) -> HBaseAddress:
        host, port = json.loads(self.do("status"))["hbase_thrift"]
        return HBaseAddress(host, port, f"test_{secrets.token_hex(4)}_")


@pytest.fixture(scope="module")
def servers() -> Servers:
    directory, command = os.environ.get("FLURRY_FAST_KILL_STACK"), os.environ.get("FLURRY_FAST_STACK_COMMAND")
    if not directory or not command:
        pytest.skip("FLURRY_FAST_KILL_STACK and FLURRY_FAST_STACK_COMMAND name no stack that may be killed")
    return Servers(directory, command)


@pytest.fixture
def store(servers: Servers) -> Iterator[HBaseStore]:
    made = HBaseStore(servers.gateway(), timeout=90)
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


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["thrift", "hmaster"])
def test_what_was_acknowledged_survives(victim: str, servers: Servers, store: HBaseStore) -> None:
    writer = Writer(store)
    writer.start()
    writer.wait_for(50)
    for _ in range(2):
        servers.do("kill", victim)
        acknowledged = writer.acknowledged
        servers.do("start", victim)
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
