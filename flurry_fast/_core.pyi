"""The native heart (Rust). Public names are re-exported by their rooms."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Protocol, Self, final

from typing_extensions import CapsuleType

# --- build -------------------------------------------------------------------

def build_info() -> dict[str, str]:
    """How this module was built.

    Keys: version, commit ("unknown" outside git), profile ("release" or "debug"), opt_level, compiler, target,
    target_cpu ("baseline" unless asked for), target_features, trials ("yes" only in a build for tests).
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

class PlanError(ValueError):
    """A plan that is refused."""

    key: str
    """Where: ``rollup[2].measures[0]``, ``time.max_age_ms``, or empty for the text itself."""
    reason: str
    """Why, without a full stop."""

@final
class Plan:
    """A checked plan: what is counted, and the id that stands on every cell it makes."""

    @staticmethod
    def parse(toml: str, /) -> Plan:
        """Parse and check. Raises PlanError."""

    @staticmethod
    def registered(toml: str, number: int, /) -> Plan:
        """The plan of an id that stands in a store: to read its blocks. Raises PlanError.

        Where semantics, tz database or block format were others then, this version gives the same text another id.
        """

    @property
    def id(self) -> int:
        """u32, never 0: the first four bytes of the SHA-256 of `canonical`, or the one it was registered with."""

    @property
    def current(self) -> bool:
        """Whether this version gives it that id; an engine refuses any other plan."""

    @property
    def canonical(self) -> str:
        """One line per setting: everything that can change a counter."""

    @property
    def toml(self) -> str:
        """The text it was parsed from."""

    @property
    def rollups(self) -> list[Rollup]:
        """The plan's rollups, numbered from 0, then `unreadable`, number 255."""

@final
class Rollup:
    """One rollup of a plan."""

    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def dimensions(self) -> list[str]: ...
    @property
    def measures(self) -> list[str]: ...
    @property
    def cap(self) -> int:
        """Groups of a block with a line of their own; the others are ``(other)``."""

    @property
    def level(self) -> str:
        """``session``, ``event``, ``parameter`` or ``error``."""

def tzdata_version() -> str:
    """The compiled IANA tz database, such as ``2025b``; part of every plan id."""

# --- engine ------------------------------------------------------------------

class EngineMisuse(RuntimeError):
    """The engine was called in the wrong order; nothing was changed."""

class CellCorrupt(ValueError):
    """A stored cell that no engine wrote: counting on would build on sand."""

    partition: int | None
    """None where a reader decodes."""
    row: bytes
    reason: str

class _CountersPosition(Protocol):
    """`flurry_fast.positions.CountersPosition`, or anything like it."""

    @property
    def position(self) -> int: ...
    @property
    def max_bucket(self) -> int | None: ...
    @property
    def crc(self) -> int | None: ...
    @property
    def max_timestamp(self) -> int: ...

class _ArchivePosition(Protocol):
    """`flurry_fast.positions.ArchivePosition`, or anything like it."""

    @property
    def position(self) -> int: ...
    @property
    def crc(self) -> int | None: ...

@final
class Engine:
    """Counts, and gathers archive rows, for the assigned partitions of one topic.

    Calls: `assign`, then for each batch `absorb`, where it returns needs `seed` for each group and `resume` with the
    same batch; between batches `freeze`, later `acknowledge` or `abandon`. May be called from any thread, one call at
    a time; whatever takes long releases the GIL.
    """

    def __new__(
        cls, plan: Plan, *, incarnation: int, secret: bytes, counters: bool = True, archive: bool = True
    ) -> Engine:
        """`incarnation`: u32 that stands for the topic's id. `secret`: the installation's 16 bytes, for session
        fingerprints. Without `counters` or `archive` positions for them are ignored. Raises ValueError, also for a
        plan that is not `current`."""

    def assign(
        self,
        partition: int,
        *,
        log_start: int,
        counters: _CountersPosition | None,
        archive: _ArchivePosition | None,
        read_from: int,
        recall_from: int | None = None,
    ) -> None:
        """Take a partition on; the next record must be `read_from`.

        None for a sink that takes nothing of it. `read_from` is at most the lower position; records below a sink's
        position pass it by (the one right below is compared with the position's CRC). Raises EngineMisuse for an
        assigned partition, one above 65,535, a position below the log's start, or a start that would leave a gap.

        `recall_from`: the first record whose sessions the counters must know before they go on. Archived ones are
        given to `recall`; the others, up to the counters' position, must be read (`absorb`). Raises EngineMisuse
        where `recall_since` asks for some and it is None.
        """

    def recall_since(self, max_timestamp: int, /) -> int | None:
        """Where the records begin, in Kafka time (ms), whose sessions must be known at a counters position with this
        `max_timestamp`; None where none must."""

    def recall(self, partition: int, rows: Any) -> int:
        """Know the sessions of archived records: a record batch with the archive's columns offset, kafka_timestamp
        and sessions (fingerprint, duration_ms). Returns the first offset that must still be known.

        Records that are known already, or not yet counted, are passed by. Raises EngineMisuse where one is missing in
        between, TypeError for other columns.
        """

    def rewind(self, partition: int, offset: int) -> None:
        """A seek back was done: the next record will be `offset`. Raises EngineMisuse where that is ahead."""

    def drop(self, partition: int) -> None:
        """Forget everything of a partition, assigned or not. Legal at any time, also with a flush in flight."""

    def absorb(self, batch: Any) -> Needs | None:
        """Take a batch (any object with ``__ff_batch__``). Needs: blocks whose stored cells must be read first.

        Records of partitions that are not assigned, or stopped, are counted as `ignored`. Raises EngineMisuse while
        needs are open.
        """

    def seed(self, group: NeedGroup, indices: Any, timestamps: Any, values: Any, log_end: int) -> None:
        """Give a group the cells that its read found: Arrow columns int32 (places in `group.rows`), int64, binary.

        Rows not listed are thereby proved absent. `log_end` is the end of the partition's log, fetched after the
        read. Raises CellCorrupt (fatal), EngineMisuse, TypeError or ValueError for columns of other shapes.
        """

    def resume(self, batch: Any) -> None:
        """Count what waited, from the same batch. Raises EngineMisuse, also when a group was not seeded."""

    def stopped(self) -> list[PartitionStop]:
        """Partitions stopped since the last call: their records are ignored until they are assigned anew."""

    def freeze(self, partitions: Sequence[int] | None) -> Flush | None:
        """All that is not durable, of these partitions or of all, at this instant. None when that is nothing.

        Raises EngineMisuse while needs are open or a flush is in flight.
        """

    def acknowledge(self, flush: Flush) -> None:
        """Every part and position is durable; partitions dropped or shed meanwhile are passed over."""

    def abandon(self, flush: Flush) -> None:
        """Give the flush up, whatever of it is written: its blocks are dirty again."""

    def evict(self, target_bytes: int) -> int:
        """Keep ``memory()["blocks"]`` at that, where it can: what frees most for its time is put away as bytes, then
        the oldest bytes are compressed, and where that is not enough durable blocks leave memory. How many left."""

    def archive_take(self, partition: int) -> ArchiveChunk | None:
        """The rows gathered since the last take, or None."""

    def archive_reset(self, partition: int, position: _ArchivePosition) -> None:
        """Drop the rows; the archive stands at `position`, and waits for a rewind where that is behind."""

    def counters_shed(self, partition: int, position: _CountersPosition, *, recall_from: int | None = None) -> None:
        """Drop the blocks, and what is known of sessions; the counters stand at `position`, and wait for a rewind
        where that is behind.

        Where sessions must be known again (`recall_since`) they take nothing until this is called once more with
        `recall_from`, as in `assign`.
        """

    def memory(self) -> dict[str, int]:
        """Bytes: blocks, archive, dedup, passed (checksums of the records that were counted first), gone (which blocks
        were evicted), scratch, dirty (of blocks neither frozen nor durable); dirty_blocks; block_count; unwritten: 1 if
        any counters stand further than what was frozen or acknowledged."""

    def stats(self) -> dict[str, Any]:
        """Totals since it was made, `unreadable` by reason; and the gauges blocks and groups."""

    def partitions(self) -> list[PartitionState]:
        """Where every assigned partition stands."""

    def peek_block(
        self, partition: int, row: bytes, end: int | None = None, last_crc: int | None = None
    ) -> bytes | None:
        """The canonical value of a block as it stands; None if it is not in memory or nothing was counted in it.

        Its end is the counters' position, or `end` (with the CRC of record end - 1) where no record at `end` or
        above was counted in the block. Raises EngineMisuse for another `end`.
        """

    def touched(self, partition: int) -> tuple[ArrowArray, ArrowArray]:
        """Blocks that something was counted in since they were read: rows (binary), last offset counted (int64)."""

@final
class Needs:
    """What must be read before a batch can be counted whole."""

    @property
    def groups(self) -> list[NeedGroup]: ...

@final
class NeedGroup:
    """One read: rows of one table, in one column."""

    @property
    def table(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def qualifier(self) -> bytes: ...
    @property
    def rows(self) -> ArrowArray:
        """Binary."""

@final
class PartitionStop:
    """Why a partition was stopped."""

    @property
    def partition(self) -> int: ...
    @property
    def kind(self) -> str:
        """``gap_in_offsets``, ``truncated`` or ``other_history``."""

    @property
    def detail(self) -> str: ...

@final
class Flush:
    """What one flush writes: first all parts, then, once every one is acknowledged, the positions."""

    @property
    def id(self) -> int: ...
    @property
    def parts(self) -> list[FlushPart]: ...
    @property
    def positions(self) -> list[FlushPosition]:
        """Of every partition whose position moved, also where no block is dirty."""

@final
class FlushPart:
    """Cells of one table, column and timestamp."""

    @property
    def table(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def qualifier(self) -> bytes: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def rows(self) -> ArrowArray:
        """Binary, in increasing order."""

    @property
    def values(self) -> ArrowArray:
        """Binary."""

    @property
    def count(self) -> int:
        """Number of cells."""

    @property
    def bytes(self) -> int:
        """Bytes of rows and values."""

@final
class FlushPosition:
    """Where the counters of a partition stand once the flush is durable."""

    @property
    def partition(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def max_bucket(self) -> int | None: ...
    @property
    def crc(self) -> int | None: ...
    @property
    def max_timestamp(self) -> int: ...

@final
class PartitionState:
    """Where one partition stands. Times are Kafka timestamps, ms."""

    @property
    def partition(self) -> int: ...
    @property
    def next_offset(self) -> int:
        """The next record that may come."""

    @property
    def stopped(self) -> bool: ...
    @property
    def counters_position(self) -> int | None:
        """In memory; None where counters take nothing of it."""

    @property
    def counters_durable(self) -> int | None: ...
    @property
    def counters_dirty(self) -> bool:
        """Whether the two differ."""

    @property
    def known_sessions(self) -> int:
        """Sessions that the counters would know again."""

    @property
    def dirty_blocks(self) -> int: ...
    @property
    def counters_unwritten(self) -> bool:
        """Whether a freeze would have something of it: counted, neither frozen nor durable, and not stopped."""

    @property
    def oldest_unflushed_ms(self) -> int | None:
        """Timestamp of the oldest record that is counted and not durable."""

    @property
    def archive_start(self) -> int | None:
        """Where the next chunk starts; None where the archive takes nothing of it."""

    @property
    def archive_next(self) -> int | None: ...
    @property
    def archive_rows(self) -> int: ...
    @property
    def archive_bytes(self) -> int:
        """An estimate of the memory that the rows hold."""

    @property
    def archive_wire_bytes(self) -> int: ...
    @property
    def archive_oldest_ms(self) -> int | None: ...

# --- blocks ------------------------------------------------------------------

def row_key(api_key: bytes, bucket: int, /) -> bytes:
    """The row of an app's hour (hours since the epoch). Raises ValueError for a key of more than 255 bytes."""

def parse_row(row: bytes, /) -> tuple[bytes, int]:
    """API key and bucket of a row. Raises ValueError where it names no block."""

def table_of(bucket: int, /) -> str:
    """The table of a bucket: ``counters_<YYYYMM>``."""

def block_qualifier(plan: int, incarnation: int, partition: int, /) -> bytes:
    """The column of one plan, topic incarnation and partition."""

@final
class Block:
    """A stored block."""

    @property
    def api_key(self) -> bytes: ...
    @property
    def bucket(self) -> int: ...
    @property
    def end(self) -> int:
        """E: it holds the partition's records with offset < end."""

    @property
    def plan(self) -> int: ...
    @property
    def last_crc(self) -> int:
        """CRC-32C of record end - 1."""

    @property
    def groups(self) -> ArrowArray:
        """As `decode_blocks`, row 0."""

def decode_block(plan: Plan, row: bytes, value: bytes, /) -> Block:
    """One stored value, strictly. Raises CellCorrupt, ValueError for a row that names no block."""

def decode_blocks(plan: Plan, rows: Any, values: Any, /) -> ArrowArray:
    """The groups of many blocks (binary columns) as a record batch: row (place in `rows`), rollup (number), other
    (bool), dimensions (list of text, empty for ``(other)``), measures (list of u64); in the order of the blocks.

    Raises CellCorrupt, TypeError or ValueError for columns of other shapes.
    """

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
        """CRC-32C of the last row's payload."""

    @property
    def checksum(self) -> str:
        """SHA-256, in hexadecimal, over offset (i64) and CRC-32C (u32), big-endian, of every row."""

    @property
    def memory(self) -> int:
        """Bytes that the rows hold, and those of the row group that was encoded last."""

    @property
    def row_groups(self) -> int:
        """How many row groups its file has, of at least one row each."""

    @property
    def batches(self) -> list[ArrowArray]:
        """The rows as record batches, one a row group. They are made anew each time, without the interpreter lock."""

    def __len__(self) -> int:
        """Number of rows."""

def archive_schema() -> ArrowArray:
    """An empty record batch with the archive's columns."""

def archive_batch(batch: Any, /, *, secret: Sequence[int], position: int) -> ArchiveChunk | None:
    """Decode a batch of one partition into archive rows, as the engine does; None if nothing is at `position` or above.

    `secret` is the installation's 16 bytes. Raises TypeError for an object without ``__ff_batch__``.
    """

@final
class ParquetEncoder:
    """Encodes archive chunks as one Parquet file, a row group at a time; the caller writes what it is given.

    Every method raises ValueError once the file is finished, or where the format can not hold what it is given.
    """

    def __new__(cls, compression_level: int) -> ParquetEncoder:
        """`compression_level`: of Zstandard."""

    def start(self) -> bytes:
        """The first bytes of the file."""

    def row_group(self, chunk: ArchiveChunk, number: int, /) -> list[bytes]:
        """The bytes of a row group of a chunk, in pieces, encoded without the interpreter lock. Raises IndexError."""

    def finish(self, metadata: list[tuple[str, str]], /, *, created_by: str) -> bytes:
        """The last bytes of the file: page indexes, and the footer with names and values of `metadata`."""

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
        """CRC-32C of the last payload; None without rows."""

    @property
    def raw_rows(self) -> int:
        """Rows whose bytes were kept as they were, as their columns can not give them back."""

    def __len__(self) -> int:
        """Number of rows."""

def restore_batch(batch: Any, /, checksum: RowChecksum | None = None) -> RestoredRows:
    """The payloads that a record batch of the archive's columns was made from, each checked against its CRC-32C.

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

# --- the portal --------------------------------------------------------------

PORTAL_OUTCOMES: list[str]
"""How a request to store a report may end, `stored` first (rust/portal/src/stats.rs)."""

PORTAL_LATENCY_BOUNDS: list[float]
"""Upper bounds of the histogram of answers, in seconds; one bucket more lies above them."""

@final
class Portal:
    """A running HTTP front door: it serves from its construction on, on threads of its own, without the GIL."""

    def __new__(
        cls,
        listener: int,
        outlet: Any,
        settings: Any,
        certificate: str | PathLike[str] | None = None,
        key: str | PathLike[str] | None = None,
    ) -> Self:
        """`listener`: the descriptor of a listening TCP socket, given away by `socket.detach()`. `outlet`: an object
        with ``__ff_outlet__`` (`_wire.Outlet`), kept until the portal is gone. `settings`: attributes by the names of
        `flurry_fast.portal.native.NativeSettings`. With `certificate` and `key` (PEM files) it speaks TLS only.

        Raises ValueError (two arguments: path and reason) for a certificate or key that can not be used, OSError for a
        descriptor that can not be listened on.
        """

    @property
    def running(self) -> bool:
        """Whether it serves: not after `drain`."""

    def set_ready(self, ready: bool) -> None:
        """What /readyz says as long as nothing is being drained."""

    def drain(self, patience: float) -> bool:
        """Accept nothing more, let open requests end; whether all did within `patience` seconds.

        No fate is heard of afterwards. A second call does nothing.
        """

    def stats(self) -> dict[str, Any]:
        """Counts since the start: accepted, garbled, accept_errors (connections), unreadable (of the reports stored),
        stored_bytes, `outcomes` (name -> requests), `answers` (per bucket of PORTAL_LATENCY_BOUNDS, not cumulated) and
        answer_seconds (their sum); as of at most 0.1 s ago: open (connections), memory (bytes), pending (reports).
        """

    def take_log(self) -> list[tuple[str, int, float, int | None, str]]:
        """Sampled requests since the last call, at most the newest 1,000: (outcome, bytes of the body, seconds,
        protocol or None, address as the settings would have it).
        """

@final
class HttpFleet:
    """Devices that post reports to a portal as real agents do, on threads of its own (rust/portal/src/client/)."""

    def __new__(
        cls,
        address: str,
        *,
        host: str,
        tls_name: str | None = None,
        authorities: str | PathLike[str] | None = None,
        devices: int = 256,
        threads: int = 1,
        timeout: float = 15.0,
        resends: int = 0,
        resend_wait: float = 1.0,
        keep_alive: bool = False,
        receipts: bool = False,
    ) -> Self:
        """`address`: IP:PORT; `host`: for the Host header. `devices` post at the same time, each over a connection of
        its own that it leaves open, wait `timeout` seconds for an answer, repeat a post that is closed without one up
        to four times within 100 ms, and come back `resends` times after `resend_wait` seconds with what they still
        have. Not as agents do: `keep_alive` uses connections again, `receipts` asks where Kafka has each report.
        `tls_name`: HTTPS, with the portal's name or IP address; its certificate is held against the PEM file
        `authorities`, or against nothing.

        Raises ValueError for an address that is none, (file or name, reason) where TLS can not be as told; OSError
        where the system gives no thread.
        """

    def post(self, reports: list[bytes], /) -> int:
        """Queue reports, waiting for room; how many were queued. They are numbered from 0 in the order given.

        Must not be called by two threads at a time.
        """

    def post_batch(self, batch: SimulatedBatch, /) -> int:
        """As `post`, without an object of Python's for each report."""

    @property
    def trouble(self) -> str | None:
        """Why the last connection that could not be opened could not; None: all could."""

    def finish(self) -> None:
        """Returns when every report is stored, dropped or given up; nothing can be posted afterwards."""

    def take_stored(self) -> list[int]:
        """Numbers of the reports that were answered with 200 since the last call, of this or `take_receipts`."""

    def take_receipts(self) -> list[tuple[int, tuple[int, int, int] | None]]:
        """As `take_stored`, each with (partition, offset, timestamp in ms) of its record.

        None where the portal did not say.
        """

    def take_lost(self) -> list[int]:
        """Numbers of the reports that were dropped or given up since the last call."""

    def forget(self) -> None:
        """As `take_stored` and `take_lost`, for those that do not ask which."""

    def quantile(self, share: float, /) -> float:
        """Seconds from connecting to 200 within which this share of the stored reports was answered, to 3 %."""

    def counts(self) -> dict[str, int]:
        """Of reports: stored, dropped (another status was taken for a delivery), given_up. Of posts: repeats, resends,
        statuses (kept by the device), unanswered, timeouts, no_connection.
        """
