"""Native glue to librdkafka's handles: batches, the drain, the mock cluster. Private."""

from typing import final

from confluent_kafka import Message
from typing_extensions import Buffer, CapsuleType

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
