"""Archived records as native batches again: what a replay, an audit or a backfill reads."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet as pq

from flurry_fast._core import RestoreError, restore_batch
from flurry_fast._wire import Batch
from flurry_fast.archive.chain import Chain
from flurry_fast.errors import StoreCorrupt


def batches(chain: Chain, start: int = 0, stop: int | None = None, max_rows: int = 10_000) -> Iterator[Batch]:
    """The records of a partition, in order, byte for byte, each checked against its CRC-32C.

    Whole files are given: those that reach beyond `start` and begin below `stop`; the engine passes by what it has.
    A recorded gap gives nothing. Raises StoreCorrupt where bytes can not be restored, StoreUnavailable.
    """
    for link in chain.links():
        if stop is not None and link.start >= stop:
            return
        if chain.footer(link.start).end <= start:
            continue
        with chain.files.open(link.path) as source, pq.ParquetFile(source) as file:
            for rows in file.iter_batches(batch_size=max_rows):
                try:
                    restored = restore_batch(rows)
                except RestoreError as error:
                    raise StoreCorrupt(f"{chain.files.describe(link.path)} is damaged: {error}.") from error
                yield Batch.from_buffers(
                    restored.payload,
                    restored.payload_offsets,
                    restored.offsets,
                    restored.timestamps,
                    chain.partition,
                    restored.keys,
                    restored.key_offsets,
                )
