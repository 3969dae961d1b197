"""Control cells of HBase: every interleaving of a few calls, with lost replies, late effects and deaths.

The register is HBase's promise and no more: single cells, compared and replaced atomically. Steps are taken one by one,
in every order; a step may fail without an effect, after its effect, or have it later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.stores.base import ControlCell
from flurry_fast.stores.hbase.control import ControlCells, _open

ROW, QUALIFIER = b"r", b"q"
CLEAN, LOST, LATE = "clean", "reply lost", "effect late"


class Choices:
    """Goes through every sequence of choices, in order."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []
        self._at = 0

    def __iter__(self) -> Iterator[int]:
        number = 0
        while True:
            self._at = 0
            yield number
            number += 1
            del self.made[self._at :]
            while self.made and self.made[-1][0] + 1 == self.made[-1][1]:
                self.made.pop()
            if not self.made:
                return
            choice, of = self.made[-1]
            self.made[-1] = (choice + 1, of)

    def one_of(self, count: int) -> int:
        if self._at == len(self.made):
            self.made.append((0, count))
        self._at += 1
        return self.made[self._at - 1][0]


@dataclass
class Cell:
    """The one cell, and all it ever was."""

    history: list[bytes | None] = field(default_factory=lambda: [None])

    def replace(self, expected: bytes | None, new: bytes) -> bool:
        if self.history[-1] != expected:
            return False
        self.history.append(new)
        return True


class Process(threading.Thread):
    """Does one thing, over and over while the store is unavailable; each of its register calls waits for its turn."""

    def __init__(self, cell: Cell, act: Callable[[ControlCells], ControlCell | None]) -> None:
        super().__init__(daemon=True)
        self.cell, self.act = cell, act
        self.turn, self.told = threading.Semaphore(0), threading.Semaphore(0)
        self.fate = CLEAN
        self.ghosts: list[tuple[bytes | None, bytes]] = []
        self.waits_to_replace = self.done = False
        self.answer: ControlCell | None = None
        self.began, self.ended = 0, -1
        self.failure: BaseException | None = None

    def run(self) -> None:
        cells = ControlCells(self)
        try:
            while True:
                try:
                    self.answer = self.act(cells)
                    break
                except StoreUnavailable:
                    continue
        except BaseException as error:
            self.failure = error
        self.done = True
        self.told.release()

    def step(self, fate: str) -> None:
        self.fate = fate
        self.turn.release()
        self.told.acquire()

    def _wait(self, replacing: bool) -> None:
        self.waits_to_replace = replacing
        self.told.release()
        self.turn.acquire()

    def get(self, row: bytes, qualifier: bytes) -> bytes | None:
        self._wait(False)
        return self.cell.history[-1]

    def get_row(self, row: bytes) -> dict[bytes, bytes]:
        there = self.get(row, QUALIFIER)
        return {} if there is None else {QUALIFIER: there}

    def replace_all(self, row: bytes, cells: Sequence[tuple[bytes, bytes | None, bytes]]) -> list[bool]:
        return [self.replace(row, *cell) for cell in cells]

    def replace(self, row: bytes, qualifier: bytes, expected: bytes | None, new: bytes) -> bool:
        self._wait(True)
        if self.fate == LATE:
            self.ghosts.append((expected, new))
            raise StoreUnavailable("late")
        done = self.cell.replace(expected, new)
        if self.fate == LOST:
            raise StoreUnavailable("lost")
        return done


def put(timestamp: int) -> Callable[[ControlCells], ControlCell | None]:
    def act(cells: ControlCells) -> None:
        cells.put(ROW, QUALIFIER, timestamp, b"%d" % timestamp)

    act.wanted = ("put", timestamp)  # type: ignore[attr-defined]
    return act


def put_at_once(timestamp: int) -> Callable[[ControlCells], ControlCell | None]:
    """As `put`, by the way of many cells. A failed try leaves a guess for the next one."""

    def act(cells: ControlCells) -> None:
        cells.put_all(ROW, [(QUALIFIER, timestamp, b"%d" % timestamp)])

    act.wanted = ("put", timestamp)  # type: ignore[attr-defined]
    return act


def claim(timestamp: int) -> Callable[[ControlCells], ControlCell | None]:
    def act(cells: ControlCells) -> ControlCell:
        return cells.put_if_absent(ROW, QUALIFIER, timestamp, b"%d" % timestamp)

    act.wanted = ("claim", timestamp)  # type: ignore[attr-defined]
    return act


def timestamps(cell: Cell) -> list[int]:
    return [-1 if envelope is None else _open(ROW, QUALIFIER, envelope).timestamp for envelope in cell.history]


def go_through(acts: list[Callable[[ControlCells], ControlCell | None]], trouble: int) -> int:
    """Every order of the acts' steps, with up to `trouble` steps that fail, or have their effect late."""
    choices, number = Choices(), 0
    for number in choices:  # noqa: B007
        cell, left = Cell(), trouble
        processes = [Process(cell, act) for act in acts]
        ghosts: list[tuple[bytes | None, bytes]] = []
        for process in processes:
            process.start()
            process.told.acquire()
        while running := [process for process in processes if not process.done]:
            pick = choices.one_of(len(running) + len(ghosts))
            if pick >= len(running):
                cell.replace(*ghosts.pop(pick - len(running)))
                continue
            process = running[pick]
            fate = CLEAN
            if left and process.waits_to_replace:
                fate = (CLEAN, LOST, LATE)[choices.one_of(3)]
                left -= fate != CLEAN
            process.step(fate)
            ghosts += process.ghosts
            process.ghosts.clear()
            if process.done:
                process.ended = len(cell.history)
        for ghost in ghosts:
            cell.replace(*ghost)
        check(cell, processes, choices)
    return number + 1


def check(cell: Cell, processes: list[Process], choices: Choices) -> None:
    seen = timestamps(cell)
    told = f"{seen} after {choices.made}"
    assert seen == sorted(seen), told
    for process in processes:
        assert process.failure is None, (process.failure, told)
        kind, timestamp = process.act.wanted  # type: ignore[attr-defined]
        during = seen[: process.ended]  # all of them began before the first step
        if kind == "put":
            assert max(during) >= timestamp, told
        else:
            assert process.answer is not None
            assert process.answer.timestamp in during, told
            assert process.answer.value == b"%d" % process.answer.timestamp
            assert timestamp not in seen[2:], told  # it came first, or not at all


@pytest.mark.parametrize(
    ("acts", "trouble"),
    [
        ([claim(5), claim(7)], 1),
        ([claim(5), put(7)], 1),
        ([claim(7), put(5)], 2),
        ([put(5), put(7)], 1),
        ([claim(5), claim(7), put(6)], 0),
        ([claim(6), put(5), put(7)], 0),
        ([claim(5), put_at_once(7)], 1),
        ([put(5), put_at_once(7)], 1),
        ([put(7), put_at_once(5)], 2),
        ([put_at_once(5), put_at_once(7)], 1),
        ([claim(6), put_at_once(5), put_at_once(7)], 0),
    ],
)
def test_every_interleaving(acts: list[Callable[[ControlCells], ControlCell | None]], trouble: int) -> None:
    assert go_through(acts, trouble) > 10


class Memory:
    """A register that nothing goes wrong with; counts its calls."""

    def __init__(self) -> None:
        self.cells: dict[tuple[bytes, bytes], bytes] = {}
        self.calls: list[str] = []

    def get(self, row: bytes, qualifier: bytes) -> bytes | None:
        self.calls.append("get")
        return self.cells.get((row, qualifier))

    def get_row(self, row: bytes) -> dict[bytes, bytes]:
        self.calls.append("get row")
        return {key[1]: value for key, value in self.cells.items() if key[0] == row}

    def replace(self, row: bytes, qualifier: bytes, expected: bytes | None, new: bytes) -> bool:
        self.calls.append("replace")
        return self._replace(row, qualifier, expected, new)

    def replace_all(self, row: bytes, cells: Sequence[tuple[bytes, bytes | None, bytes]]) -> list[bool]:
        self.calls.append(f"replace {len(cells)}")
        return [self._replace(row, *cell) for cell in cells]

    def _replace(self, row: bytes, qualifier: bytes, expected: bytes | None, new: bytes) -> bool:
        if self.cells.get((row, qualifier)) != expected:
            return False
        self.cells[row, qualifier] = new
        return True


def test_who_put_last_puts_with_one_call() -> None:
    register = Memory()
    cells = ControlCells(register)
    for timestamp in range(1, 4):
        cells.put(b"r", b"q", timestamp, b"x")
    assert register.calls == ["get", "replace", "replace", "replace"]
    cells.put(b"r", b"q", 3, b"x")  # once more: written, not assumed
    assert register.calls[-1] == "replace"
    cells.put(b"r", b"q", 2, b"x")  # lower: the store is asked
    assert register.calls[-1] == "get"


def test_a_guess_that_is_old_is_no_answer() -> None:
    register = Memory()
    one, other = ControlCells(register), ControlCells(register)
    one.put(b"r", b"q", 1, b"x")
    other.put(b"r", b"q", 9, b"y")
    one.put(b"r", b"q", 5, b"z")
    assert one.get(b"r", b"q") == ControlCell(9, b"y")
    with pytest.raises(StoreCorrupt, match="twice at 9"):
        one.put(b"r", b"q", 9, b"z")


def test_many_cells_are_put_with_one_read_of_the_row_and_one_step_each() -> None:
    register = Memory()
    cells = ControlCells(register)
    names = [b"%02d" % i for i in range(20)]
    for timestamp in (1, 2, 2):
        cells.put_all(b"r", [(name, timestamp, name) for name in names])
    assert register.calls == ["get row", "replace 20", "replace 20", "replace 20"]
    assert cells.scan(b"r") == {name: ControlCell(2, name) for name in names}
    register.calls.clear()
    other = ControlCells(register)
    other.put_all(b"r", [(b"00", 7, b"other"), (b"01", 8, b"x")])
    cells.put_all(b"r", [(b"00", 6, b"late"), (b"01", 9, b"y"), (b"02", 1, b"low"), (b"03", 3, b"z")])
    found = cells.scan(b"r")
    assert [found[name].timestamp for name in names[:5]] == [7, 9, 2, 3, 2]
    assert [found[name].value for name in names[:4]] == [b"other", b"y", b"02", b"z"]
    cells.put_all(b"r", [])


def test_other_bytes_at_an_equal_timestamp_are_refused_among_many() -> None:
    register = Memory()
    cells = ControlCells(register)
    cells.put_all(b"r", [(b"a", 5, b"five"), (b"b", 5, b"five")])
    for putting in (cells, ControlCells(register)):
        with pytest.raises(StoreCorrupt, match="twice at 5"):
            putting.put_all(b"r", [(b"a", 6, b"six"), (b"b", 5, b"FIVE")])
    assert cells.scan(b"r") == {b"a": ControlCell(6, b"six"), b"b": ControlCell(5, b"five")}
    register.cells[b"r", b"b"] = b"foreign"
    with pytest.raises(StoreCorrupt, match="not written by"):
        ControlCells(register).put_all(b"r", [(b"b", 6, b"six")])


def test_what_is_damaged_or_foreign_is_refused() -> None:
    register = Memory()
    cells = ControlCells(register)
    cells.put(b"r", b"q", 1, b"value")
    good = register.cells[b"r", b"q"]
    register.cells[b"r", b"other"] = good  # copied to another cell
    with pytest.raises(StoreCorrupt, match="not written by"):
        cells.get(b"r", b"other")
    for bad in (b"", b"x", good[:-1], good[:3] + b"!" + good[4:]):
        register.cells[b"r", b"q"] = bad
        with pytest.raises(StoreCorrupt):
            cells.get(b"r", b"q")
        with pytest.raises(StoreCorrupt):
            ControlCells(register).put(b"r", b"q", 2, b"value")
    with pytest.raises(ValueError, match="timestamp"):
        cells.put(b"r", b"q", -1, b"")
