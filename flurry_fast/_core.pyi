"""The native heart (Rust). Public names are re-exported by their rooms."""

from typing import Any

# --- batch -------------------------------------------------------------------

def _batch_rows(batch: Any, /) -> list[tuple[int, int, int, bytes | None, bytes | None, bytes]]:
    """What Rust reads of a batch, for tests: (partition, offset, timestamp in ms, key, headers, payload) a record.

    A tombstone's payload is empty. Raises TypeError for an object without ``__ff_batch__``, ValueError for another
    batch layout.
    """

# --- decode ------------------------------------------------------------------

REASONS: list[tuple[int, str, str]]
"""Every way to be unreadable: (code, name, one sentence)."""

class UnreadableReport(ValueError):
    """A report that cannot be read."""

    reason: str
    """One of the names in REASONS."""

def decode_json(data: bytes, /) -> bytes:
    """One report as one line of JSON without a newline, in the schema of docs/wire-format.md.

    Unreadable bytes give ``{"outcome": reason}``; nothing is raised.
    """

def reencode(data: bytes, /) -> bytes:
    """The bytes that the decoded report is written as: ``data`` itself unless it was repaired.

    Raises UnreadableReport.
    """

def peek(data: bytes, /) -> tuple[bytes, bytes] | None:
    """API key and device id (first of type 0, else empty) from fields 1 to 10 alone; None where those cannot be read.

    Neither the CRC nor anything behind those fields is looked at.
    """

def message_key(data: bytes, shards: int = 1) -> bytes:
    """The Kafka message key: ``api key|shard``, or the payload's CRC-32 in hex where no API key can be read.

    Raises ValueError for no shards.
    """

def semantics_version() -> int:
    """Version of everything that can change a counter for the same bytes."""

# --- plan --------------------------------------------------------------------

# --- engine ------------------------------------------------------------------

# --- blocks ------------------------------------------------------------------

# --- archive -----------------------------------------------------------------

# --- simulate ----------------------------------------------------------------

# --- kernels alone, for bench/ ------------------------------------------------

def crc32_batch(batch: Any, /) -> int:
    """XOR of the CRC-32 of every payload. Raises TypeError for an object without ``__ff_batch__``."""

def decode_batch(batch: Any, /) -> tuple[int, int]:
    """Decodes every payload and drops it: (readable reports, their sessions + event records + error records).

    Raises TypeError for an object without ``__ff_batch__``.
    """
