"""Records as native batches and as archive rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flurry_fast._core import ArchiveChunk, archive_batch
from flurry_fast._wire import Batch

SECRET = bytes(range(16))
TIMES = 1_384_000_000_000  # Kafka's time of offset 0; each record comes 7 ms after the one before


def batch_of(payloads: Sequence[bytes], start: int = 0, partition: int = 3) -> Batch:
    """The payloads as records from offset `start` on, with keys."""
    count = len(payloads)
    ends = np.cumsum([0] + [len(payload) for payload in payloads])
    offsets = np.arange(start, start + count, dtype=np.int64)
    keys = np.arange(count + 1, dtype=np.int64) * 5
    return Batch.from_buffers(
        b"".join(payloads), ends.astype(np.int64), offsets, TIMES + offsets * 7, partition, b"KEY|0" * count, keys
    )


def chunk_of(payloads: Sequence[bytes], start: int = 0, partition: int = 3) -> ArchiveChunk:
    """The payloads as archive rows."""
    chunk = archive_batch(batch_of(payloads, start, partition), secret=SECRET, position=start)
    assert chunk is not None
    return chunk
