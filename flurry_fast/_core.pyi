"""The native heart (Rust). Public names are re-exported by their rooms."""

from typing import Any

# --- batch -------------------------------------------------------------------

def _batch_rows(batch: Any, /) -> list[tuple[int, int, int, bytes | None, bytes | None, bytes]]:
    """What Rust reads of a batch, for tests: (partition, offset, timestamp in ms, key, headers, payload) a record.

    A tombstone's payload is empty. Raises TypeError for an object without ``__ff_batch__``, ValueError for another batch layout.
    """

# --- decode ------------------------------------------------------------------

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
