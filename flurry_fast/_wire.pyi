"""Native glue to librdkafka's handles: batches, the drain, the mock cluster; and cells over Thrift. Private."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, final

import pyarrow as pa
from confluent_kafka import Consumer, Message, Producer
from typing_extensions import Buffer, CapsuleType

def build_info() -> dict[str, Any]:
    """How this module was built.

    Keys: version, commit ("unknown" outside git), profile ("release" or "sanitize=..."), optimized, compiler, cython.
    """

@final
class Batch:
    """Records in the order they were taken, as native memory: no Python object a record.

    The Rust side reads it through ``__ff_batch__``. A batch frees its memory
    on `release`, or when the last reference is gone.
    """

    @property
    def payload_bytes(self) -> int:
        """Sum of the payloads' lengths, in bytes."""

    @property
    def released(self) -> bool:
        """Whether the memory was given back."""

    def __len__(self) -> int:
        """Number of records; 0 after release."""

    def __ff_batch__(self) -> CapsuleType:
        """A capsule named "flurry_fast.batch.v1" that holds an ff_batch (csrc/batch.h) and keeps this batch open.

        Raises ValueError after release.
        """

    def release(self) -> None:
        """Give the memory back now. Raises BufferError while a capsule is alive. A second call does nothing."""

    def cut(self, ends: dict[int, int]) -> set[int]:
        """Drop what lies at its partition's end or above; the partitions of which something was dropped.

        `ends`: partition -> first offset that is dropped, 0 for those it lacks. Raises BufferError while the batch is
        being read.
        """

    def rows(self) -> list[tuple[int, int, int, bytes | None, bytes | None, bytes | None]]:
        """(partition, offset, timestamp in ms, key, flattened headers, payload) a record: for tests and debugging.

        Raises ValueError after release.
        """

    @staticmethod
    def from_messages(messages: list[Message]) -> Batch:
        """The messages of Consumer.consume(); their values and keys are kept, not copied.

        Raises ValueError for a message that carries an error, or a header name over 65,535 bytes.
        """

    @staticmethod
    def from_buffers(
        payload: Buffer,
        payload_offsets: Buffer,
        offsets: Buffer,
        timestamps: Buffer,
        partition: int,
        keys: Buffer | None = None,
        key_offsets: Buffer | None = None,
    ) -> Batch:
        """Records i = 0..n-1 of one partition, over columns.

        Payload i is ``payload[payload_offsets[i]:payload_offsets[i + 1]]``; an empty key is a key, no keys is none.
        `offsets` and `timestamps` are n int64 (Kafka offsets; milliseconds), `payload_offsets` and `key_offsets`
        n + 1 int64; numpy arrays and Arrow buffers both do. The buffers are kept, not copied: leave them
        unchanged while the batch lives. Raises ValueError for lengths that disagree, offsets that go
        backwards, leave their buffer or are negative.
        """

class DrainUnavailable(RuntimeError):
    """librdkafka's handle can not be shared in this process; `reason` says why in a few words."""

    reason: str
    def __init__(self, reason: str) -> None: ...

class DrainError(NamedTuple):
    """What librdkafka reported in place of a message. `partition` and `offset` are negative where it names none.

    `code` and `name` are librdkafka's (KafkaError.code(), .name()), `reason` its sentence.
    """

    topic: str
    partition: int
    offset: int
    code: int
    name: str
    reason: str

@final
class Drain:
    """Takes the records of one topic out of a Consumer's own librdkafka, with no Python object a record.

    Attached partitions are forwarded to a private queue; `Consumer.poll(0)` then serves callbacks only. Attach
    before `incremental_assign`, so that no record goes astray in between. All methods raise RuntimeError when the
    drain is closed, or at work in another thread.

    Close the drain before the consumer: `Consumer.close` waits for ever for a queue of ours.
    """

    def __new__(cls, consumer: Consumer) -> Drain:
        """Raises DrainUnavailable where the handle can not be shared, RuntimeError for a closed consumer."""

    @property
    def topic(self) -> str | None:
        """The topic of its partitions; None before the first `attach`."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""

    @property
    def discarded(self) -> int:
        """Records taken from librdkafka and dropped since, by `detach` and `discard`."""

    def attach(self, topic: str, partition: int) -> None:
        """Forward the partition to this drain. Raises ValueError for a second topic or a negative partition."""

    def detach(self, topic: str, partition: int) -> None:
        """Stop, and drop what was not handed over. Does nothing for a partition that is not attached."""

    def attached(self) -> list[int]:
        """The partitions that are, in ascending order."""

    def pause(self, topic: str, partition: int) -> None:
        """Hand nothing of it over until `resume`. Beside Consumer.pause, which does not know what is here already."""

    def resume(self, topic: str, partition: int) -> None:
        """Hand it over again, from where it stood."""

    def discard(self, topic: str, partition: int) -> None:
        """Drop what is here already; after a Consumer.seek."""

    def drain(self, max_messages: int, max_bytes: int, timeout_ms: int) -> tuple[Batch, list[DrainError]]:
        """The next records, at most `max_messages` of them and `max_bytes` of payloads and keys.

        Waits up to `timeout_ms` for the first one and for no other; a record larger than `max_bytes` goes alone.
        GIL released. An empty batch when nothing came. Raises ValueError for limits below 1.
        """

    def fatal_error(self) -> DrainError | None:
        """What ended this consumer, if something did: the error behind KafkaError._FATAL."""

    def close(self) -> None:
        """Release every batch that came from here, and the queue. Raises BufferError while a batch is being read."""

def librdkafka() -> tuple[str, str]:
    """(version, path) of the librdkafka that confluent-kafka runs on. Raises DrainUnavailable."""

def mock_bootstrap(producer: Producer) -> str:
    """host:port, comma-separated, of the mock cluster behind a Producer with `test.mock.num.brokers`.

    Raises ValueError where there is none.
    """

def mock_create_topic(producer: Producer, topic: str, partitions: int, replication: int = 1) -> None:
    """Create a topic there. Raises ValueError for counts below 1, RuntimeError where the cluster refuses."""

def mock_rebalance_delay(producer: Producer, milliseconds: int) -> None:
    """How long a new group waits for more members before its first assignment (3 s unless told)."""

def mock_controller(producer: Producer, broker: int) -> None:
    """Make a broker (numbered from 1) the controller; admin clients wait for one, and there is none at first.

    Raises NotImplementedError where librdkafka is too old for it.
    """

class WireFailure(Exception):
    """A call that has no clean reply. `kind`, with what `code` and `text` are then:

    closed; errno (its number); timeout; garbled, mismatch, too large (what was wrong); io, illegal (the gateway's
    IOError and IllegalArgument: the message); application (TApplicationException: type and message). Of a message the
    first 1,023 bytes.
    """

    kind: str
    code: int
    text: str
    def __init__(self, kind: str, code: int, text: str) -> None: ...

@final
class BinaryColumn:
    """An Arrow column of binary or large_binary, without a copy; leave it unchanged while this lives."""

    @property
    def shortest(self) -> int:
        """Length of the shortest value, in bytes; 0 of none."""

    @property
    def longest(self) -> int:
        """Of the longest; 0 of none."""

    def __init__(self, array: pa.Array[Any]) -> None:
        """Raises TypeError for another type, ValueError for nulls or offsets that leave the data."""

    def __len__(self) -> int: ...

@final
class Calls:
    """Calls of one method of Hbase.thrift (Thrift1), encoded from columns, and what they found, in columns.

    They are made once, by `run`; the GIL is released meanwhile. Not for several threads.
    """

    @staticmethod
    def put(columns: Sequence[tuple[bytes, bytes, int, BinaryColumn, BinaryColumn]], rows: int, size: int) -> Calls:
        """mutateRowsTs for each (table, `family:qualifier`, timestamp, rows, values), with writeToWAL.

        Cut into calls of at most `rows` rows and `size` bytes of rows and values; a larger cell goes alone. Raises
        ValueError for columns of different lengths.
        """

    @staticmethod
    def get(columns: Sequence[tuple[bytes, bytes, BinaryColumn]], rows: int, size: int) -> Calls:
        """getRowsWithColumns for each (table, `family:qualifier`, rows), cut as puts are."""

    @staticmethod
    def swap(table: bytes, cells: Sequence[tuple[bytes, bytes, bytes | None, bytes]]) -> Calls:
        """checkAndPut for each (row, `family:qualifier`, expected or None for absence, new value)."""

    @property
    def sequences(self) -> list[int]:
        """After `run`: the sequence id of the last call of each socket."""

    @property
    def clean(self) -> list[bool]:
        """After `run`: whether each socket has answered all that it was asked, and nothing else."""

    def __len__(self) -> int:
        """Number of calls."""

    def run(self, sockets: Sequence[tuple[int, int]], depth: int, timeout: float) -> None:
        """Make them, over (file descriptor, last sequence id) of each connected socket; these stay open meanwhile.

        A socket has up to `depth` calls unanswered. `timeout`: seconds that a call may take from when it is the oldest
        of its socket. A return means that each call had its own clean reply. Raises WireFailure or MemoryError at the
        first thing that goes wrong; sockets that are not clean then must not be used again. Raises ValueError for a
        number of sockets outside 1 to 64, or a depth outside 1 to 16.
        """

    def found(self) -> list[tuple[bytes, bytes, bytes, bytes]]:
        """Of gets, for each column that was asked: Arrow buffers of cells, in the order of the rows.

        Indices of the rows (int32), timestamps (int64), offsets of the values (int32, one more), values. Raises
        WireFailure where the values of one column are 2 GiB or more.
        """

    def swapped(self) -> list[bool]:
        """Of swaps: whether each found what it expected, and put."""

    def message(self, number: int, sequence: int) -> bytes:
        """A call as it goes over the wire: for tests."""

    def answer(self, number: int, sequence: int, data: bytes, step: int = 0) -> int:
        """Read a reply to a call from bytes that come `step` at a time (0: at once): for tests.

        How many of them it takes; -1 if there should be more. Raises as `run`.
        """

@final
class Outlet:
    """An idempotent producer to one topic, over the librdkafka that confluent-kafka runs on; for `_core.Portal`.

    Records go in and their fates come out by ``__ff_outlet__``, without a Python object for either.
    """

    def __new__(cls, config: dict[str, Any], topic: str, *, embedded: bool = False) -> Self:
        """`config`: librdkafka's settings by name. Connects in the background. `embedded`: the broker is librdkafka's
        mock, which acknowledges a made-up append time but stores the record's own.

        Raises ValueError with librdkafka's sentence for settings that it refuses, DrainUnavailable without access
        to it.
        """

    def __ff_outlet__(self) -> CapsuleType:
        """A capsule "flurry_fast.outlet.v1" that holds an ff_outlet (csrc/outlet.h) and keeps this object open."""

    @property
    def topic(self) -> str:
        """The topic."""

    @property
    def fatal(self) -> str | None:
        """The error after which nothing can be sent any more, by librdkafka's name."""

    @property
    def down(self) -> bool:
        """Whether no broker could be reached when it was last heard of one; a record that is stored says otherwise."""

    @property
    def waiting(self) -> int:
        """Records and fates that are under way. Raises ValueError when closed."""

    def notes(self) -> list[tuple[int, str]]:
        """What librdkafka had to say since the last call, at most the newest 64: (syslog's level, text)."""

    def ask(self, seconds: float) -> str | None:
        """Ask for the topic's metadata: None (and `down` is false) where a broker answers in time, else the error."""

    def close(self) -> None:
        """Drop what is under way. Raises BufferError while a portal uses it."""
