"""The simulated cell store: what it holds, what is still on its way, and how one process meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pyarrow as pa

from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.positions import POSITIONS_ROW
from flurry_fast.registry import STATE
from flurry_fast.stores.base import Cells, CellStore, Column, ControlCell, scan_batch
from model.errors import Killed

if TYPE_CHECKING:
    from model.world import World

T = TypeVar("T")
CellKey = tuple[str, bytes, bytes]  # table, row, qualifier
STORE_ID = bytes(range(16))


class Late(NamedTuple):
    """A put that is still on its way; `row` where it is one of the control table."""

    land: Callable[[], object]
    row: bytes | None = None

    def arrive(self) -> None:
        """It lands, or is refused; nobody waits for the answer."""
        with suppress(StoreCorrupt):
            self.land()


class CellWorld:
    """Every cell there is. Landing is where the invariants are looked at."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.blocks: dict[CellKey, tuple[int, bytes]] = {}
        self.control: dict[tuple[bytes, bytes], ControlCell] = {}
        self.late: list[Late] = []

    def land_block(self, key: CellKey, timestamp: int, value: bytes) -> None:
        """A put arrives."""
        self._world.checks.block(key, timestamp, value)
        old = self.blocks.get(key)
        if old is None or timestamp > old[0]:
            self.blocks[key] = (timestamp, value)
        elif timestamp == old[0] and value != old[1]:
            self._world.checks.same_end(key, timestamp)
            raise StoreCorrupt("two values at one timestamp")

    def land_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        old = self.control.get((row, qualifier))
        if old is not None and old.timestamp == timestamp and old.value != value:
            self._world.checks.same_control(row, qualifier, timestamp)
            raise StoreCorrupt("two control values at one timestamp")
        if old is None or timestamp > old.timestamp:
            self.control[row, qualifier] = ControlCell(timestamp, value)
            if row == POSITIONS_ROW:
                self._world.checks.position(qualifier, timestamp, value)
            elif qualifier == STATE:
                self._world.state_changed()


class PlainCells:
    """Cells without anybody who looks: a copy of a store, on its way back."""

    def __init__(
        self, control: dict[tuple[bytes, bytes], ControlCell], blocks: dict[CellKey, tuple[int, bytes]]
    ) -> None:
        self.control, self.blocks = control, blocks

    def land_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        old = self.control.get((row, qualifier))
        if old is None or timestamp > old.timestamp:
            self.control[row, qualifier] = ControlCell(timestamp, value)

    def land_block(self, key: CellKey, timestamp: int, value: bytes) -> None:
        raise AssertionError("a copy is not counted into")


class PlainStore(CellStore):
    """The cells as they are: for an operator's quiet hour, and to build the unreliable one upon."""

    kind = "model"

    def __init__(self, cells: CellWorld | PlainCells) -> None:
        self._cells = cells

    @property
    def store_id(self) -> bytes:
        return STORE_ID

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        places, timestamps, values = [], [], []
        for place, row in enumerate(rows.to_pylist()):
            cell = self._cells.blocks.get((table, row, qualifier))
            if cell is not None:
                places.append(place)
                timestamps.append(cell[0])
                values.append(cell[1])
        return Cells(pa.array(places, pa.int32()), pa.array(timestamps, pa.int64()), pa.array(values, pa.binary()))

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        for row, value in zip(rows.to_pylist(), values.to_pylist(), strict=True):
            self._cells.land_block((table, row, qualifier), timestamp, value)

    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        found = sorted(
            (row, qualifier, *cell)
            for (name, row, qualifier), cell in self._cells.blocks.items()
            if name == table and start <= row and (stop is None or row < stop)
        )
        if found:
            yield scan_batch(found[:limit])

    def tables(self) -> list[str]:
        return sorted({table for table, _, _ in self._cells.blocks})

    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        return self._cells.control.get((row, qualifier))

    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        return {key[1]: cell for key, cell in sorted(self._cells.control.items()) if key[0] == row}

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        self._cells.land_control(row, qualifier, timestamp, value)

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        cell = self._cells.control.get((row, qualifier))
        if cell is None:
            self._cells.land_control(row, qualifier, timestamp, value)
            cell = self._cells.control[row, qualifier]
        return cell

    def close(self) -> None:
        """It is the world's."""


class UnreliableStore(PlainStore):
    """One process's connection: calls fail before, after or half-way, arrive late or twice, or kill the process.

    `writes(key, timestamp)` and so on are told what the process does, for the checks on it.
    """

    def __init__(self, world: World, watch: Watch) -> None:
        super().__init__(world.cells)
        self._world, self._watch = world, watch
        self.dead = self.calm = False

    def _call(self, apply: Callable[[], T]) -> T:
        world = self._world
        if self.dead:
            raise Killed
        world.interleave()
        if world.faults and not self.calm:
            if self.dead:
                raise Killed
            what = world.draw.weighted(CALL)
            if what == 1:
                world.happened["call failed"] += 1
                raise StoreUnavailable("not sent")
            if what == 4:
                self._die("killed before a call")
            answer = apply()
            if what == 2:
                world.happened["answer lost"] += 1
                raise StoreUnavailable("applied, but no answer")
            if what == 3:
                self._die("killed after a call")
            world.interleave()
            if self.dead:
                raise Killed
            return answer
        return apply()

    def _die(self, how: str) -> None:
        self._world.happened[how] += 1
        self.dead = True
        raise Killed

    def _put(self, apply: Callable[[], object], row: bytes | None = None) -> None:
        world = self._world
        if world.faults:
            what = world.draw.weighted(PUT)
            if what == 1:
                world.happened["put delayed"] += 1
                world.cells.late.append(Late(apply, row))
                raise StoreUnavailable("on its way")
            if what == 2:
                world.happened["put repeated later"] += 1
                world.cells.late.append(Late(apply, row))
        self._call(apply)

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        found = self._call(lambda: super(UnreliableStore, self).read(table, qualifier, rows))
        self._watch.read(table, qualifier, rows, found)
        return found

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        world, cells = self._world, self._world.cells
        puts = [
            ((table, row, qualifier), value) for row, value in zip(rows.to_pylist(), values.to_pylist(), strict=True)
        ]
        for key, value in puts:
            self._watch.writes(key, timestamp, value)

        def land(key: CellKey, value: bytes) -> Callable[[], None]:
            return lambda: cells.land_block(key, timestamp, value)

        if world.faults and world.draw.chance(0.05):
            world.happened["part of a write"] += 1
            for key, value in puts:
                fate = world.draw.below(3)
                if fate == 1:
                    land(key, value)()
                elif fate == 2:
                    cells.late.append(Late(land(key, value)))
            raise StoreUnavailable("some of it was applied")
        self._put(lambda: [cells.land_block(key, timestamp, value) for key, value in puts] and None)
        self._watch.written(puts, timestamp)

    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        return iter(
            self._call(lambda: list(super(UnreliableStore, self).scan(table, start=start, stop=stop, limit=limit)))
        )

    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        cell = self._call(lambda: super(UnreliableStore, self).get_control(row, qualifier))
        if qualifier == STATE:
            self._watch.state_read()
        return cell

    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        return self._call(lambda: super(UnreliableStore, self).scan_control(row))

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        if row == POSITIONS_ROW:
            self._watch.puts_position(qualifier, timestamp, value)
        self._put(lambda: super(UnreliableStore, self).put_control(row, qualifier, timestamp, value), row)

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        return self._call(lambda: super(UnreliableStore, self).put_control_if_absent(row, qualifier, timestamp, value))


class Watch:
    """Told what a process does to its store; by default nobody looks."""

    def read(self, table: str, qualifier: bytes, rows: Column, found: Cells) -> None: ...
    def state_read(self) -> None: ...
    def writes(self, key: CellKey, timestamp: int, value: bytes) -> None: ...
    def written(self, puts: list[tuple[CellKey, bytes]], timestamp: int) -> None: ...
    def puts_position(self, qualifier: bytes, timestamp: int, value: bytes) -> None: ...


def edges(*shares: float) -> tuple[float, ...]:
    """Shares of everything but the first outcome, as edges for `Draw.weighted`."""
    found = [1.0 - sum(shares)]
    for share in shares:
        found.append(found[-1] + share)
    return tuple(found)


CALL = edges(0.03, 0.03, 0.004, 0.004)  # fine; not sent; no answer; killed after; killed before
PUT = edges(0.04, 0.03)  # fine; late, and no answer; once more, later
