"""A real gateway behind a proxy that spoils replies: nothing is taken for an acknowledgement, or for an answer, but a
clean reply to the very call; and the next call, on another connection, is right."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.errors import StoreUnavailable
from flurry_fast.stores.base import ControlCell
from flurry_fast.stores.hbase import HBaseStore, cells
from flurry_fast.stores.hbase.wire import Connection, Gateway, ReplyMismatch

from ..faults.proxy import FaultProxy, Kind

TABLE = "counters_201311"
SHORT = 1.0  # seconds of a call
Open = Callable[..., HBaseStore]

FAULTS = {
    "delay": {"kind": Kind.DELAY, "seconds": 3.0},
    "drip": {"kind": Kind.DRIP, "seconds": 0.3},  # each byte is in time, all of them are not
    "nothing": {"kind": Kind.CUT, "keep": 0},
    "half a reply": {"kind": Kind.CUT, "keep": 13},
    "reset": {"kind": Kind.RESET},
    "reset before": {"kind": Kind.RESET_BEFORE},
    "half open": {"kind": Kind.SWALLOW},
    "held": {"kind": Kind.HOLD},
    "replaced": {"kind": Kind.REPLACE},
}


@pytest.fixture
def proxy(hbase_address: HBaseAddress) -> Iterator[FaultProxy]:
    with FaultProxy(hbase_address.host, hbase_address.port) as made:
        yield made


@pytest.fixture
def store(proxy: FaultProxy, hbase_address: HBaseAddress, hbase_opener: Open) -> HBaseStore:
    """Through the proxy, in a hurry; its table is there."""
    patient = hbase_opener()
    patient.write(TABLE, b"q", 1, column(b"first"), column(b"1"))
    made = hbase_opener(HBaseAddress("127.0.0.1", proxy.port, hbase_address.prefix), timeout=SHORT)
    assert read(made, b"first") == {b"first": (1, b"1")}
    return made


def column(*values: bytes) -> pa.BinaryArray:
    return pa.array(list(values), pa.binary())


def read(store: HBaseStore, *rows: bytes) -> dict[bytes, tuple[int, bytes]]:
    answer = store.read(TABLE, b"q", column(*rows))
    found = zip(answer.indices.to_pylist(), answer.timestamps.to_pylist(), answer.values.to_pylist(), strict=True)
    return {rows[i]: (timestamp, value) for i, timestamp, value in found}


@pytest.mark.parametrize("name", FAULTS)
def test_a_spoiled_write_is_no_acknowledgement(name: str, proxy: FaultProxy, store: HBaseStore) -> None:
    before = proxy.connections
    fault = proxy.spoil(method=b"mutateRowsTs", **FAULTS[name])
    with pytest.raises(StoreUnavailable):
        store.write(TABLE, b"q", 5, column(b"a", b"b"), column(b"a5", b"b5"))
    assert fault.hit.is_set()
    store.write(TABLE, b"q", 5, column(b"a", b"b"), column(b"a5", b"b5"))
    assert read(store, b"a", b"b") == {b"a": (5, b"a5"), b"b": (5, b"b5")}
    assert proxy.connections > before


@pytest.mark.parametrize("name", FAULTS)
def test_a_spoiled_read_is_no_answer(name: str, proxy: FaultProxy, store: HBaseStore) -> None:
    store.write(TABLE, b"q", 5, column(b"a", b"b"), column(b"a5", b"b5"))
    assert read(store, b"b") == {b"b": (5, b"b5")}  # what a reply that is repeated would say
    fault = proxy.spoil(method=b"getRowsWithColumns", **FAULTS[name])
    with pytest.raises(StoreUnavailable):
        read(store, b"a")
    assert fault.hit.is_set()
    assert read(store, b"a") == {b"a": (5, b"a5")}
    assert read(store, b"none") == {}


@pytest.mark.parametrize("name", FAULTS)
def test_a_spoiled_compared_put_is_settled_by_the_next_try(name: str, proxy: FaultProxy, store: HBaseStore) -> None:
    store.put_control(b"r", b"q", 1, b"one")
    fault = proxy.spoil(method=b"checkAndPut", **FAULTS[name])
    with pytest.raises(StoreUnavailable):
        store.put_control(b"r", b"q", 2, b"two")
    assert fault.hit.is_set()
    store.put_control(b"r", b"q", 2, b"two")
    proxy.spoil(method=b"checkAndPut", **FAULTS[name])
    with pytest.raises(StoreUnavailable):
        store.put_control_if_absent(b"r", b"new", 1, b"mine")
    assert store.put_control_if_absent(b"r", b"new", 1, b"mine").value == b"mine"
    there = store.scan_control(b"r")
    assert {name: (cell.timestamp, cell.value) for name, cell in there.items()} == {
        b"q": (2, b"two"),
        b"new": (1, b"mine"),
    }


def test_a_scan_goes_on_behind_what_it_gave(proxy: FaultProxy, store: HBaseStore) -> None:
    rows = [b"%04d" % i for i in range(300)]
    store.write(TABLE, b"q", 2, column(*rows), column(*rows))
    scanned = store.scan(TABLE, stop=b"a")
    got = next(scanned).column("row").to_pylist()
    proxy.cut_all()
    for batch in scanned:
        got += batch.column("row").to_pylist()
    assert got == rows
    proxy.spoil(Kind.RESET, b"scannerOpenWithScan")
    with pytest.raises(StoreUnavailable):
        list(store.scan(TABLE))


def test_a_connection_that_was_closed_while_idle_is_no_failure(proxy: FaultProxy, store: HBaseStore) -> None:
    """Gateways close sockets that are idle for a minute."""
    proxy.cut_all()
    connections = proxy.connections
    store.write(TABLE, b"q", 5, column(b"a"), column(b"a5"))
    assert read(store, b"a") == {b"a": (5, b"a5")}
    assert proxy.connections == connections + 1


def test_a_reply_that_comes_twice_ends_its_connection(proxy: FaultProxy, store: HBaseStore) -> None:
    proxy.spoil(Kind.SPILL, b"mutateRowsTs")
    with pytest.raises(StoreUnavailable, match="no call waits for"):
        store.write(TABLE, b"q", 5, column(b"a"), column(b"a5"))
    proxy.spoil(Kind.SPILL, b"getRowsWithColumns")
    with pytest.raises(StoreUnavailable, match="no call waits for"):
        read(store, b"first")
    proxy.spoil(Kind.SPILL, b"checkAndPut")
    with pytest.raises(StoreUnavailable, match="no call waits for"):
        store.put_control(b"r", b"q", 1, b"one")
    assert read(store, b"first", b"a") == {b"first": (1, b"1"), b"a": (5, b"a5")}
    proxy.spoil(Kind.SPILL, b"getRowWithColumns")  # thriftpy2 reads the first, and leaves the second there
    assert store.get_control(b"r", b"none") is None
    for _ in range(3):
        try:
            assert store.get_control(b"r", b"q") == ControlCell(1, b"one")
        except StoreUnavailable:
            continue


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "held"])  # before the next: as it should be
def test_a_reply_that_is_spoiled_among_others_fails_the_write(
    name: str, proxy: FaultProxy, store: HBaseStore, hbase_opener: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many calls over two sockets: none of the others' clean replies speaks for it, and sending again settles it."""
    monkeypatch.setattr(cells, "PUT_ROWS", 50)
    rows = [b"%04d" % i for i in range(400)]
    fault = proxy.spoil(method=b"mutateRowsTs", **FAULTS[name])
    with pytest.raises(StoreUnavailable):
        store.write(TABLE, b"q", 5, column(*rows), column(*rows))
    assert fault.hit.is_set()
    for _ in range(20):  # a busy machine may need more than a hurried call has
        with contextlib.suppress(StoreUnavailable):
            store.write(TABLE, b"q", 5, column(*rows), column(*rows))
            break
    assert read(hbase_opener(), *rows) == {row: (5, row) for row in rows}


def test_a_late_reply_is_not_the_next_calls_answer(proxy: FaultProxy, store: HBaseStore) -> None:
    """Without the rule that any exception closes the connection, the sequence ids alone must tell."""
    store.write(TABLE, b"q", 5, column(b"a", b"b"), column(b"a5", b"b5"))
    name = store.admin.full_name(TABLE)
    connection = Connection(HBaseAddress("127.0.0.1", proxy.port), SHORT)
    try:
        proxy.spoil(Kind.HOLD, b"getRowsWithColumns")
        with pytest.raises(TimeoutError):
            connection.client.call("getRowsWithColumns", name, [b"a"], [b"d:q"], {}, timeout=SHORT)
        with pytest.raises(ReplyMismatch, match="came for call"):
            connection.client.call("getRowsWithColumns", name, [b"b"], [b"d:q"], {}, timeout=10)
    finally:
        connection.close()


def test_a_gateway_that_is_down_is_waited_for(proxy: FaultProxy, store: HBaseStore) -> None:
    proxy.down = True
    proxy.cut_all()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="can not be used now"):
            store.write(TABLE, b"q", 5, column(b"a"), column(b"a5"))
    proxy.down = False
    store.write(TABLE, b"q", 5, column(b"a"), column(b"a5"))
    assert read(store, b"a") == {b"a": (5, b"a5")}


def test_closing_wakes_a_call_that_hangs(proxy: FaultProxy, hbase_address: HBaseAddress) -> None:
    gateway = Gateway(HBaseAddress("127.0.0.1", proxy.port, hbase_address.prefix), 1000)
    fault = proxy.spoil(Kind.SWALLOW, b"getTableNames")
    ended: list[str] = []

    def work() -> None:
        try:
            gateway.call("getTableNames")
        except StoreUnavailable as error:
            ended.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    fault.hit.wait()
    gateway.close()
    thread.join()
    assert ended == ["The store is closed."]


def test_many_threads_under_random_faults(proxy: FaultProxy, store: HBaseStore) -> None:
    """Every acknowledged cell is there, every answer is of the row that was asked for."""
    wrong: list[str] = []

    def work(seed: int) -> None:
        chance, acknowledged = random.Random(seed), dict[bytes, int]()
        rows = [b"t%d-%d" % (seed, i) for i in range(4)]
        for timestamp in range(1, 30):
            row = chance.choice(rows)
            if chance.random() < 0.4:
                name = chance.choice([name for name in FAULTS if name not in ("delay", "drip", "half open")])
                proxy.spoil(method=chance.choice([b"mutateRowsTs", b"getRowsWithColumns"]), **FAULTS[name])
            try:
                store.write(TABLE, b"q", timestamp, column(row), column(row + b"@%d" % timestamp))
                acknowledged[row] = timestamp
            except StoreUnavailable:
                pass
            try:
                found = read(store, *rows)
            except StoreUnavailable:
                continue
            for asked in rows:
                at, value = found.get(asked, (0, b""))
                if at < acknowledged.get(asked, 0) or (at and value != asked + b"@%d" % at):
                    wrong.append(f"{asked!r}: acknowledged {acknowledged.get(asked)}, read {at} {value!r}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
