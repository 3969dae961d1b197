"""What a file says about itself: the key-value metadata in its Parquet footer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from flurry_fast._core import ARCHIVE_SCHEMA_VERSION
from flurry_fast.errors import StoreCorrupt

PREFIX = "flurry_fast."


@dataclass(frozen=True)
class Footer:
    """Times are ms since the epoch; those of a file without rows, or without sessions, are None.

    `start`: offset of the first row and end of the file before; `end`: one past the last row, where the next file
    starts. `checksum`: SHA-256 over offset (i64) and CRC-32C (u32), big-endian, of every row. `writer`: whose attempt
    it was. `gap`: why the offsets from start to end were lost before they could be archived; such a file has no rows.
    """

    topic: str
    incarnation: int
    partition: int
    start: int
    end: int
    rows: int
    wire_bytes: int
    checksum: str
    writer: str
    last_crc: int | None = None
    min_timestamp: int | None = None
    max_timestamp: int | None = None
    min_event_ms: int | None = None
    max_event_ms: int | None = None
    gap: str | None = None
    schema_version: int = ARCHIVE_SCHEMA_VERSION

    def encode(self) -> dict[str, str]:
        """As key-value metadata; what is None is left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {PREFIX + name: str(value) for name, value in values.items() if value is not None}


_INTEGERS = {name for name, hint in get_type_hints(Footer).items() if hint in (int, int | None)}
_REQUIRED = {"topic", "incarnation", "partition", "start", "end", "rows", "wire_bytes", "checksum", "writer"}


def decode(metadata: Mapping[bytes, bytes] | None, where: str) -> Footer:
    """The footer that a file's key-value metadata holds. Raises StoreCorrupt, naming the file `where`."""
    values: dict[str, int | str] = {}
    for field in fields(Footer):
        raw = (metadata or {}).get((PREFIX + field.name).encode())
        if raw is None:
            if field.name in _REQUIRED or field.name == "schema_version":
                raise StoreCorrupt(f"{where} is no file of the archive: its footer lacks {field.name}.")
            continue
        try:
            values[field.name] = int(raw) if field.name in _INTEGERS else raw.decode()
        except ValueError as error:
            raise StoreCorrupt(f"{where} has a damaged footer: {field.name} is {raw!r}.") from error
    footer = Footer(**values)  # type: ignore[arg-type]
    if footer.schema_version != ARCHIVE_SCHEMA_VERSION:
        raise StoreCorrupt(
            f"{where} has columns of version {footer.schema_version}; this version reads {ARCHIVE_SCHEMA_VERSION}.",
            way_out="Read it with the version that wrote it.",
        )
    if footer.end <= footer.start:
        raise StoreCorrupt(f"{where} ends at {footer.end}, which is not after its start {footer.start}.")
    return footer


def read(source: pa.NativeFile, where: str) -> tuple[Footer, pq.FileMetaData]:
    """Footer and Parquet metadata of an open file. Raises StoreCorrupt."""
    try:
        metadata = pq.read_metadata(source)
    except (pa.ArrowInvalid, pa.ArrowException) as error:
        raise StoreCorrupt(f"{where} is no Parquet file: {error}.") from error
    footer = decode(metadata.metadata, where)
    if metadata.num_rows != footer.rows:
        raise StoreCorrupt(f"{where} holds {metadata.num_rows} rows, its footer says {footer.rows}.")
    return footer, metadata
