"""Which months no report can count in any more: the only ones whose tables may be dropped.

A session counts in an hour at most `max_age` before its report was received, by Kafka's clock, whatever the device says
(docs/counters.md). Every record that is still to be counted lies at or above the counters' position of its partition;
so the oldest hour that anybody may still write is the time of the first such record, less `max_age`. A partition that
is counted up to its end is as young as the youngest record that was counted in any. Kafka's times may go back by a day,
as everywhere (docs/exactness.md). No clock of this host is asked.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from flurry_fast.errors import FlurryFastError
from flurry_fast.operations.generation import positions
from flurry_fast.operations.ports import LogView
from flurry_fast.operations.reset import setting
from flurry_fast.registry import Registry, plans
from flurry_fast.stores.base import CellStore

DAY_MS = 86_400_000


class DropRefused(FlurryFastError):
    """Reports that count in the month may still come."""


@dataclass(frozen=True)
class Horizon:
    """No bucket that ends at or before `at_ms` (since the epoch) can be written any more. `why` is a sentence's end."""

    at_ms: int
    why: str


def horizon(store: CellStore, registry: Registry, topic: str, log: LogView) -> Horizon:
    """That of one topic, as it is now: it only moves on. Reads a record of each partition that is not read up.

    Raises RegistryMismatch when the topic, as it is now, was never counted, or a plan switch is under way; StoreError;
    KafkaUnavailable.
    """
    registration = registry.registered()
    state = registry.state()
    standing = {} if state is None else positions(store, registry, state)
    age = max(setting(toml, "time.max_age_ms") for toml in plans(store).values())
    mine = {
        key[2]: found for key, found in standing.items() if key[:2] == (registration.plan, registration.incarnation)
    }
    oldest = max((found.max_timestamp for found in mine.values()), default=-1)
    why = f"the youngest record of topic {topic} that was counted is of {_day(oldest)}"
    for partition in range(registration.partitions):
        bounds = log.bounds(partition)
        found = mine.get(partition)
        unread = max(bounds.start, 0 if found is None else found.position)
        if unread < bounds.end:
            received = log.record(partition, unread).timestamp
            if received < oldest:
                oldest, why = (
                    received,
                    f"record {unread} of partition {partition} of topic {topic} is to be counted yet",
                )
    return Horizon(oldest - age - DAY_MS, why)


def _day(ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(max(0, ms) / 1000, dt.UTC):%Y-%m-%d}"
