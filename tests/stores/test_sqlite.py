"""What only the SQLite store promises: durability settings, several processes, typed errors, a wary file."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.stores.sqlite import SqliteStore


def column(*values: bytes) -> pa.BinaryArray:
    return pa.array(list(values), pa.binary())


def contend(path: Path, seed: int) -> None:
    store = SqliteStore(path, timeout=60)
    store.put_control_if_absent(b"race", b"winner", 1, b"%d" % seed)
    for timestamp in range(seed, 120, 3):
        store.write("counters_1", b"q", timestamp, column(b"shared"), column(b"%d" % timestamp))
    store.close()


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cells.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=contend, args=(path, seed)) for seed in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = SqliteStore(path)
    cells = store.read("counters_1", b"q", column(b"shared"))
    assert cells.timestamps.to_pylist() == [119]
    assert cells.values.to_pylist() == [b"119"]
    store.close()


def test_every_commit_is_durable(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cells.sqlite")
    connection = store._connection()
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_reopening_keeps_cells_and_identity(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "cells.sqlite")
    first.write("counters_1", b"q", 3, column(b"a"), column(b"x"))
    first.close()
    second = SqliteStore(tmp_path / "cells.sqlite", create=False)
    assert second.store_id == first.store_id
    assert second.tables() == ["counters_1"]
    assert second.read("counters_1", b"q", column(b"a")).values.to_pylist() == [b"x"]
    second.close()


def test_a_lock_held_too_long_is_retryable(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cells.sqlite", timeout=0.05)
    other = sqlite3.connect(tmp_path / "cells.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.put_control(b"r", b"q", 1, b"v")
    assert store.get_control(b"r", b"q") is None  # readers are not disturbed
    other.execute("ROLLBACK")
    other.close()
    store.put_control(b"r", b"q", 1, b"v")
    store.close()


def test_a_full_disk_is_retryable_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cells.sqlite")
    store.write("counters_1", b"q", 1, column(b"a"), column(b"old"))
    pages = store._connection().execute("PRAGMA page_count").fetchone()[0]
    store._connection().execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreUnavailable, match="full"):
        store.write("counters_1", b"q", 2, column(b"a", b"b"), column(b"new", b"x" * 100_000))
    assert store.read("counters_1", b"q", column(b"a", b"b")).values.to_pylist() == [b"old"]
    store.write(
        "counters_1", b"q", 2, column(b"a", b"b"), column(b"new", b"x" * 100_000)
    )  # a new connection: room again
    assert store.read("counters_1", b"q", column(b"a", b"b")).timestamps.to_pylist() == [2, 2]
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE counters_1 SET timestamp = 1",
        "UPDATE counters_1 SET value = x'00'",
        "DELETE FROM counters_1",
        "DELETE FROM control",
    ],
)
def test_the_file_refuses_what_the_scheme_rules_out(tmp_path: Path, sql: str) -> None:
    store = SqliteStore(tmp_path / "cells.sqlite")
    store.write("counters_1", b"q", 3, column(b"a"), column(b"x"))
    store.close()
    foreign = sqlite3.connect(tmp_path / "cells.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="flurry"):
        foreign.execute(sql)
    foreign.close()


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "other.sqlite")
    foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    with pytest.raises(StoreCorrupt, match="not a store of flurry_fast"):
        SqliteStore(tmp_path / "other.sqlite")
    (tmp_path / "text").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreCorrupt, match="damaged"):
        SqliteStore(tmp_path / "text")
    newer = SqliteStore(tmp_path / "newer.sqlite")
    newer._connection().execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreCorrupt, match="format 99"):
        SqliteStore(tmp_path / "newer.sqlite")


def test_a_missing_store_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="There is no store"):
        SqliteStore(tmp_path / "none.sqlite", create=False)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="can not be"):
        SqliteStore(tmp_path / "file" / "cells.sqlite")


def test_closing_waits_for_no_call_that_hangs(tmp_path: Path) -> None:
    """A worker may be stuck in a call when the process ends; its connection is not closed under it."""
    store = SqliteStore(tmp_path / "store.sqlite")
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ended: list[StoreUnavailable | None] = []

    def work() -> None:
        try:
            store.put_control(b"row", b"", 1, b"value")
            ended.append(None)
        except StoreUnavailable as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not store._busy:
        pass
    store.close()
    assert thread.is_alive()  # it waits for the lock, and nobody for it
    other.execute("ROLLBACK")
    thread.join()
    other.close()
    assert len(ended) == 1
    with pytest.raises(StoreUnavailable, match="closed"):
        store.get_control(b"row", b"")
