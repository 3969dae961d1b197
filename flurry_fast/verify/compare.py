"""A store's counter cells against the independent count: every difference is named, and nothing is taken on trust."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flurry_fast.stores.base import CellStore
from flurry_fast.verify import blocks
from flurry_fast.verify.blocks import Block, BlockError
from flurry_fast.verify.clock import HOUR_MS
from flurry_fast.verify.count import BlockKey, Count, Groups, Ranges

TABLE_PREFIX = "counters_"
_NO_GROUPS: Groups = {}


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it must be; `where` names the app, hour and partition, or the cell."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class Comparison:
    """What was compared, and every difference. A comparison of nothing is no success."""

    blocks: int = 0
    counters: int = 0
    other_cells: int = 0  # of other plans or incarnations: not compared
    differences: list[Difference] = field(default_factory=list)

    def __add__(self, other: Comparison) -> Comparison:
        """Both of two plans: the cells of one are no others to the other."""
        return Comparison(
            self.blocks + other.blocks,
            self.counters + other.counters,
            other.other_cells - self.blocks,
            [*self.differences, *other.differences],
        )

    @property
    def exact(self) -> bool:
        """Whether something was compared and all of it agreed."""
        return not self.differences and self.counters > 0


def coverage(ranges: Sequence[Ranges], ends: Mapping[int, int]) -> Iterator[Difference]:
    """Every offset of every partition, from 0 to its end, must lie in one of the plans' ranges, and in one only."""
    for partition, end in ends.items():
        found = [item for plan in ranges for item in plan.get(partition, ())]
        at = 0
        for start, stop in [*sorted((start, end if stop is None else stop) for start, stop in found), (end, end)]:
            if start > at:
                yield Difference(f"partition {partition}", f"no plan counted offsets {at} to {start}")
            elif start < min(at, stop):
                yield Difference(f"partition {partition}", f"two plans counted offsets {start} to {min(at, stop)}")
            at = max(at, stop)


def table_of(bucket: int) -> str:
    """The table of a bucket: by the UTC month it starts in."""
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=bucket * HOUR_MS)
    return f"{TABLE_PREFIX}{start:%Y%m}"


def describe(key: BlockKey) -> str:
    """A block's name for people."""
    partition, api_key, bucket = key
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=bucket * HOUR_MS)
    app = api_key.decode("utf-8", "backslashreplace") or "(unreadable reports)"
    return f"app {app}, hour {start:%Y-%m-%dT%H}Z, partition {partition}"


def _cells(store: CellStore) -> Iterator[tuple[str, bytes, bytes, int, bytes]]:
    for table in store.tables():
        if table.startswith(TABLE_PREFIX):
            for batch in store.scan(table):
                for cell in batch.to_pylist():
                    yield table, cell["row"], cell["qualifier"], cell["timestamp"], cell["value"]


def compare_store(
    store: CellStore,
    count: Count,
    *,
    plan_id: int,
    incarnation: int,
    mine: Callable[[int], bool] = lambda _partition: True,
) -> Comparison:
    """Every cell of the plan and incarnation in `store` against `count`, and the other way round.

    The store must hold everything that was counted: compare after the last flush. A count of some partitions
    only says which with `mine`; cells of the others are passed by.
    """
    comparison = Comparison()
    seen: set[BlockKey] = set()
    for table, row, qualifier, timestamp, value in _cells(store):
        try:
            api_key, bucket = blocks.parse_row(row)
            plan, topic, partition = blocks.parse_qualifier(qualifier)
            if (plan, topic) != (plan_id, incarnation):
                comparison.other_cells += 1
                continue
            if not mine(partition):
                continue
            block = blocks.decode(count.plan, value)
        except BlockError as error:
            where = f"table {table}, row {row.hex()}, column {qualifier.hex()}"
            comparison.differences.append(Difference(where, str(error)))
            continue
        key = (partition, api_key, bucket)
        seen.add(key)
        comparison.blocks += 1
        for what in _self_check(count, key, block, timestamp, plan_id, table):
            comparison.differences.append(Difference(describe(key), what))
        _compare_block(comparison, key, block, count.blocks.get(key, {}))
    for key in sorted(count.blocks.keys() - seen):
        comparison.differences.append(Difference(describe(key), "the block is missing from the store"))
    return comparison


def _self_check(count: Count, key: BlockKey, block: Block, timestamp: int, plan_id: int, table: str) -> Iterator[str]:
    partition, _, bucket = key
    if table != table_of(bucket):
        yield f"the block is in table {table}"
    if block.end != timestamp:
        yield f"the block says {block.end}, its cell's timestamp {timestamp}"
    if block.plan_id != plan_id:
        yield f"the block says plan {block.plan_id:08x}, its column {plan_id:08x}"
    start, end = count.starts.get(partition, 0), count.end(partition)
    if not start < block.end <= end:
        yield f"the block ends at offset {block.end}, the reports go from {start} to {end}"
    elif not count.counts(partition, block.end - 1):
        yield f"the block ends at offset {block.end}, where its plan was closed"
    elif count.crcs[partition][block.end - 1 - start] != block.last_crc:
        yield f"the block's CRC of record {block.end - 1} is not that record's"


def _compare_block(comparison: Comparison, key: BlockKey, block: Block, expected: dict[str, Groups]) -> None:
    for rollup in sorted(block.rollups.keys() | expected.keys()):
        ours, theirs = block.rollups.get(rollup, _NO_GROUPS), expected.get(rollup, _NO_GROUPS)
        for group in sorted(ours.keys() | theirs.keys(), key=str):
            stored, counted = ours.get(group), theirs.get(group)
            comparison.counters += len(stored or counted or ())
            if stored != counted:
                name = group if isinstance(group, str) else ", ".join(map(repr, group)) or "all"
                what = f"{rollup} [{name}] is {stored}, counted were {counted}"
                comparison.differences.append(Difference(describe(key), what))
