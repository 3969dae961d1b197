"""The native heart (Rust). Public names are re-exported by their rooms."""

from collections.abc import Mapping, Sequence
from types import CapsuleType
from typing import Any, Self, final

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

PROTOCOL_MIX: dict[int, int]
"""Protocol -> weight: the simulator's default mix, which resembles 2013."""

@final
class Simulator:
    """A fleet of simulated devices. The same arguments give the same reports, on every machine (docs/simulator.md)."""

    def __new__(
        cls,
        seed: int = 1,
        *,
        apps: int = 400_000,
        devices: int = 10_000_000,
        start_ms: int = 1_384_948_800_000,
        rate: int = 20_000,
        protocols: Mapping[int, int] | None = None,
        malformed: float = 0.0,
        hostile: float = 0.0,
    ) -> Self:
        """`start_ms`: virtual time of the first report (ms since the epoch); it advances by 1000/`rate` ms a report.

        `protocols` maps protocol to weight (None: `PROTOCOL_MIX`); `malformed` and `hostile` are shares, 0 to 1.
        Raises ValueError, naming the argument, for a value out of range.
        """

    @property
    def sent(self) -> int:
        """How many reports were made so far."""

    @property
    def now_ms(self) -> int:
        """Virtual time of the next report, ms since the epoch."""

    def next_batch(self, reports: int, /) -> SimulatedBatch:
        """The next `reports` reports, made without the GIL. How a run is cut into batches changes nothing."""

@final
class SimulatedBatch:
    """Reports in the order they are sent, in flat buffers that `_wire.Batch.from_buffers` takes as they are.

    Every property copies its buffer: ask once.
    """

    def __len__(self) -> int:
        """Number of reports, n."""

    @property
    def payload(self) -> bytes:
        """The reports' bytes, one after the other."""

    @property
    def payload_offsets(self) -> memoryview[int]:
        """n + 1 int64: report i is ``payload[payload_offsets[i]:payload_offsets[i + 1]]``."""

    @property
    def key_bytes(self) -> bytes:
        """The message keys, one after the other."""

    @property
    def key_offsets(self) -> memoryview[int]:
        """n + 1 int64, as `payload_offsets`."""

    @property
    def times_ms(self) -> memoryview[int]:
        """n int64: virtual time at which each report is sent, ms since the epoch."""

    def payloads(self) -> list[bytes]:
        """The reports, one bytes object each: for a producer."""

    def keys(self) -> list[bytes]:
        """The message keys, one bytes object each."""

# --- kernels alone, for bench/ ------------------------------------------------

def crc32_batch(batch: Any, /) -> int:
    """XOR of the CRC-32 of every payload. Raises TypeError for an object without ``__ff_batch__``."""

def decode_batch(batch: Any, /) -> tuple[int, int]:
    """Decodes every payload and drops it: (readable reports, their sessions + event records + error records).

    Raises TypeError for an object without ``__ff_batch__``.
    """
