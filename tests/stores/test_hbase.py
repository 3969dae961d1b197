"""What only the HBase store promises: tables that are fit, and made once; identity; processes and their deaths."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pyarrow as pa
import pytest

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.config.model import Counters
from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.months import note_dropped
from flurry_fast.stores import open_store
from flurry_fast.stores.base import ControlCell
from flurry_fast.stores.hbase import HBaseStore, canary
from flurry_fast.stores.hbase import cells as cells_module
from flurry_fast.stores.hbase.tables import CONTROL
from flurry_fast.stores.hbase.wire import Gateway, TableExists, explain

Open = Callable[..., HBaseStore]


def column(*values: bytes) -> pa.BinaryArray:
    return pa.array(list(values), pa.binary())


def make(store: HBaseStore, table: str, **attributes: Any) -> None:
    hbase = import_module("Hbase_thrift")
    family = {"name": b"d:", "maxVersions": 1, "bloomFilterType": "ROW", "blockCacheEnabled": True} | attributes
    store.gateway.call("createTable", store.admin.full_name(table), [hbase.ColumnDescriptor(**family)])


def test_the_settings_open_it(hbase_address: HBaseAddress) -> None:
    settings = Counters(store=str(hbase_address))
    with pytest.raises(StoreUnavailable, match="There is no store at hbase://"):
        open_store(settings, create=False)
    made = open_store(settings)
    again = open_store(settings, create=False)
    assert isinstance(made, HBaseStore)
    assert made.store_id == again.store_id
    made.check()
    again.check()
    made.close()
    again.close()


def test_a_reader_makes_nothing(hbase_opener: Open) -> None:
    with pytest.raises(StoreUnavailable, match="tables create"):
        hbase_opener(create=False)
    store = hbase_opener()
    assert store.read("counters_201311", b"q", column(b"a")).indices.to_pylist() == []
    assert list(store.scan("counters_201311")) == []
    assert store.tables() == []


def test_no_gateway_is_said_in_one_sentence() -> None:
    with pytest.raises(StoreUnavailable, match=r"can not be used now: .*refused"):
        HBaseStore(HBaseAddress("127.0.0.1", 1), timeout=5)


def test_a_table_is_made_fit_and_once(hbase_store: HBaseStore, hbase_opener: Open) -> None:
    made: list[bool] = []
    stores = [hbase_store, hbase_opener(), hbase_opener()]
    barrier = threading.Barrier(len(stores))

    def work(store: HBaseStore, timestamp: int) -> None:
        barrier.wait()
        made.append(store.admin.create("counters_201311"))
        for _ in range(50):  # who comes second may find it not to be there yet
            try:
                store.write("counters_201311", b"q", timestamp, column(b"a"), column(b"%d" % timestamp))
            except StoreUnavailable:
                time.sleep(0.2)
            else:
                return

    threads = [threading.Thread(target=work, args=(store, at)) for at, store in enumerate(stores, start=1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, False, True]
    assert hbase_store.read("counters_201311", b"q", column(b"a")).timestamps.to_pylist() == [3]
    attributes = hbase_store.admin.attributes("counters_201311", regions=True)
    assert attributes is not None
    assert (attributes.breaking(), attributes.wasteful(), attributes.regions) == ([], [], 1)
    with pytest.raises(TableExists):
        make(hbase_store, "counters_201311")


def test_a_table_whose_cells_expire_is_refused(hbase_store: HBaseStore, hbase_opener: Open) -> None:
    make(hbase_store, "counters_201311", timeToLive=3600)
    for act in (
        lambda: hbase_store.check(),
        lambda: hbase_store.read("counters_201311", b"q", column(b"a")),
        lambda: hbase_store.write("counters_201311", b"q", 5, column(b"a"), column(b"v")),
        lambda: list(hbase_store.scan("counters_201311")),
    ):
        with pytest.raises(StoreCorrupt, match="TTL => 'FOREVER'"):
            act()


def test_what_only_costs_is_said(hbase_store: HBaseStore) -> None:
    make(hbase_store, "counters_201311", maxVersions=3, bloomFilterType="NONE", blockCacheEnabled=False)
    hbase_store.check()
    attributes = hbase_store.admin.attributes("counters_201311")
    assert attributes is not None
    assert len(attributes.wasteful()) == 3


def test_a_foreign_table_is_refused(hbase_store: HBaseStore) -> None:
    make(hbase_store, "counters_201311", name=b"other:")
    with pytest.raises(StoreCorrupt, match="no family d"):
        hbase_store.read("counters_201311", b"q", column(b"a"))


def test_a_control_table_with_a_ttl_is_refused_at_the_start(hbase_address: HBaseAddress, hbase_opener: Open) -> None:
    maker = hbase_opener(HBaseAddress(hbase_address.host, hbase_address.port, hbase_address.prefix + "x_"))
    try:
        hbase = import_module("Hbase_thrift")
        family = hbase.ColumnDescriptor(name=b"d:", maxVersions=1, timeToLive=3600)
        maker.gateway.call("createTable", f"{hbase_address.prefix}control".encode(), [family])
        with pytest.raises(StoreCorrupt, match="TTL"):
            hbase_opener()
    finally:
        maker.admin.drop(CONTROL)


def test_the_canary_hears_a_cell_that_does_not_win(hbase_store: HBaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hbase_store.check()
    put = canary.put_one
    shifted = lambda calls, table, column, at, row, value: put(calls, table, column, at - 2, row, value)  # noqa: E731
    monkeypatch.setattr(canary, "put_one", shifted)
    with pytest.raises(StoreCorrupt, match=r"other bytes|had the newest"):
        hbase_store.check()


def test_a_table_that_goes_while_it_is_used_is_no_empty_one(hbase_store: HBaseStore, hbase_opener: Open) -> None:
    hbase_store.write("counters_201311", b"q", 5, column(b"a"), column(b"v"))
    hbase_opener().admin.drop("counters_201311")
    with pytest.raises(StoreUnavailable):
        hbase_store.write("counters_201311", b"q", 6, column(b"a"), column(b"w"))
    with pytest.raises(StoreCorrupt, match="was dropped while"):
        hbase_store.write("counters_201311", b"q", 6, column(b"a"), column(b"w"))
    with pytest.raises(StoreCorrupt, match="was dropped while"):
        hbase_store.read("counters_201311", b"q", column(b"a"))


def test_a_dropped_month_is_not_made_again(hbase_store: HBaseStore) -> None:
    note_dropped(hbase_store, "counters_201311")
    with pytest.raises(StoreCorrupt, match="was dropped"):
        hbase_store.write("counters_201311", b"q", 5, column(b"a"), column(b"v"))
    assert hbase_store.tables() == []


def test_prefixes_do_not_see_each_other(hbase_store: HBaseStore, hbase_opener: Open) -> None:
    longer = HBaseAddress(hbase_store.address.host, hbase_store.address.port, hbase_store.address.prefix + "y_")
    other = hbase_opener(longer)
    try:
        other.write("counters_201312", b"q", 5, column(b"a"), column(b"v"))
        assert other.store_id != hbase_store.store_id
        assert hbase_store.read("counters_201312", b"q", column(b"a")).indices.to_pylist() == []
        assert other.tables() == ["counters_201312"]
        assert "counters_201312" not in hbase_store.tables()
    finally:
        for table in ("counters_201312", CONTROL):
            other.admin.drop(table)


def test_rows_that_hbase_does_not_take(hbase_store: HBaseStore) -> None:
    for row in (b"", b"x" * 32_001):
        with pytest.raises(ValueError, match="a row of HBase"):
            hbase_store.write("counters_201311", b"q", 5, column(row), column(b"v"))
    hbase_store.write("counters_201311", b"q", 5, column(b"x" * 32_000), column(b"v"))
    with pytest.raises(StoreUnavailable, match="too large"):
        hbase_store.write("counters_201311", b"q", 6, column(b"big"), column(b"v" * (11 * 2**20)))


def test_a_large_write_is_cut_into_calls(hbase_store: HBaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "PUT_BYTES", 1000)
    rows = [b"%03d" % i for i in range(25)]
    hbase_store.write("counters_201311", b"q", 5, column(*rows), column(*[b"v" * 97] * 25))
    assert len(hbase_store.read("counters_201311", b"q", column(*rows)).indices) == 25


def test_a_wide_row_is_scanned_in_parts(hbase_store: HBaseStore) -> None:
    names = [b"q%04d" % i for i in range(250)]
    for name in names:
        hbase_store.write("counters_201311", name, 5, column(b"wide"), column(name))
    hbase_store.write("counters_201311", b"z", 6, column(b"wider"), column(b"last"))
    cells = [cell for batch in hbase_store.scan("counters_201311") for cell in batch.to_pylist()]
    assert [cell["qualifier"] for cell in cells] == [*names, b"z"]
    assert hbase_store.control_rows(b"inst") == [b"installation"]


def test_errors_are_one_line() -> None:
    thrift = import_module("thriftpy2.thrift")
    refusal = thrift.TApplicationException(6, b"Internal error processing mutateRowsTs")
    assert explain(refusal) == "Internal error processing mutateRowsTs"
    io = import_module("Hbase_thrift").IOError(
        message=b"org.apache.hadoop.hbase.DoNotRetryIOException: " * 2 + b"no\n\tat org.apache.hadoop.x"
    )
    assert explain(io) == "DoNotRetryIOException: no"
    assert explain(TimeoutError()) == "no answer in time"


# --- processes -------------------------------------------------------------------------------------------------------


def contend(address: HBaseAddress, seed: int, told: Any) -> None:
    """Put and claim at random, for ever; say what was acknowledged."""
    store, chance = HBaseStore(address, timeout=60), random.Random(seed)
    while True:
        timestamp = chance.randrange(1, 10**6)
        value = b"%d" % timestamp
        if chance.random() < 0.3:
            name = b"claim%d" % chance.randrange(40)
            told.put((name, store.put_control_if_absent(b"race", name, timestamp, value)))
        else:
            store.put_control(b"race", b"position", timestamp, value)
            told.put((b"position", ControlCell(timestamp, value)))


def test_processes_that_are_killed_share_control_cells(hbase_address: HBaseAddress, hbase_opener: Open) -> None:
    store = hbase_opener()
    context = multiprocessing.get_context("spawn")
    told = context.Manager().Queue()
    seeds = iter(range(100))

    def start() -> Any:
        process = context.Process(target=contend, args=(hbase_address, next(seeds), told), daemon=True)
        process.start()
        return process

    processes = [start() for _ in range(3)]
    heard: list[tuple[bytes, ControlCell]] = []
    seen = 0
    for _ in range(4):
        while len(heard) % 60 < 59:
            heard.append(told.get(timeout=120))
        heard.append(told.get(timeout=120))
        victim = processes.pop(0)
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        processes.append(start())
        cell = store.get_control(b"race", b"position")
        assert cell is not None
        assert cell.timestamp >= seen
        seen = cell.timestamp
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    final = store.scan_control(b"race")
    assert final[b"position"].timestamp >= max(cell.timestamp for name, cell in heard if name == b"position")
    claims = [(name, cell) for name, cell in heard if name != b"position"]
    assert claims
    assert all(final[name] == cell for name, cell in claims)  # one winner each, whoever asked


def test_a_closed_gateway_gives_no_connection(hbase_gateway: HBaseAddress) -> None:
    gateway = Gateway(hbase_gateway, 10)
    gateway.call("getTableNames")
    gateway.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        gateway.call("getTableNames")
