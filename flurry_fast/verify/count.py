"""The independent count: folds decoded reports into the counters that docs/counters.md defines.

Slow and plain on purpose. Input is what a manifest holds: one JSON object a
report in the decode schema, with `partition`, `offset` and `timestamp_ms`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flurry_fast.verify import clock, dimensions
from flurry_fast.verify.dedup import Identity, Memory
from flurry_fast.verify.dimensions import Values
from flurry_fast.verify.plan import UNREADABLE_NUMBER, CountedPlan, CountedRollup

# In the place of a key tuple: everything past a rollup's cap.
OTHER: Final = "(other)"

Key = tuple[str, ...] | str
Groups = dict[Key, dict[str, int]]
# (partition, API key as its wire bytes, hours since the epoch)
BlockKey = tuple[int, bytes, int]
Blocks = dict[BlockKey, dict[str, Groups]]
# partition -> offsets start <= o < end, in order; no end: up to the last
Ranges = Mapping[int, Sequence[tuple[int, int | None]]]

_U64_MAX = 2**64 - 1


class CountError(ValueError):
    """The manifest cannot be counted: an offset lacks, comes twice, or a line is not what it should be."""


def wire_key(report: Mapping[str, Any]) -> bytes:
    """The wire bytes of the API key: given as hex where the text is not plain ASCII."""
    if "api_key_hex" in report:
        return bytes.fromhex(report["api_key_hex"])
    key: str = report["api_key"]
    if not key.isascii():
        raise CountError(f"the bytes of API key {key!r} are not on record: api_key_hex lacks")
    return key.encode("ascii")


def _identity(report: Mapping[str, Any], session: Mapping[str, Any]) -> Identity:
    """Whose session it is: by raw values, whatever they look like as text."""
    ids = (bytes.fromhex(item["hex"]) for item in report["device_ids"] if item["type"] == 0)
    return wire_key(report), next(ids, b""), session["start_ms"]


def _not_ended(session: Mapping[str, Any]) -> int:
    duration = session["duration_ms"]
    return -1 if duration is None else int(duration)


def survivors(sessions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sessions that count: of records with one start the longest, of equally long ones the last."""
    longest: dict[int, tuple[int, int]] = {}
    for place, session in enumerate(sessions):
        start, rank = session["start_ms"], (max(-1, session["duration_ms"]), place)
        longest[start] = max(longest.get(start, rank), rank)
    kept = {place for _, place in longest.values()}
    return [session for place, session in enumerate(sessions) if place in kept]


@dataclass
class Count:
    """Folds reports, partition by partition, in the order of their offsets.

    Lines of a partition may come out of order; each waits for its predecessors.
    `starts` names first offsets other than 0. `ranges` says which offsets the plan
    counts, by partition; None: all. Sessions of the others are known, too, if they come again.
    """

    plan: CountedPlan
    starts: Mapping[int, int] = field(default_factory=dict)
    ranges: Ranges | None = None
    blocks: Blocks = field(default_factory=dict)
    # Per partition: CRC-32C of each record, by offset minus start.
    crcs: dict[int, list[int]] = field(default_factory=dict)
    reports: int = 0
    again: int = 0  # sessions that came before, and were dropped

    def __post_init__(self) -> None:
        self._waiting: dict[int, dict[int, dict[str, Any]]] = {}
        self._memories: dict[int, Memory] = {}

    def add(self, line: dict[str, Any]) -> None:
        """Counts one manifest line, or keeps it until the offsets before it have come.

        Raises CountError where the offset was counted already.
        """
        partition, offset = line["partition"], line["offset"]
        waiting = self._waiting.setdefault(partition, {})
        if offset < self.end(partition) or offset in waiting:
            raise CountError(f"partition {partition}: offset {offset} comes twice")
        waiting[offset] = line
        while (ready := waiting.pop(self.end(partition), None)) is not None:
            if self.counts(partition, self.end(partition)):
                self._fold(ready)
            else:
                self._meet(ready, clock.receive_ms(ready["timestamp_ms"]))
            self.crcs.setdefault(partition, []).append(ready.get("crc32c", 0))

    def lose(self, partition: int, crc32c: int = 0) -> None:
        """The next record is part of a recorded gap: it counts nowhere, and nothing below it is known any more."""
        self._memories.pop(partition, None)
        self.crcs.setdefault(partition, []).append(crc32c)

    def end(self, partition: int) -> int:
        """The first offset of the partition that is not counted yet."""
        return self.starts.get(partition, 0) + len(self.crcs.get(partition, ()))

    def counts(self, partition: int, offset: int) -> bool:
        """Whether the plan counts what lies there; after a plan switch it may not."""
        if self.ranges is None:
            return True
        mine = self.ranges.get(partition, ())
        return any(start <= offset and (end is None or offset < end) for start, end in mine)

    def finish(self) -> Blocks:
        """The counters of everything added. Raises CountError if an offset lacks."""
        for partition, waiting in self._waiting.items():
            if waiting:
                raise CountError(
                    f"partition {partition}: offset {self.end(partition)} is not in the manifest, "
                    f"but {len(waiting)} later ones are"
                )
        return self.blocks

    def _fold(self, line: dict[str, Any]) -> None:
        self.reports += 1
        received = clock.receive_ms(line["timestamp_ms"])
        counting, dropped = self._meet(line, received)
        self.again += sum(dropped.values())
        if line["outcome"] != "ok":
            block = self.blocks.setdefault((line["partition"], b"", received // clock.HOUR_MS), {})
            _add(block, self.plan.rollup(UNREADABLE_NUMBER), {"reason": line["outcome"]}, {"reports": 1})
            return
        _ReportFold(self.plan, self.blocks, line, received).run(counting, dropped)

    def _meet(self, line: dict[str, Any], received: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """The sessions of a line that count, and how many do not because they came before, by kind."""
        memory = None
        if self.plan.window_ms:
            memory = self._memories.setdefault(line["partition"], Memory(self.plan.window_ms, self.plan.max_sessions))
            memory.record(received)
        dropped = {"duplicates": 0, "superseded": 0}
        if line["outcome"] != "ok":
            return [], dropped
        standing = survivors([{**session, "duration_ms": _not_ended(session)} for session in line["sessions"]])
        if memory is None:
            return standing, dropped
        counting = []
        for session in standing:
            fate = memory.session(_identity(line, session), session["duration_ms"])
            if fate == "counts":
                counting.append(session)
            else:
                dropped["duplicates" if fate == "duplicate" else "superseded"] += 1
        return counting, dropped


class _ReportFold:
    """One readable report: itself, then its sessions that count, in wire order."""

    def __init__(self, plan: CountedPlan, blocks: Blocks, report: dict[str, Any], received: int) -> None:
        self.plan, self.blocks, self.report, self.received = plan, blocks, report, received
        self.key = wire_key(report)
        self.shift = clock.shift_ms(plan, report, received)
        self.values = dimensions.of_report(plan, report, self.shift, received)

    def run(self, sessions: list[dict[str, Any]], dropped: dict[str, int]) -> None:
        for rollup in self.plan.rollups:
            if rollup.level == "session" and rollup.of_reports:
                self._add(self.received // clock.HOUR_MS, rollup, self.values, {"reports": 1, **dropped})
        for session in sessions:
            self._session(session)

    def _session(self, session: dict[str, Any]) -> None:
        at_ms, suspect = clock.effective_ms(self.plan, session["start_ms"], self.shift, self.received)
        bucket = at_ms // clock.HOUR_MS
        values = self.values | dimensions.of_session(session, at_ms)
        measures = self._session_measures(session, suspect)
        for rollup in self.plan.rollups:
            if rollup.level == "session":
                if not rollup.only_reports:
                    self._add(bucket, rollup, values, measures)
            elif rollup.level == "event":
                self._events(bucket, rollup, values, session)
            elif rollup.level == "parameter":
                self._parameters(bucket, rollup, values, session)
            else:
                self._errors(bucket, rollup, values, session)

    def _session_measures(self, session: dict[str, Any], suspect: bool) -> dict[str, int]:
        protocol, errors = self.report["protocol"], session["errors"]
        return {
            "sessions": 1,
            "new_users": int(session["start_ms"] == self.report["first_session_start_ms"]),
            "ended_sessions": int(session["duration_ms"] >= 0),
            "duration": self._ms(session["duration_ms"]),
            "page_views": self._clamp(session["page_views"]),
            "events": sum(self._clamp(count) for _, count in session["event_counts"]),
            "errors": self._clamp(session["total_errors"]),
            "crashes": sum(dimensions.error_kind(protocol, error) == "uncaught" for error in errors),
            "data_points": 1 + len(session["events"]) + len(errors),
            "clock_suspect": int(suspect),
        }

    def _events(self, bucket: int, rollup: CountedRollup, values: Values, session: dict[str, Any]) -> None:
        seen: set[str] = set()
        for name, count in session["event_counts"]:
            measures = {"events": self._clamp(count), "event_sessions": int(name not in seen)}
            seen.add(name)
            self._add(bucket, rollup, values | {"event": name}, measures)
        for event in session["events"]:
            duration = event["duration_ms"] or 0
            if duration > 0:
                self._add(bucket, rollup, values | {"event": event["name"]}, {"event_duration": self._ms(duration)})

    def _parameters(self, bucket: int, rollup: CountedRollup, values: Values, session: dict[str, Any]) -> None:
        seen: set[tuple[str, ...]] = set()
        for event in session["events"]:
            for name, value in event["params"]:
                here = values | {"event": event["name"], "parameter": name, "value": value}
                key = _key(rollup, here)
                self._add(bucket, rollup, here, {"events": 1, "event_sessions": int(key not in seen)})
                seen.add(key)

    def _errors(self, bucket: int, rollup: CountedRollup, values: Values, session: dict[str, Any]) -> None:
        for error in session["errors"]:
            kind = dimensions.error_kind(self.report["protocol"], error)
            here = values | {"error": error["error_id"], "error_kind": kind}
            self._add(bucket, rollup, here, {"errors": 1, "crashes": int(kind == "uncaught")})

    def _clamp(self, count: int) -> int:
        return max(0, min(count, self.plan.max_count))

    def _ms(self, duration: int) -> int:
        return max(0, min(duration, self.plan.max_duration_ms))

    def _add(self, bucket: int, rollup: CountedRollup, values: Values, measures: Mapping[str, int]) -> None:
        _add(self.blocks.setdefault((self.report["partition"], self.key, bucket), {}), rollup, values, measures)


def _key(rollup: CountedRollup, values: Values) -> tuple[str, ...]:
    return tuple(values[dimension] for dimension in rollup.dimensions)


def _add(block: dict[str, Groups], rollup: CountedRollup, values: Values, measures: Mapping[str, int]) -> None:
    groups = block.setdefault(rollup.name, {})
    key: Key = _key(rollup, values)
    if key not in groups and len(groups) - (OTHER in groups) >= rollup.cap:
        key = OTHER
    group = groups.setdefault(key, dict.fromkeys(rollup.measures, 0))
    for name in rollup.measures:
        amount = measures.get(name)
        if amount:
            group[name] = min(group[name] + amount, _U64_MAX)


def count_lines(
    lines: Iterable[str | bytes],
    plan: CountedPlan,
    starts: Mapping[int, int] | None = None,
    ranges: Ranges | None = None,
) -> Count:
    """Counts manifest lines; raises CountError where the manifest has a hole, an offset twice, or no report."""
    count = Count(plan, starts or {}, ranges)
    for line in lines:
        count.add(json.loads(line))
    count.finish()
    if not count.crcs:
        raise CountError("the manifest is empty")
    return count
