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
