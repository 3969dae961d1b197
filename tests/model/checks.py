"""The invariants of docs/exactness.md, looked at whenever something happens that could break one.

Every check has a stable short name; how often each was made is counted, so that a check that never runs is noticed.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from typing import TYPE_CHECKING

from flurry_fast.archive.footer import Footer
from flurry_fast.positions import CountersPosition, decode_position, parse_control_qualifier
from flurry_fast.stores.base import Cells, Column
from flurry_fast.verify.blocks import parse_qualifier
from model.cells import STORE_ID, CellKey, Watch
from model.errors import Violation
from model.oracle import Oracle
from model.records import PLANS

if TYPE_CHECKING:
    from model.process import Actor
    from model.world import World

_ROW = struct.Struct(">qI")
Column3 = tuple[int, int, int]  # plan id, incarnation, partition


class Checks:
    """Checks on what lands in stores, whoever sent it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.made: Counter[str] = Counter()

    def require(self, check: str, holds: object, detail: str) -> None:
        """Count the check, and end the schedule if it does not hold."""
        self.made[check] += 1
        if not holds:
            raise Violation(check, detail)

    def oracles(self, column: Column3) -> list[Oracle]:
        """What a column may hold: one oracle for each log that the partition ever had, the newest last."""
        return self._world.oracles.get(column, [])

    # --- cells ---------------------------------------------------------------------------------------------------

    def block(self, key: CellKey, timestamp: int, value: bytes) -> None:
        table, row, qualifier = key
        made = self.made
        made["no-delete"] += 1
        if not value:
            raise Violation("no-delete", f"an empty value for {key}: a delete in disguise")
        oracles = self.oracles(parse_qualifier(qualifier))
        for oracle in oracles[-1:]:
            self.require("closed-plan", oracle.limit is None or timestamp <= oracle.limit, f"{key} at {timestamp}")
        made["explicit-timestamp"] += 1
        if not 0 < timestamp <= max((oracle.log.end for oracle in oracles), default=0):
            raise Violation("explicit-timestamp", f"a cell of {key} at {timestamp}, above every log it can come from")
        made["truth"] += 1
        for oracle in reversed(oracles):
            if oracle.value((table, row), timestamp) == value:
                return
        if key in self._world.unseen:
            self._world.happened["a cut was not noticed"] += 1
            return
        raise Violation("truth", self._difference(key, timestamp, value))

    def _difference(self, key: CellKey, timestamp: int, value: bytes) -> str:
        oracles = self.oracles(parse_qualifier(key[2]))
        wanted = oracles[-1].value(key[:2], timestamp) if oracles else None
        return f"{key} at {timestamp} holds {value.hex()}, F is {wanted.hex() if wanted else wanted}"

    def same_end(self, key: CellKey, timestamp: int) -> None:
        self.made["equal-end-equal-bytes"] += 1
        if not self._world.excuses & {"log cut", "foreign write"}:
            raise Violation("equal-end-equal-bytes", f"{key} at {timestamp}")

    def same_control(self, row: bytes, qualifier: bytes, timestamp: int) -> None:
        self.made["equal-end-equal-bytes"] += 1
        if row.startswith(b"position") and "log cut" not in self._world.excuses:
            raise Violation("equal-end-equal-bytes", f"control cell {row!r} {qualifier.hex()} at {timestamp}")

    def position(self, qualifier: bytes, timestamp: int, value: bytes) -> None:
        """A position that is in force says that all blocks are there."""
        plan, incarnation, partition, generation = parse_control_qualifier(qualifier)
        stated = decode_position(value, timestamp, STORE_ID)
        oracles = self.oracles((plan, incarnation, partition))
        if not oracles:  # it gets its oracle when it is opened
            self.require("plan-and-log-identity", plan in self._world.targets, "a position of a plan that is not open")
            return
        self.require(
            "explicit-timestamp",
            timestamp <= max((oracle.log.end for oracle in oracles), default=0),
            f"a position of partition {partition} at {timestamp}, above its log",
        )
        if plan != self._world.column(partition)[0]:
            return  # placed for a plan that is to be opened: looked at when it is
        if generation == self._world.generation():
            self.in_force((plan, incarnation, partition), stated)
        elif self._world.stands("counters", partition) is None:
            self._world.excuses.add("begun under a reset")

    def in_force(self, column: Column3, stated: CountersPosition) -> None:
        """A position that whoever starts now believes."""
        if "log cut" in self._world.excuses:
            return
        timestamp, partition, oracles = stated.position, column[2], self.oracles(column)
        self.made["position-covers"] += 1
        missing = self.missing(column, timestamp)
        if missing:
            raise Violation("position-covers", f"position {timestamp} of partition {partition}, but {missing}")
        if stated.crc is not None and timestamp:
            crc = oracles[-1].log.crcs[timestamp - 1]
            self.require("position-crc", stated.crc == crc, f"position {timestamp} has CRC {stated.crc}, not {crc}")
        log = oracles[-1].log
        if PLANS[self._world.plan].dedup and timestamp > log.known_from:
            wanted = max(log.times[log.known_from : timestamp], default=-1)
            self.require(
                "highest-time", stated.max_timestamp == wanted, f"{stated} of partition {partition}: T is {wanted}"
            )
        if stated.max_bucket is not None:
            self.made["highest-bucket"] += 1
            for (_, row), history in oracles[-1].blocks.items():
                bucket = int.from_bytes(row[-4:])
                if bucket > stated.max_bucket and history.count(timestamp):
                    raise Violation(
                        "highest-bucket",
                        f"position {timestamp} of partition {partition} says {stated.max_bucket}, "
                        f"but a record below counted in {bucket}",
                    )

    def missing(self, column: Column3, position: int) -> str | None:
        """A block that lacks a record below a position; None if none does."""
        oracles = self.oracles(column)
        if not oracles:
            return f"nothing is known of column {column}"
        oracle, cells = oracles[-1], self._world.cells.blocks
        if oracle.next < position:
            oracle.extend()
        qualifier = self._world.qualifier(column)
        for name, history in oracle.blocks.items():
            cell = cells.get((*name, qualifier))
            end = cell[0] if cell is not None else 0
            if end < position and history.count(position) != history.count(end):
                return f"block {name} ends at {end}"
        return None

    # --- archive -------------------------------------------------------------------------------------------------

    def claimed(self, footer: Footer, partition_files: dict[int, Footer], origin: int | None) -> None:
        """A file became part of a chain."""
        where = f"file {footer.start} to {footer.end} of partition {footer.partition}"
        self.require("archive-origin", origin is not None, f"{where}: there is no origin")
        end = max((known.end for known in partition_files.values()), default=origin)
        self.require("archive-contiguous", footer.start == end, f"{where}: the chain ended at {end}")
        logs = self._world.logs(footer.incarnation, footer.partition)
        if footer.gap is not None:
            self.require("archive-gap", footer.rows == 0 and footer.end <= logs[-1].start, f"{where}: {footer.gap}")
            return
        wanted = []
        for log in logs:
            rows = b"".join(
                _ROW.pack(offset, crc) for offset, crc in enumerate(log.crcs[footer.start : footer.end], footer.start)
            )
            wanted.append((min(log.end, footer.end) - footer.start, hashlib.sha256(rows).hexdigest()))
        self.require(
            "archive-records", (footer.rows, footer.checksum) in wanted, f"{where}: other records than the log's"
        )

    # --- commits -------------------------------------------------------------------------------------------------

    def commit(self, process: Actor, partition: int, offset: int) -> None:
        """Never above what every sink of the process has."""
        world = self._world
        if process.outdated() or "log cut" in world.excuses:
            return
        for sink in process.kinds:
            stands = world.stands(sink, partition)
            self.require(
                "commit-not-above-positions",
                stands is not None and offset <= stands,
                f"committed {offset} of partition {partition}, but the {sink} stand at {stands}",
            )


class ProcessWatch(Watch):
    """Checks on what one process sends."""

    def __init__(self, process: Actor, checks: Checks) -> None:
        self._process, self._checks = process, checks
        self.identified = self.verified = False
        self.acked: dict[CellKey, int] = {}
        self.assigned: dict[int, int] = {}  # partition -> counters position it was assigned at
        self.job_end: dict[int, int] = {}  # partition -> timestamp of the blocks that this job put
        self.starts: dict[tuple[int, int], int] = {}  # (partition, position of a flush) -> where it was assigned then
        self.read_keys: set[CellKey] = set()  # blocks that were looked up
        self.clean: dict[CellKey, int] = {}  # up to where a block holds no record that is not acknowledged

    def enter(self) -> tuple[bool, bool, dict[int, int]]:
        """Another flush, claim or turn begins: whatever was read of the registry before is history."""
        before = (self.identified, self.verified, self.job_end)
        self.identified, self.verified, self.job_end = False, False, {}
        return before

    def leave(self, before: tuple[bool, bool, dict[int, int]]) -> None:
        """It ended; the other thread of the process may be in the midst of its own."""
        self.identified, self.verified, self.job_end = before

    def starts_anew(self, partition: int, position: int) -> None:
        """It holds no block of the partition any more, whatever it has read before, and counts from `position` on."""
        self.assigned[partition] = position
        self.read_keys = {key for key in self.read_keys if parse_qualifier(key[2])[2] != partition}
        self.clean = {key: end for key, end in self.clean.items() if parse_qualifier(key[2])[2] != partition}

    def state_read(self) -> None:
        self.verified = self.verified or self.identified

    def read(self, table: str, qualifier: bytes, rows: Column, found: Cells) -> None:
        self.read_keys.update((table, row, qualifier) for row in rows.to_pylist())
        for place, timestamp in zip(found.indices.to_pylist(), found.timestamps.to_pylist(), strict=True):
            key = (table, rows[place].as_py(), qualifier)
            self.acked[key] = max(self.acked.get(key, 0), timestamp)
            self.clean[key] = max(self.clean.get(key, 0), timestamp)
            self._may_be_foreign(key, timestamp)

    def _may_be_foreign(self, key: CellKey, timestamp: int) -> None:
        """A block that was ahead of its position when the log was cut names the CRC of the record before its end.

        Who passes that record compares it, before or after the block was read. But whoever starts above it does not
        pass it; and whoever started below need not have read the block. Not promised; an audit sees it.
        """
        world = self._process.world
        partition = parse_qualifier(key[2])[2]
        if timestamp == world.ahead.get(key) and self.assigned.get(partition, 0) >= timestamp:
            world.unseen.add(key)

    def writes(self, key: CellKey, timestamp: int, value: bytes) -> None:
        checks = self._checks
        checks.require("registry-read-before-put", self.verified, f"a put of {key} without a registry read before")
        plan, incarnation, partition = parse_qualifier(key[2])
        process = self._process
        registered = (process.registration.plan, process.registration.incarnation)
        checks.require(
            "plan-and-log-identity", (plan, incarnation) == registered, f"{key} by a process of {registered}"
        )
        end = self.job_end.setdefault(partition, timestamp)
        checks.require(
            "one-snapshot", end == timestamp, f"one flush puts partition {partition} at {end} and {timestamp}"
        )

    def frozen(self, parts: list[tuple[int, list[CellKey], int]], positions: list[tuple[int, int]]) -> None:
        """The engine gave a flush: (partition, cells, timestamp) a part, and the positions."""
        checks, process = self._checks, self._process
        for partition, position in positions:
            start = self.assigned.get(partition, 0)
            self.starts[partition, position] = max(start, self.starts.get((partition, position), 0))
        if "log cut" in process.world.excuses or process.outdated():
            return
        for partition, keys, timestamp in parts:
            column = (process.registration.plan, process.registration.incarnation, partition)
            oracle = checks.oracles(column)[-1]
            for key in keys:
                start = max(self.clean.get(key, 0), self.assigned.get(partition, 0))
                news = oracle.between(key[:2], start, timestamp)
                checks.require("dirty-only", news, f"{key} at {timestamp}: nothing was counted since {start}")
                known = key in self.read_keys or not oracle.between(key[:2], 0, self.assigned.get(partition, 0))
                checks.require("base-before-count", known, f"{key} at {timestamp} was neither read nor absent")

    def written(self, puts: list[tuple[CellKey, bytes]], timestamp: int) -> None:
        for key, _ in puts:
            self.acked[key] = max(self.acked.get(key, 0), timestamp)

    def acknowledged(self, parts: list[tuple[int, list[CellKey], int]]) -> None:
        """The engine was told that a flush is durable."""
        for _, keys, timestamp in parts:
            for key in keys:
                self._checks.require(
                    "ack-after-reply", self.acked.get(key, 0) >= timestamp, f"{key} at {timestamp} had no clean reply"
                )
                self.clean[key] = max(self.clean.get(key, 0), timestamp)

    def puts_position(self, qualifier: bytes, timestamp: int, value: bytes) -> None:
        checks, process = self._checks, self._process
        if process.group is None and not self.job_end:
            return  # an operator's own
        checks.require("registry-read-before-put", self.verified, "a position without a registry read before")
        plan, incarnation, partition, _ = parse_control_qualifier(qualifier)
        end = self.job_end.get(partition, timestamp)
        checks.require("one-snapshot", end == timestamp, f"blocks at {end}, the position at {timestamp}")
        if self.assigned.get(partition, -1) >= timestamp:
            return  # a position that was recorded before, put once more to see whether the store takes writes
        start = self.starts.get((partition, timestamp))
        oracles = checks.oracles((plan, incarnation, partition))
        if start is None or not oracles or "log cut" in process.world.excuses or process.outdated():
            return
        column = process.world.qualifier((plan, incarnation, partition))
        oracle = oracles[-1]
        oracle.extend()
        checks.made["position-after-ack"] += 1
        for name, history in oracle.blocks.items():
            acked = self.acked.get((*name, column), 0)
            if acked < timestamp and history.count(timestamp) != history.count(max(acked, start)):
                raise Violation(
                    "position-after-ack",
                    f"position {timestamp} of partition {partition}: {name} has a reply for {acked}",
                )
