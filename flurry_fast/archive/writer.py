"""One file: written under a temporary name, made durable, looked at again, and then claimed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flurry_fast import trials
from flurry_fast._core import RowChecksum
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.footer import Footer
from flurry_fast.errors import FlurryFastError, StoreCorrupt
from flurry_fast.positions import ArchivePosition

if TYPE_CHECKING:
    from flurry_fast._core import ArchiveChunk


@dataclass(frozen=True)
class Publication:
    """How an attempt ended.

    `ours`: the chain has our file. `position`: where the chain stands. `bytes`: the size of the file.
    """

    ours: bool
    position: ArchivePosition
    bytes: int


def chunk_footer(chain: Chain, chunk: ArchiveChunk, writer: str) -> Footer:
    """The footer of the file that a chunk becomes."""
    if chunk.partition != chain.partition:
        raise ValueError(f"a chunk of partition {chunk.partition} is no part of partition {chain.partition}")
    return Footer(
        topic=chain.topic,
        incarnation=chain.incarnation,
        partition=chain.partition,
        start=chunk.start,
        end=chunk.end,
        rows=chunk.rows,
        wire_bytes=chunk.wire_bytes,
        checksum=chunk.checksum,
        writer=writer,
        last_crc=chunk.last_crc,
        min_timestamp=chunk.min_timestamp,
        max_timestamp=chunk.max_timestamp,
        min_event_ms=chunk.min_event_ms,
        max_event_ms=chunk.max_event_ms,
    )


def publish(chain: Chain, chunk: ArchiveChunk, verify: Callable[[], None]) -> Publication:
    """Make a chunk the next file of its chain, or learn that somebody else archived from its start.

    `verify` is the registry read that precedes every claim; what it raises comes out, and nothing was claimed then.
    Raises StoreUnavailable (try again with the same chunk: a file of ours that landed after all is then found as the
    chain's), StoreCorrupt.
    """
    writer = uuid.uuid4().hex
    return _publish(chain, chunk_footer(chain, chunk, writer), chunk, verify)


def record_gap(chain: Chain, start: int, end: int, reason: str, verify: Callable[[], None]) -> Publication:
    """Claim the offsets from `start` up to, and without, `end` as lost, so that the chain goes on behind them."""
    footer = Footer(
        topic=chain.topic,
        incarnation=chain.incarnation,
        partition=chain.partition,
        start=start,
        end=end,
        rows=0,
        wire_bytes=0,
        checksum=RowChecksum().hexdigest(),
        writer=uuid.uuid4().hex,
        gap=reason,
    )
    return _publish(chain, footer, None, verify)


def _publish(chain: Chain, footer: Footer, chunk: ArchiveChunk | None, verify: Callable[[], None]) -> Publication:
    temporary = chain.temporary(footer.writer)
    try:
        size = _write(chain, temporary, footer, chunk)
        verify()
        trials.fail_point("archive.claim.before")
        ours = _claim(chain, temporary, footer)
        trials.fail_point("archive.claim.after")
    finally:
        # Gone already after a claim. What stays behind in spite of this is swept when it is a day old.
        with suppress(FlurryFastError):
            chain.files.remove(temporary)
    ours = ours or trials.seeded("lost_claim_advances")
    position = ArchivePosition(footer.end, footer.last_crc) if ours else chain.locate()
    if position is None or position.position <= footer.start:
        raise StoreCorrupt(f"{chain.files.describe(chain.path(footer.start))} was there and is gone.")
    return Publication(ours, position, size)


def _write(chain: Chain, temporary: str, footer: Footer, chunk: ArchiveChunk | None) -> int:
    """Write, make durable, read the footer again; the file's size in bytes."""
    files = chain.files
    trials.fail_point("archive.file.before")
    with files.create(temporary) as sink:
        chain.format.write(sink, footer, chunk)
        size: int = sink.tell()
    trials.fail_point("archive.file.after")
    files.make_durable(temporary)
    trials.fail_point("archive.durable.after")
    with files.open(temporary) as source:
        stored, count = chain.format.read(source, files.describe(temporary))
    if stored != footer or count != (chunk.row_groups if chunk is not None else 0):
        raise StoreCorrupt(f"{files.describe(temporary)} does not read back as it was written.")
    return size


def _claim(chain: Chain, temporary: str, footer: Footer) -> bool:
    """Whether the name became ours."""
    path = chain.path(footer.start, footer.end)
    try:
        return chain.files.claim(temporary, path) or _overwrites(chain, temporary, path)
    except FlurryFastError:
        # Anything may have happened. Whoever has the name says so in its footer.
        if trials.seeded("ambiguous_claim_is_success"):
            return True
        try:
            stored = chain.footer(footer.start)
        except FileNotFoundError:
            stored = None
        if stored is None:
            raise
        chain.files.make_durable(path)
        return stored.writer == footer.writer


def _overwrites(chain: Chain, temporary: str, path: str) -> bool:
    """For a seeded bug: claims a name that somebody has."""
    if not trials.seeded("archive_overwrites"):
        return False
    chain.files.remove(path)
    return chain.files.claim(temporary, path)
