"""Who was in archived records: three columns of the rows, and footers to find the first of them by Kafka's time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from flurry_fast.archive.chain import Chain

# What the engine knows sessions by (`Engine.recall`).
COLUMNS = (
    "offset",
    "kafka_timestamp",
    "sessions.list.element.fingerprint",
    "sessions.list.element.duration_ms",
)
SLACK_MS = 86_400_000  # the clocks of a topic's brokers differ by less: times go back by no more than this


@dataclass(frozen=True)
class Reach:
    """Records from `start` up to, and without, `end` are archived, without a hole; no record below `start` has a
    Kafka time of what was asked for."""

    start: int
    end: int


def reach(chain: Chain, since: int, below: int, floor: int) -> Reach | None:
    """The archived records below offset `below`, of Kafka time `since` (ms) or later and of all that lie between.

    `floor`: what lies below it is of no interest. `start` may be lower than need be: it is where a file begins. None
    where they are not all archived. Reads footers, the newest first, until one is older than `since` by a day.
    Raises StoreError.
    """
    origin = chain.origin()
    if origin is None:
        return None
    start = end = begin = max(origin, floor)  # of the files above the one at hand; `begin`: where the lowest begins
    youngest: int | None = None  # least Kafka time of the file above
    links = [link for link in chain.links() if link.start < below]
    for link in reversed(links):
        footer = chain.footer(link.start)
        if link is links[-1]:
            start = end = max(floor, min(footer.end, below))
        elif footer.end != begin:
            return None
        begin = footer.start
        if footer.gap is not None:
            # What was lost there is older than what came after it.
            known = footer.end <= floor or (youngest is not None and youngest < since)
            return Reach(start, end) if known else None
        youngest, latest = footer.min_timestamp, footer.max_timestamp
        if latest is not None and latest >= since:
            start = max(floor, footer.start)
        if begin <= floor or (latest is not None and latest < since - SLACK_MS):
            return Reach(start, end)
    return Reach(start, end) if origin <= floor else None


def sessions(chain: Chain, start: int, end: int) -> Iterator[pa.RecordBatch]:
    """Rows of COLUMNS, of every file with a record from `start` up to, and without, `end`. Raises StoreError."""
    links = [link for link in chain.links() if link.start < end]
    first = max((at for at, link in enumerate(links) if link.start <= start), default=0)
    for link in links[first:]:
        with chain.files.open(link.path) as source:
            yield from chain.format.columns(source, COLUMNS).to_batches()
