"""Every fail point: how a process is brought there, what it can fail with there, and what it must do then."""

from __future__ import annotations

import fnmatch
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from confluent_kafka import KafkaError, KafkaException

from flurry_fast import trials
from flurry_fast.errors import StoreUnavailable
from flurry_fast.kafka import KafkaUnavailable

Action = Literal["kill", "stop", "raise", "late"]
ACTIONS: tuple[Action, ...] = ("kill", "stop", "raise", "late")
Way = Literal["traffic", "start", "first", "end", "lost", "shed-counters", "shed-archive"]
"""What makes a process pass a point: records, a start, a partition's very first start, an orderly end, the loss of its
partitions while it sleeps, memory that is full while a sink can not write."""
MARK = "injected by the torture"

ERRORS: dict[str, Callable[[], Exception]] = {
    "bug": lambda: RuntimeError(MARK),  # what nobody expects: the process must die without writing anything more
    "store": lambda: StoreUnavailable(f"The store did not answer ({MARK})."),
    "kafka": lambda: KafkaUnavailable(f"The broker did not answer ({MARK})."),
    "commit": lambda: KafkaException(KafkaError(KafkaError._TIMED_OUT, MARK)),
    "sqlite": lambda: sqlite3.OperationalError(f"disk I/O error ({MARK})"),
    "file": lambda: OSError(5, MARK),
}


@dataclass(frozen=True)
class Place:
    """A fail point. `way`: what makes a process pass it. `error`: key of ERRORS. `late`: the error comes after the
    deed. `passes`: the injection falls on one of so many first passes."""

    point: str
    way: Way
    error: str
    late: bool
    passes: int

    @property
    def actions(self) -> tuple[Action, ...]:
        """Those that make sense here."""
        failure: Action = "late" if self.late else "raise"
        # A process that has left the group owns nothing that another could take over while it is stopped.
        return ("kill", failure) if self.point == "loop.stop.after" else ("kill", "stop", failure)


# Points; way (as of Place); error; `late`, or - for an error that comes before the deed; passes.
_TABLE = """
    engine.absorb.* engine.decode.before engine.decode.inside engine.decode.after engine.fold.*; traffic bug - 40
    engine.apply.inside engine.freeze.* engine.acknowledge.inside; traffic bug - 12
    engine.resume.*; start bug - 6
    loop.batch.*; traffic bug - 20
    loop.stop.* assignment.revoke.* assignment.drain.* assignment.release.inside; end bug - 1
    commit.async.before; traffic commit - 4
    commit.async.after; traffic commit late 4
    commit.sync.before; end commit - 1
    commit.sync.after; end commit late 1
    assignment.assign.*; start bug - 1
    assignment.start.inside; start bug - 2
    past.recall.before past.recall.inside; start store - 3
    past.recall.after; start store late 3
    assignment.locate.after; start kafka late 2
    assignment.lost.*; lost bug - 1
    assignment.begin.inside; first store - 1
    assignment.begin.after; first store late 1
    assignment.rewind.before; shed-counters kafka - 2
    assignment.rewind.inside assignment.rewind.after; shed-counters bug - 2
    registry.verify.before; traffic kafka - 6
    registry.verify.inside; traffic store - 6
    registry.verify.after; traffic store late 6
    store.commit.before; traffic sqlite - 12
    store.commit.after; traffic sqlite late 12
    counters.begin.before; first store - 1
    counters.begin.after; first store late 1
    counters.base.before; start store - 4
    counters.base.inside; start bug - 4
    counters.base.after; start kafka late 4
    counters.freeze.after counters.ack.*; traffic bug - 4
    counters.chunk.before counters.position.before; traffic store - 8
    counters.chunk.after counters.chunk.noted counters.position.after; traffic store late 8
    counters.shed.* counters.recover.after; shed-counters bug - 1
    counters.recover.before; shed-counters store - 1
    archive.origin.before; first store - 1
    archive.origin.after; first store late 1
    archive.locate.inside; start store - 2
    archive.take.* archive.ack.*; traffic bug - 4
    archive.file.*; traffic file - 6
    archive.durable.after files.link.after files.claim.durable; traffic file late 6
    archive.claim.before; traffic store - 6
    archive.claim.after; traffic store late 6
    archive.follow.* archive.shed.* archive.recover.after; shed-archive bug - 1
    archive.recover.before; shed-archive store - 1
"""


def _places() -> dict[str, Place]:
    found: dict[str, Place] = {}
    for line in _TABLE.strip().splitlines():
        names, _, rest = line.partition(";")
        way, error, late, passes = rest.split()
        for pattern in names.split():
            for point in fnmatch.filter(trials.POINTS, pattern):
                found[point] = Place(point, cast("Way", way), error, late == "late", int(passes))
    return found


PLACES = _places()


@dataclass(frozen=True, order=True)
class Cell:
    """One entry of the table: an action at a point, with one seed."""

    point: str
    action: Action
    seed: int

    @property
    def place(self) -> Place:
        return PLACES[self.point]

    @property
    def dies(self) -> bool:
        """Whether the process must be gone afterwards; else it must go on (a stopped one may do either)."""
        return self.action == "kill" or (self.action in ("raise", "late") and self.place.error == "bug")
