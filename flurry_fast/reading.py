"""Reading counters back, as Arrow tables.

A block holds what one partition contributed to one app's hour under one plan; a reader sums over partitions, topic
incarnations and plans. Hours are hours of UTC; days are made of them in any time zone (an hour belongs to the day in
which it starts). Nothing here writes.
"""

from __future__ import annotations

import datetime as dt
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from flurry_fast import _core
from flurry_fast.errors import FlurryFastError, StoreCorrupt
from flurry_fast.gaps import LowerBounds, gaps
from flurry_fast.registry import plans as registered_plans
from flurry_fast.stores.base import CellStore

UNKNOWN = "(unknown)"
OTHER = "(other)"
UNREADABLE = "unreadable"

Bucket = Literal["hour", "day"]
When = dt.datetime | dt.date | None

_TABLE = re.compile(r"counters_([0-9]{6})")
_LAST_BUCKET = 2**32 - 1
_BARE_ROW = 7  # bytes of a row with the empty API key: unreadable reports, which are no app
_HOUR = dt.timedelta(hours=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class ReadError(FlurryFastError):
    """What was asked for is not there: no such rollup, no such measure, or a store without a plan."""

    exit_code = 2


@dataclass(frozen=True)
class RollupInfo:
    """A rollup that can be read: the value of each dimension is a column, each measure a u64 column."""

    name: str
    dimensions: tuple[str, ...]
    measures: tuple[str, ...]


# --- what there is -----------------------------------------------------------------------------------------------


def rollups(store: CellStore) -> list[RollupInfo]:
    """Every rollup of every plan that was ever counted in the store, `unreadable` last.

    Where plans differ, the measures of all of them. Raises ReadError for a store that has no plan yet, or whose
    plans give one rollup different dimensions.
    """
    return list(_Plans(store).rollups.values())


class _Plans:
    """The plans of a store, and the rollups as they read over all of them."""

    def __init__(self, store: CellStore) -> None:
        self.by_id: dict[int, _core.Plan] = {}
        self.rollups: dict[str, RollupInfo] = {}
        for number, toml in registered_plans(store).items():
            plan = _core.Plan.registered(toml, number)
            self.by_id[number] = plan
            for rollup in plan.rollups:
                if rollup.name != UNREADABLE:
                    self._merge(RollupInfo(rollup.name, tuple(rollup.dimensions), tuple(rollup.measures)))
        if not self.by_id:
            raise ReadError("Nothing was counted in this store yet.", way_out="Run `flurry-fast consume` first.")
        self.rollups[UNREADABLE] = RollupInfo(UNREADABLE, ("reason",), ("reports",))

    def _merge(self, rollup: RollupInfo) -> None:
        known = self.rollups.setdefault(rollup.name, rollup)
        if known.dimensions != rollup.dimensions:
            raise ReadError(
                f"Rollup {rollup.name} has dimensions {', '.join(known.dimensions) or 'none'} in one plan of this store"
                f" and {', '.join(rollup.dimensions) or 'none'} in another: they cannot be summed."
            )
        more = tuple(measure for measure in rollup.measures if measure not in known.measures)
        self.rollups[rollup.name] = RollupInfo(rollup.name, rollup.dimensions, known.measures + more)

    def find(self, name: str | None) -> RollupInfo:
        """The rollup of that name; without one the first that has no dimensions (the app's totals)."""
        if name is None:
            return next((r for r in self.rollups.values() if not r.dimensions), next(iter(self.rollups.values())))
        if name not in self.rollups:
            raise ReadError(f"There is no rollup {name!r}.", way_out=f"There are {', '.join(self.rollups)}.")
        return self.rollups[name]

    def totals(self, measure: str) -> RollupInfo:
        """The app totals that have the measure."""
        found = [rollup for rollup in self.rollups.values() if not rollup.dimensions]
        for rollup in found:
            if measure in rollup.measures:
                return rollup
        known = dict.fromkeys(name for rollup in found for name in rollup.measures)
        raise ReadError(f"There is no measure {measure!r} of whole apps.", way_out=f"There are {', '.join(known)}.")

    def number(self, plan_id: int, rollup: str) -> tuple[int, tuple[str, ...]] | None:
        """Number and measures of a rollup in one plan; None where the plan lacks it."""
        if rollup == UNREADABLE:
            return 255, ("reports",)
        for found in self.by_id[plan_id].rollups:
            if found.name == rollup:
                return found.number, tuple(found.measures)
        return None


# --- counters of one app -------------------------------------------------------------------------------------------


def counters(
    store: CellStore,
    app: str | bytes,
    rollup: str | None = None,
    start: When = None,
    end: When = None,
    bucket: Bucket = "hour",
    tz: str = "UTC",
) -> pa.Table:
    """One app's counters, summed over partitions and plans, in order of time and group.

    `app` is the API key as text (or its wire bytes); the empty one has the unreadable reports, by reason. `rollup`:
    by default the app's totals. `start` (included) and `end` (excluded) are datetimes, or dates (midnight); without a
    zone they are of `tz`.

    Columns: `hour` (timestamp[s, tz]) or `day` (date32), a string column per dimension, a uint64 column per measure.
    An empty dimension reads `(unknown)`; what was folded by the rollup's cap is the row of `(other)`, the last of its
    time. A measure is null where a plan that contributed did not have it. The last column, `lower_bound`, is null where
    nothing is missing, else what is (gaps.LowerBounds). Raises ReadError, and StoreError for a store that fails or is
    damaged.
    """
    zone = _zone(tz)
    plans = _Plans(store)
    key = wire_key(app) if isinstance(app, str) else app
    info = plans.find(UNREADABLE if not key and rollup is None else rollup)
    first, last = _buckets(start, end, zone)
    parts = []
    for cells in _app_cells(store, key, first, last):
        hours = pa.array([int.from_bytes(row[-4:]) for row in _bytes(cells.column("row"))], pa.uint32())
        for groups in _groups(plans, info, cells):
            time = _times(hours.take(groups.column("index").combine_chunks()), bucket, tz, zone)
            parts.append(groups.drop_columns(["index"]).add_column(0, bucket, time))
    table = _shown(_summed(parts, info, pa.field(bucket, _time_type(bucket, tz))), info)
    return _marked(table, [_hours(cast("dt.date", time), zone) for time in table.column(bucket).to_pylist()], store)


def _times(hours: pa.Array[Any], bucket: Bucket, tz: str, zone: ZoneInfo) -> pa.Array[Any]:
    encoded = hours.dictionary_encode()
    starts = [_EPOCH + _HOUR * cast("int", hour) for hour in encoded.dictionary.to_pylist()]
    values: pa.Array[Any] = pa.array(
        [start.astimezone(zone).date() for start in starts] if bucket == "day" else starts, _time_type(bucket, tz)
    )
    return values.take(encoded.indices)


def _time_type(bucket: Bucket, tz: str) -> pa.DataType:
    return pa.date32() if bucket == "day" else pa.timestamp("s", tz)


# --- the busiest apps ----------------------------------------------------------------------------------------------


def apps(
    store: CellStore, by: str = "sessions", limit: int | None = 20, start: When = None, end: When = None
) -> pa.Table:
    """Apps by a measure of their totals, the busiest first; ties by key. `limit` None: all of them.

    Columns: `app` (string; a key that is no UTF-8 as its bytes in \\x escapes), a uint64 column per measure, and
    `lower_bound` as in `counters`, of the whole range.
    Times as in `counters`, in UTC. Reads every block in the range. Raises ReadError and StoreError.
    """
    plans = _Plans(store)
    info = plans.totals(by)
    first, last = _buckets(start, end, ZoneInfo("UTC"))
    key = pa.field("key", pa.binary())
    table = _summed([], info, key)
    for name in _tables(store, first, last):
        for cells in store.scan(name):
            table = _summed([table, *_by_key(plans, info, cells, first, last)], info, key)
    table = table.sort_by([(by, "descending"), ("key", "ascending")])
    table = table if limit is None else table.slice(0, limit)
    shown = [key.decode("utf-8", "backslashreplace") for key in _bytes(table.column("key"))]
    table = table.drop_columns(["key", "other"]).add_column(0, "app", pa.array(shown, pa.string()))
    return _marked(table, [(first, last)] * table.num_rows, store)


def _by_key(plans: _Plans, info: RollupInfo, cells: pa.RecordBatch, first: int, last: int) -> Iterator[pa.Table]:
    rows = _bytes(cells.column("row"))
    wanted = [len(row) > _BARE_ROW and first <= int.from_bytes(row[-4:]) < last for row in rows]
    keys = pa.array([row[2:-5] for row, keep in zip(rows, wanted, strict=True) if keep], pa.binary())
    for groups in _groups(plans, info, cells.filter(pa.array(wanted, pa.bool_()))):
        yield groups.add_column(0, "key", keys.take(groups.column("index"))).drop_columns(["index"])


# --- blocks to groups ----------------------------------------------------------------------------------------------


def wire_key(app: str) -> bytes:
    """The wire bytes (modified UTF-8) of an API key."""
    return "".join(map(_surrogates, app)).encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")


def _surrogates(character: str) -> str:
    over = ord(character) - 0x10000
    return character if over < 0 else chr(0xD800 + (over >> 10)) + chr(0xDC00 + (over & 0x3FF))


def _row(key: bytes, bucket: int) -> bytes:
    return bytes((zlib.crc32(key) & 0xFF, len(key))) + key + b"h" + bucket.to_bytes(4)


def _tables(store: CellStore, first: int, last: int) -> list[str]:
    def month(bucket: int) -> str:
        start = _EPOCH + _HOUR * min(bucket, 70_389_527)  # the last hour of the year 9999
        return f"{start:%Y%m}"

    low, high = month(first), month(max(first, last - 1))
    found = [match for match in map(_TABLE.fullmatch, store.tables()) if match is not None]
    return [match.group() for match in found if low <= match.group(1) <= high]


def _app_cells(store: CellStore, key: bytes, first: int, last: int) -> Iterator[pa.RecordBatch]:
    if len(key) > 255 or first >= last:
        return
    stop = _row(key, last) if last <= _LAST_BUCKET else _row(key, _LAST_BUCKET) + b"\0"
    for table in _tables(store, first, last):
        yield from store.scan(table, start=_row(key, first), stop=stop)


def _groups(plans: _Plans, info: RollupInfo, cells: pa.RecordBatch) -> Iterator[pa.Table]:
    """The groups of one rollup in these cells: index (of the cell), other, a column a dimension and a measure."""
    owners = pa.array([int.from_bytes(name[:4]) for name in _bytes(cells.column("qualifier"))], pa.uint32())
    for plan_id in pc.unique(owners).to_pylist():
        if plan_id not in plans.by_id:
            raise ReadError(f"The store has counters of plan {plan_id:08x}, which its registry does not know.")
        place = plans.number(plan_id, info.name)
        if place is None:
            continue
        number, measures = place
        at = pc.indices_nonzero(pc.equal(owners, pa.scalar(plan_id, pa.uint32())))
        mine = cells.take(at)
        try:
            blocks = _core.decode_blocks(plans.by_id[plan_id], mine.column("row"), mine.column("value"))
        except _core.CellCorrupt as error:
            raise StoreCorrupt(
                f"A stored block is damaged: {error}.", way_out="`flurry-fast audit` names every such block."
            ) from error
        decoded = pa.record_batch(blocks)
        decoded = decoded.filter(pc.equal(decoded.column("rollup"), pa.scalar(number, pa.uint8())))
        folded = decoded.column("other")
        # The dimensions of (other) are an empty list, which has no elements to take.
        for part in (decoded.filter(pc.invert(folded)), decoded.filter(folded)):
            if part.num_rows:
                yield _columns(info, measures, part, at.take(part.column("row")))


def _columns(info: RollupInfo, measures: Sequence[str], part: pa.RecordBatch, index: pa.Array[Any]) -> pa.Table:
    columns: dict[str, Any] = {"index": index, "other": part.column("other")}
    folded = part.column("other")[0].as_py()
    for place, dimension in enumerate(info.dimensions):
        values = pa.repeat("", part.num_rows) if folded else pc.list_element(part.column("dimensions"), place)
        columns[dimension] = values
    for measure in info.measures:
        columns[measure] = (
            pc.list_element(part.column("measures"), measures.index(measure))
            if measure in measures
            else pa.nulls(part.num_rows, pa.uint64())
        )
    return pa.table(columns)


def _summed(parts: Sequence[pa.Table], info: RollupInfo, leading: pa.Field[Any]) -> pa.Table:
    """Parts added up by the leading column and the group, ordered by both, `(other)` last."""
    fields = [leading, pa.field("other", pa.bool_())]
    fields += [pa.field(name, pa.string()) for name in info.dimensions]
    fields += [pa.field(name, pa.uint64()) for name in info.measures]
    schema = pa.schema(fields)
    columns = schema.names
    table = pa.concat_tables([schema.empty_table(), *(part.select(columns).cast(schema) for part in parts)])
    keys = [leading.name, "other", *info.dimensions]
    whole = pc.ScalarAggregateOptions(skip_nulls=False, min_count=0)
    table = table.group_by(keys).aggregate([(measure, "sum", whole) for measure in info.measures])
    table = table.select([*keys, *(f"{measure}_sum" for measure in info.measures)])
    table = table.rename_columns([*keys, *info.measures]).select(columns)
    return table.sort_by([(name, "ascending") for name in keys])


def _shown(table: pa.Table, info: RollupInfo) -> pa.Table:
    """Names for what has none: `(unknown)` for an empty value, `(other)` for what the cap folded."""
    for name in info.dimensions:
        values = table.column(name)
        values = pc.if_else(pc.equal(values, pa.scalar("")), UNKNOWN, values)
        values = pc.if_else(table.column("other"), OTHER, values)
        table = table.set_column(table.column_names.index(name), name, values)
    return table.drop_columns(["other"])


def _marked(table: pa.Table, hours: Sequence[tuple[int, int]], store: CellStore) -> pa.Table:
    """The table with the column `lower_bound`; `hours` are each row's buckets, [first, end)."""
    bounds = LowerBounds(gaps(store))
    values = [bounds.of(*some) for some in hours] if bounds else [None] * table.num_rows
    return table.append_column("lower_bound", pa.array(values, pa.string()))


def _bytes(column: pa.Array[Any] | pa.ChunkedArray[Any]) -> list[bytes]:
    return cast("list[bytes]", column.to_pylist())


# --- times ---------------------------------------------------------------------------------------------------------


def _zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (OSError, ValueError, LookupError):
        raise ReadError(f"{tz!r} is not a time zone.", way_out="Name one like Europe/Berlin or UTC.") from None


def _buckets(start: When, end: When, zone: ZoneInfo) -> tuple[int, int]:
    """The range of hours [first, last) that begin at or after `start` and before `end`."""
    first = 0 if start is None else _bucket(start, zone)
    last = _LAST_BUCKET + 1 if end is None else _bucket(end, zone)
    return max(0, first), max(0, min(last, _LAST_BUCKET + 1))


def _hours(time: dt.datetime | dt.date, zone: ZoneInfo) -> tuple[int, int]:
    """The buckets [first, end) of a row's hour or day."""
    first = _bucket(time, zone)
    return first, first + 1 if isinstance(time, dt.datetime) else _bucket(time + dt.timedelta(days=1), zone)


def _bucket(when: dt.datetime | dt.date, zone: ZoneInfo) -> int:
    moment = when if isinstance(when, dt.datetime) else dt.datetime.combine(when, dt.time())
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return -((_EPOCH - moment) // _HOUR)
