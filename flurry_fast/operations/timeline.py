"""T, the running maximum of Kafka timestamps below an offset: what deduplication needs to go on from there.

It is a property of the log, from where the partition was first counted. The log may have forgotten its beginning; the
archive has not.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.footer import Footer
from flurry_fast.operations.ports import LogView


def highest_below(chain: Chain, log: LogView, first: int, offset: int) -> int | None:
    """The highest Kafka timestamp (ms) of the records from `first` up to `offset`, -1 without any.

    None where neither the archive (`chain`, which may be empty) nor the log has all of them any more. Offsets of a
    recorded gap count as if they had never been. Blocks and raises as both do.
    """
    highest, at = -1, first
    if first >= offset:
        return highest
    for footer in _covering(chain, first, offset):
        if footer.start > at:
            break
        whole = first <= footer.start and footer.end <= offset
        found = footer.max_timestamp if whole else _highest_row(chain, footer, first, offset)
        highest = max(highest, -1 if found is None else found)
        at = min(footer.end, offset)
    if at < offset:
        if log.bounds(chain.partition).start > at:
            return None
        highest = max(highest, log.max_timestamp(chain.partition, at, offset))
    return highest


def _covering(chain: Chain, first: int, offset: int) -> list[Footer]:
    """Footers of the files that hold any of these offsets, in order."""
    starts = [link.start for link in chain.links()]
    below = [start for start in starts if start <= first]
    wanted = [*below[-1:], *(start for start in starts if first < start < offset)]
    return [footer for footer in map(chain.footer, wanted) if footer.end > first]


def _highest_row(chain: Chain, footer: Footer, first: int, offset: int) -> int | None:
    if footer.gap is not None:
        return None
    with chain.files.open(chain.path(footer.start)) as source:
        rows = chain.format.columns(source, ["offset", "kafka_timestamp"])
    wanted = rows.filter((pc.field("offset") >= first) & (pc.field("offset") < offset))
    highest: int | None = pc.max(wanted["kafka_timestamp"].cast(pa.int64())).as_py()
    return highest
