"""The native heart (Rust). Public names are re-exported by their rooms."""

from collections.abc import Sequence
from types import CapsuleType
from typing import Any, final

# --- build -------------------------------------------------------------------

def build_info() -> dict[str, str]:
    """How this module was built.

    Keys: version, commit ("unknown" outside git), profile ("release" or "debug"), opt_level, compiler, target,
    target_cpu ("baseline" unless asked for), target_features.
    """

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

ARCHIVE_SCHEMA_VERSION: int
"""Version of the archive's columns, in every file's footer."""

class RestoreError(ValueError):
    """Archive rows do not give the bytes that were archived; the message names the offset."""

@final
class ArrowArray:
    """An Arrow array, or a record batch as an array of structs: `pa.array(x)`, `pa.record_batch(x)` do not copy it."""

    def __len__(self) -> int:
        """Number of values, or of rows."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[CapsuleType, CapsuleType]:
        """Capsules (schema, array) of the Arrow C data interface; a requested schema is not honoured."""

@final
class ArchiveChunk:
    """Rows of one partition that are ready to become one file. Times are ms since the epoch."""

    @property
    def partition(self) -> int: ...
    @property
    def start(self) -> int:
        """Offset of the first row, and end of the chunk before."""

    @property
    def end(self) -> int:
        """One past the offset of the last row."""

    @property
    def rows(self) -> int: ...
    @property
    def wire_bytes(self) -> int:
        """Sum of the payloads' lengths."""

    @property
    def min_timestamp(self) -> int | None:
        """Least Kafka timestamp."""

    @property
    def max_timestamp(self) -> int | None: ...
    @property
    def min_event_ms(self) -> int | None:
        """Least session start by the devices' own clocks; None without a session."""

    @property
    def max_event_ms(self) -> int | None: ...
    @property
    def last_crc(self) -> int | None:
        """CRC-32 of the last row's payload."""

    @property
    def checksum(self) -> str:
        """SHA-256, in hexadecimal, over offset (i64), length (u32), CRC-32 (u32), big-endian, of every row."""

    @property
    def batches(self) -> list[ArrowArray]:
        """The rows as record batches, at least one row each; one row group of a file each."""

    def __len__(self) -> int:
        """Number of rows."""

def archive_schema() -> ArrowArray:
    """An empty record batch with the archive's columns."""

def archive_batch(batch: Any, /, *, secret: Sequence[int], position: int) -> ArchiveChunk | None:
    """Decode a batch of one partition into archive rows, as the engine does; None if nothing is at `position` or above.

    `secret` is the installation's 16 bytes. Raises TypeError for an object without ``__ff_batch__``.
    """

@final
class RowChecksum:
    """The checksum of `ArchiveChunk.checksum`, running over restored rows."""

    def __new__(cls) -> RowChecksum: ...
    def hexdigest(self) -> str:
        """SHA-256 of what it has seen, in hexadecimal."""

@final
class RestoredRows:
    """Payloads of archive rows, laid out for `_wire.Batch.from_buffers`; numbers are native int64."""

    @property
    def payload(self) -> bytes:
        """All payloads, one after the other."""

    @property
    def payload_offsets(self) -> bytes:
        """Rows + 1 numbers: where each payload begins, and the end of the last."""

    @property
    def offsets(self) -> bytes:
        """Kafka offset a row."""

    @property
    def timestamps(self) -> bytes:
        """Kafka timestamp a row, ms."""

    @property
    def keys(self) -> bytes:
        """All keys; a missing one is empty."""

    @property
    def key_offsets(self) -> bytes:
        """Rows + 1 numbers, as `payload_offsets`."""

    @property
    def last_crc(self) -> int | None:
        """CRC-32 of the last payload; None without rows."""

    @property
    def raw_rows(self) -> int:
        """Rows whose bytes were kept as they were, as their columns can not give them back."""

    def __len__(self) -> int:
        """Number of rows."""

def restore_batch(batch: Any, /, checksum: RowChecksum | None = None) -> RestoredRows:
    """The payloads that a record batch of the archive's columns was made from, each checked against its CRC-32.

    `checksum` goes on over these rows. Raises RestoreError where a row gives other bytes, TypeError or ValueError for
    what is no record batch.
    """

# --- simulate ----------------------------------------------------------------

# --- kernels alone, for bench/ ------------------------------------------------

def crc32_batch(batch: Any, /) -> int:
    """XOR of the CRC-32 of every payload. Raises TypeError for an object without ``__ff_batch__``."""

def decode_batch(batch: Any, /) -> tuple[int, int]:
    """Decodes every payload and drops it: (readable reports, their sessions + event records + error records).

    Raises TypeError for an object without ``__ff_batch__``.
    """
