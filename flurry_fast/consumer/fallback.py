"""The slow way to batches: Consumer.consume(), where librdkafka's handle can not be shared.

Does what flurry_fast._wire.Drain does, method for method; one Python object a message is its price.
"""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, Message

from flurry_fast._wire import Batch, DrainError

CHUNK = 1024  # most messages of one call; what does not fit the caller's limits waits here


class FallbackDrain:
    """Batches from Consumer.consume(); see Drain in _wire.pyi for what each method must do."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._pending: list[Message] = []
        self._attached: set[int] = set()
        self._paused: set[int] = set()
        self._closed = False
        self.topic: str | None = None
        self.discarded = 0

    @property
    def closed(self) -> bool:
        return self._closed

    def attach(self, topic: str, partition: int, /) -> None:
        self._check_open()
        if self.topic not in (None, topic):
            raise ValueError(f"this drain is for topic {self.topic}, records do not carry another's name")
        self.topic = topic
        self._attached.add(partition)
        self._paused.discard(partition)

    def detach(self, topic: str, partition: int, /) -> None:
        self.discard(topic, partition)
        self._attached.discard(partition)
        self._paused.discard(partition)

    def attached(self) -> list[int]:
        return sorted(self._attached)

    def pause(self, topic: str, partition: int, /) -> None:
        self._check_open()
        if topic == self.topic and partition in self._attached:
            self._paused.add(partition)

    def resume(self, topic: str, partition: int, /) -> None:
        self._check_open()
        if topic == self.topic:
            self._paused.discard(partition)

    def discard(self, topic: str, partition: int, /) -> None:
        self._check_open()
        if topic == self.topic:
            kept = [message for message in self._pending if message.error() or message.partition() != partition]
            self.discarded += len(self._pending) - len(kept)
            self._pending = kept

    def drain(self, max_messages: int, max_bytes: int, timeout_ms: int, /) -> tuple[Batch, list[DrainError]]:
        if max_messages < 1 or max_bytes < 1 or timeout_ms < 0:
            raise ValueError("max_messages and max_bytes are at least 1, timeout_ms at least 0")
        self._check_open()
        # Each way serves callbacks too. What does not fit must not pile up, whatever the limits.
        here = self._deliverable()
        if here == 0:
            self._pending.extend(self._consumer.consume(1, timeout_ms / 1000))
            here = self._deliverable()
        if 0 < here < max_messages and self._pending_bytes() < max_bytes:
            self._pending.extend(self._consumer.consume(min(CHUNK, max_messages - here), 0))
        elif (message := self._consumer.poll(0)) is not None:
            self._pending.append(message)
        # Only now: consume() may have called back with a revoke in between.
        taken, errors = self._take(max_messages, max_bytes)
        return Batch.from_messages(taken), errors

    def fatal_error(self) -> DrainError | None:
        """None: without the handle only the error callback knows."""
        self._check_open()
        return None

    def close(self) -> None:
        self._pending.clear()
        self._attached.clear()
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the drain is closed")

    def _deliverable(self) -> int:
        return sum(1 for message in self._pending if message.error() or message.partition() not in self._paused)

    def _pending_bytes(self) -> int:
        return sum(_length(message) for message in self._pending)

    def _take(self, max_messages: int, max_bytes: int) -> tuple[list[Message], list[DrainError]]:
        taken: list[Message] = []
        errors: list[DrainError] = []
        kept: list[Message] = []
        size = 0
        full = False
        for message in self._pending:
            error = message.error()
            length = _length(message)
            if error is None and message.partition() not in self._attached:
                self.discarded += 1
                continue
            if error is None and message.partition() in self._paused:
                kept.append(message)
                continue
            # Later ones may be smaller, but order comes first: nothing passes.
            full = full or len(taken) + len(errors) == max_messages or (bool(taken) and size + length > max_bytes)
            if full:
                kept.append(message)
            elif error is not None:
                errors.append(drain_error(message, error))
            else:
                taken.append(message)
                size += length
        self._pending = kept
        return taken, errors


def _length(message: Message) -> int:
    return 0 if message.error() else len(message.value() or b"") + len(message.key() or b"")


def drain_error(message: Message, error: KafkaError) -> DrainError:
    """As the native drain tells it."""
    partition, offset = message.partition(), message.offset()
    return DrainError(
        message.topic() or "",
        -1 if partition is None else partition,
        -1 if offset is None else offset,
        error.code(),
        error.name(),
        error.str(),
    )
