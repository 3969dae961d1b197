"""One suite over every cell store."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.stores.base import SCATTERED, CellColumn, CellStore, ControlCell, prefix_end
from flurry_fast.stores.memory import MemoryStore
from flurry_fast.stores.sqlite import SqliteStore

STORES: dict[str, Callable[[Path], CellStore]] = {
    "memory": lambda _path: MemoryStore(),
    "sqlite": lambda path: SqliteStore(path / "new" / "cells.sqlite", timeout=20),
}


@pytest.fixture(params=[*STORES, "hbase"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CellStore]:
    made = request.getfixturevalue("hbase_store") if request.param == "hbase" else STORES[request.param](tmp_path)
    yield made
    made.close()


def column(*values: bytes) -> pa.BinaryArray:
    return pa.array(list(values), pa.binary())


def read(
    store: CellStore, *rows: bytes, table: str = "counters_201311", qualifier: bytes = b"q"
) -> dict[bytes, tuple[int, bytes]]:
    cells = store.read(table, qualifier, column(*rows))
    assert cells.indices.type == pa.int32()
    assert cells.timestamps.type == pa.int64()
    assert cells.values.type == pa.binary()
    found = zip(cells.indices.to_pylist(), cells.timestamps.to_pylist(), cells.values.to_pylist(), strict=True)
    return {rows[i]: (timestamp, value) for i, timestamp, value in found}


def write(store: CellStore, timestamp: int, cells: dict[bytes, bytes], *, table: str = "counters_201311") -> None:
    store.write(table, b"q", timestamp, column(*cells), column(*cells.values()))


def test_nothing_is_there_at_first(store: CellStore) -> None:
    assert read(store, b"a") == {}
    assert read(store) == {}
    assert store.tables() == []
    assert list(store.scan("counters_201311")) == []
    assert store.get_control(b"r", b"q") is None
    assert store.scan_control(b"r") == {}
    assert len(store.store_id) == 16


def test_the_highest_timestamp_wins_whatever_arrives_last(store: CellStore) -> None:
    write(store, 5, {b"a": b"five", b"b": b"x"})
    write(store, 9, {b"a": b"nine"})
    write(store, 7, {b"a": b"seven", b"c": b""})
    assert read(store, b"c", b"a", b"none", b"b") == {b"a": (9, b"nine"), b"b": (5, b"x"), b"c": (7, b"")}
    assert read(store, b"a", qualifier=b"other") == {}
    assert read(store, b"a", table="counters_201312") == {}
    assert store.tables() == ["counters_201311"]


def test_the_same_again_is_done_already_and_other_bytes_are_corruption(store: CellStore) -> None:
    write(store, 5, {b"a": b"five"})
    write(store, 5, {b"a": b"five", b"b": b"new"})
    if store.refuses_conflicts:
        with pytest.raises(StoreCorrupt):
            write(store, 5, {b"a": b"FIVE"})
    assert read(store, b"a") == {b"a": (5, b"five")}
    write(store, 6, {b"a": b"six"})  # the connection is usable after the refusal
    write(store, 5, {b"a": b"anything older"})
    assert read(store, b"a") == {b"a": (6, b"six")}


def test_zero_and_large_values(store: CellStore) -> None:
    write(store, 0, {b"\x00\xff": b"\x00" * 300_000})
    write(store, 2**62, {b"b": b"top"})
    assert read(store, b"\x00\xff", b"b") == {b"\x00\xff": (0, b"\x00" * 300_000), b"b": (2**62, b"top")}


def test_what_a_cell_may_not_be(store: CellStore) -> None:
    for timestamp in (-1, 2**63):
        with pytest.raises(ValueError, match="timestamp"):
            write(store, timestamp, {b"a": b""})
    with pytest.raises(ValueError, match="rows with"):
        store.write("counters_1", b"q", 1, column(b"a"), column())
    with pytest.raises(ValueError, match="null"):
        store.write("counters_1", b"q", 1, column(b"a"), pa.array([None], pa.binary()))
    for name in ("", "Robert'); DROP TABLE control;--", "1a", "sqlite master"):
        with pytest.raises(ValueError, match="table name"):
            store.read(name, b"q", column(b"a"))


def test_large_columns_and_slices(store: CellStore) -> None:
    rows = [f"{i:05d}".encode() for i in range(3000)]
    wide = pa.array(rows, pa.large_binary())
    store.write("counters_1", b"q", 3, wide.slice(100, 2500), wide.slice(100, 2500))
    found = read(store, *rows, table="counters_1")
    assert list(found) == rows[100:2600]
    assert all(value == (3, row) for row, value in found.items())


def test_many_columns_at_once(store: CellStore) -> None:
    rows = [f"{i:05d}".encode() for i in range(7000)]
    parts = [(f"counters_{1 + n % 2}", b"q%d" % n, 100 + n, rows[n * 10 : n * 700]) for n in range(10)]
    store.write_columns([])
    store.write_columns(
        [
            CellColumn(table, name, at, column(*rows), column(*[name + row for row in rows]))
            for table, name, at, rows in parts
        ]
    )
    assert store.tables() == ["counters_1", "counters_2"]
    asked = [*parts, ("counters_1", b"none", 0, rows[:5]), ("counters_3", b"q1", 0, rows[:5])]
    found = store.read_columns([(table, name, column(*rows)) for table, name, _, rows in asked])
    for (_, name, at, part), cells in zip(parts, found[:-2], strict=True):
        assert cells.indices.to_pylist() == list(range(len(part)))
        assert set(cells.timestamps.to_pylist()) <= {at}
        assert cells.values.to_pylist() == [name + row for row in part]
    assert [len(cells.indices) for cells in found[-2:]] == [0, 0]
    assert store.read_columns([]) == []
    stale = CellColumn("counters_2", b"q9", 108, column(*parts[9][3]), column(*[b"stale"] * len(parts[9][3])))
    store.write_columns([stale, CellColumn("counters_1", b"q2", 103, column(b"00025"), column(b"new"))])
    assert read(store, b"00100", table="counters_2", qualifier=b"q9") == {b"00100": (109, b"q900100")}
    assert read(store, b"00025", table="counters_1", qualifier=b"q2") == {b"00025": (103, b"new")}
    with pytest.raises(ValueError, match="timestamp"):
        store.write_columns([CellColumn("counters_1", b"q", -1, column(b"a"), column(b""))])


@pytest.mark.parametrize("row", [b"row", SCATTERED + b"row"])
def test_many_control_cells_at_once(store: CellStore, row: bytes) -> None:
    names = [b"%03d" % i for i in range(100)] + [b"\0\0", b"\xff\0", b""]
    for neighbour in (row[:-1], row + b"0", row + b"\1"):
        store.put_control(neighbour, b"mine", 1, b"another row's")
    store.put_control(row, names[7], 9, b"higher")
    store.put_controls(row, [(name, 5, name) for name in names])
    expected = {name: (5, name) for name in names} | {names[7]: (9, b"higher")}
    for _ in range(2):
        found = {name: (cell.timestamp, cell.value) for name, cell in store.scan_control(row).items()}
        assert found == expected
        store.put_controls(row, [(name, 4 + i % 2, names[i]) for i, name in enumerate(names)])  # the same, or lower
    for name, cell in expected.items():
        assert store.get_control(row, name) == ControlCell(*cell)
    with pytest.raises(StoreCorrupt):
        store.put_controls(row, [(names[0], 5, b"other")])
    store.put_controls(row, [])


def test_scan_is_in_order_bounded_and_limited(store: CellStore) -> None:
    rows = [bytes([0x61 + i // 2000, 0x62]) + f"{i:05d}".encode() for i in range(4500)]
    for qualifier in (b"q2", b"q1"):
        store.write("counters_1", qualifier, 3, column(*rows), column(*rows))
    cells = [cell for batch in store.scan("counters_1") for cell in batch.to_pylist()]
    assert [(cell["row"], cell["qualifier"]) for cell in cells] == [(row, q) for row in rows for q in (b"q1", b"q2")]
    prefix = b"b"
    part = [
        c["row"] for batch in store.scan("counters_1", start=prefix, stop=prefix_end(prefix)) for c in batch.to_pylist()
    ]
    assert part == [row for row in rows if row.startswith(prefix) for _ in range(2)]
    assert sum(batch.num_rows for batch in store.scan("counters_1", limit=1501)) == 1501
    assert list(store.scan("counters_1", limit=0)) == []
    assert list(store.scan("counters_1", start=b"b", stop=b"b")) == []
    early = store.scan("counters_1")
    assert next(early).num_rows
    early.close()  # a reader may have enough
    assert read(store, rows[0], table="counters_1", qualifier=b"q1") == {rows[0]: (3, rows[0])}


def test_prefix_end() -> None:
    assert prefix_end(b"a") == b"b"
    assert prefix_end(b"a\xff") == b"b"
    assert prefix_end(b"\xff\xff") is None


def test_control_cells(store: CellStore) -> None:
    store.put_control(b"r", b"2", 5, b"five")
    store.put_control(b"r", b"2", 4, b"four")
    store.put_control(b"r", b"1", 1, b"one")
    store.put_control(b"s", b"1", 1, b"other row")
    cell = store.get_control(b"r", b"2")
    assert cell is not None
    assert (cell.timestamp, cell.value) == (5, b"five")
    assert list(store.scan_control(b"r")) == [b"1", b"2"]
    with pytest.raises(StoreCorrupt):
        store.put_control(b"r", b"2", 5, b"FIVE")
    store.put_control(b"r", b"2", 5, b"five")
    odd = bytes(range(256))
    store.put_control(odd, odd, 2**62, odd)
    store.put_control(odd, b"", 0, b"")
    assert {name: (cell.timestamp, cell.value) for name, cell in store.scan_control(odd).items()} == {
        b"": (0, b""),
        odd: (2**62, odd),
    }


def test_the_first_cell_and_the_highest_are_one(store: CellStore) -> None:
    """What is put only if absent, and what is put, meet in one cell: positions and the registry do both."""
    assert store.put_control_if_absent(b"r", b"q", 7, b"first").value == b"first"
    store.put_control(b"r", b"q", 6, b"lower")
    assert store.put_control_if_absent(b"r", b"q", 99, b"late").value == b"first"
    store.put_control(b"r", b"q", 8, b"higher")
    cell = store.put_control_if_absent(b"r", b"q", 99, b"later")
    assert (cell.timestamp, cell.value) == (8, b"higher")
    store.put_control(b"r", b"new", 5, b"put")
    assert store.put_control_if_absent(b"r", b"new", 9, b"x").timestamp == 5


def test_control_cells_never_go_back_under_many_writers(store: CellStore) -> None:
    wrong: list[str] = []

    def work(seed: int) -> None:
        chance, seen = random.Random(seed), 0
        for _ in range(25):
            timestamp = chance.randrange(1, 1000)
            if chance.random() < 0.3:
                now = store.put_control_if_absent(b"r", b"q", timestamp, b"%d" % timestamp).timestamp
            else:
                store.put_control(b"r", b"q", timestamp, b"%d" % timestamp)
                cell = store.get_control(b"r", b"q")
                now = cell.timestamp if cell is not None else -1
                if now < timestamp:
                    wrong.append(f"put {timestamp}, read {now}")
            if now < seen:
                wrong.append(f"read {seen}, then {now}")
            seen = now

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_put_if_absent_has_one_winner_over_threads(store: CellStore) -> None:
    answers: list[bytes] = []
    barrier = threading.Barrier(6)

    def contend(name: bytes) -> None:
        barrier.wait()
        answers.append(store.put_control_if_absent(b"r", b"q", 1, name).value)

    threads = [threading.Thread(target=contend, args=(bytes([65 + i]),)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len(set(answers)) == 1
    assert store.put_control_if_absent(b"r", b"q", 9, b"late").timestamp == 1


def test_many_threads_write_one_table(store: CellStore) -> None:
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        order = list(range(1, 30))
        random.Random(seed).shuffle(order)
        try:
            for timestamp in order:
                deadline = time.monotonic() + 60
                while True:  # a table that is just being made may be away: sent again, as a sink does
                    try:
                        write(store, timestamp, {b"shared": b"%d" % timestamp, b"own%d" % seed: b"%d" % timestamp})
                        break
                    except StoreUnavailable:
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(0.05)
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert read(store, b"shared", b"own2") == {b"shared": (29, b"29"), b"own2": (29, b"29")}


def test_a_closed_store_says_so(store: CellStore) -> None:
    store.close()
    with pytest.raises(StoreUnavailable):
        store.get_control(b"r", b"q")
    store.close()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([b"a", b"b", b"c"])), max_size=15))
def test_any_order_of_arrival_ends_the_same(store: CellStore, puts: list[tuple[int, bytes]]) -> None:
    own = repr(puts).encode()  # rows of this example
    for timestamp, row in puts:
        write(store, timestamp, {own + row: b"%d" % timestamp})
    best = {own + row: max(timestamp for timestamp, r in puts if r == row) for row in {row for _, row in puts}}
    found = read(store, own + b"a", own + b"b", own + b"c")
    assert found == {row: (top, b"%d" % top) for row, top in best.items()}
