"""A store, an archive and a log, everything counted: what an operator's command is let loose on."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from flurry_fast import _core
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.operations.generation import positions
from flurry_fast.operations.ports import Chains
from flurry_fast.positions import CountersPosition
from flurry_fast.registry import Registry, State
from flurry_fast.stores.base import CellStore
from flurry_fast.verify.compare import Comparison, compare_store
from flurry_fast.verify.count import Count
from flurry_fast.verify.plan import CountedPlan

from ..verify.logs import INCARNATION, TOPIC, Consumer, Logs, generated, manifest
from .logs import MemoryLog

PLAN = _core.Plan.parse(files("flurry_fast").joinpath("plans/default.toml").read_text())
LOGS = generated(11, partitions=2, reports=24)
MORE = generated(12, partitions=2, reports=9)


class Installation:
    """Two partitions of 24 reports, several flushes and files."""

    def __init__(self, root: Path | None, logs: Logs = LOGS) -> None:
        self.log = MemoryLog(copy.deepcopy(logs))
        self.root = root
        self.files = LocalFileSystem(root if root is not None else Path("/nonexistent"))
        self.chains: Chains = lambda incarnation, partition: Chain(self.files, TOPIC, incarnation, partition)
        consumer = Consumer(PLAN, self.log.logs, root=root).run(flush_every=2, publish_every=3)
        self.store: CellStore = consumer.store

    def registry(self, store: CellStore | None = None) -> Registry:
        return Registry(store if store is not None else self.store, TOPIC, lambda: INCARNATION)

    def state(self) -> State:
        state = self.registry().state()
        assert state is not None
        return state

    def position(self, partition: int = 0) -> CountersPosition:
        return positions(self.store, self.registry(), self.state())[PLAN.id, INCARNATION, partition]

    def produce(self) -> None:
        """More reports into every partition."""
        for partition, log in self.log.logs.items():
            log += MORE[partition]

    def consumer(self) -> Consumer:
        return Consumer(PLAN, self.log.logs, self.store, root=self.root, log_starts=self.log.starts)

    def compare(self, lost: Collection[tuple[int, int]] = ()) -> Comparison:
        """Every counter against the independent count of all records but the lost (partition, offset)."""
        count = Count(CountedPlan.parse(PLAN.toml))
        for line in map(json.loads, manifest(self.log.logs)):
            if (line["partition"], line["offset"]) in lost:
                count.lose(line["partition"], line["crc32c"])
            else:
                count.add(line)
        count.finish()
        return compare_store(self.store, count, plan_id=PLAN.id, incarnation=INCARNATION)

    def assert_exact(self) -> None:
        """A consumer that starts now, and reads more, ends with exactly the right counters."""
        self.produce()
        self.consumer().run()
        compared = self.compare()
        assert compared.exact, compared.differences[:3]


def cells(store: CellStore) -> list[object]:
    """Every block of the store."""
    return [cell for table in store.tables() for batch in store.scan(table) for cell in batch.to_pylist()]
