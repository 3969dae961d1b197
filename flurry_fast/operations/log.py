"""The log as operations see it, read from Kafka without joining a group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

import google_crc32c
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from flurry_fast.config.model import Kafka
from flurry_fast.kafka import KafkaUnavailable, client_config
from flurry_fast.operations.ports import Bounds, Record

T = TypeVar("T")
BATCH = 10_000


class KafkaLog:
    """operations.ports.LogView over a consumer that never subscribes: no group notices it.

    A Python object a record is its price: it reads single records, and ranges only where the archive can not tell.
    """

    def __init__(self, kafka: Kafka) -> None:
        """Connects nothing yet. Raises as `client_config` does."""
        self._topic, self._timeout = kafka.topic, kafka.request_timeout
        self._embedded = kafka.bootstrap is None
        self._consumer = Consumer(
            client_config(
                kafka,
                **{
                    "group.id": kafka.group,  # whose commits are looked at; it is never joined
                    "enable.auto.commit": False,
                    "auto.offset.reset": "error",
                    "isolation.level": "read_committed",
                    "allow.auto.create.topics": False,
                },
            )
        )

    def bounds(self, partition: int) -> Bounds:
        return Bounds(*self._ask(lambda: self._watermarks(partition)))

    def record(self, partition: int, offset: int) -> Record:
        for message in self._read(partition, offset, offset + 1):
            return Record(google_crc32c.value(message.value() or b""), message.timestamp()[1])
        raise KafkaUnavailable(f"Record {offset} of partition {partition} can not be read.")

    def max_timestamp(self, partition: int, start: int, end: int) -> int:
        return max((message.timestamp()[1] for message in self._read(partition, start, end)), default=-1)

    def offset_at(self, partition: int, timestamp: int) -> int | None:
        if self._embedded:  # librdkafka's mock cluster keeps no index of times
            log = self.bounds(partition)
            later = (m.offset() for m in self._read(partition, log.start, log.end) if m.timestamp()[1] >= timestamp)
            return next(later, None)
        asked = [TopicPartition(self._topic, partition, timestamp)]
        found = self._ask(lambda: self._consumer.offsets_for_times(asked, timeout=self._timeout))[0]
        return found.offset if found.offset >= 0 else None

    def committed(self, partitions: Collection[int]) -> dict[int, tuple[int, str]]:
        """The group's commits: partition -> (offset, metadata); partitions without one are missing."""
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        found = self._ask(lambda: self._consumer.committed(asked, timeout=self._timeout))
        return {item.partition: (item.offset, item.metadata or "") for item in found if item.offset >= 0}

    def close(self) -> None:
        """Drop the connection; a second call does nothing."""
        self._consumer.close()

    def __enter__(self) -> KafkaLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watermarks(self, partition: int) -> tuple[int, int]:
        return self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=self._timeout)

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except KafkaException as error:
            raise KafkaUnavailable(f"Topic {self._topic} can not be asked: {error.args[0].str()}.") from None

    def _read(self, partition: int, start: int, end: int) -> Iterator[Message]:
        """The records with start <= offset < end. Raises KafkaUnavailable where they do not come."""
        at = start
        with self._reading(partition, start):
            while at < end:
                messages = self._consumer.consume(min(BATCH, end - at), self._timeout)
                if not messages:
                    raise KafkaUnavailable(f"Partition {partition} gave no record {at} within {self._timeout:g} s.")
                for message in messages:
                    error, offset = message.error(), message.offset()
                    if error is not None or offset is None:
                        why = "" if error is None else f": {error.str()}"
                        raise KafkaUnavailable(f"Record {at} of partition {partition} can not be read{why}.")
                    if offset >= end:
                        return
                    yield message
                    at = offset + 1

    @contextmanager
    def _reading(self, partition: int, start: int) -> Iterator[None]:
        self._consumer.assign([TopicPartition(self._topic, partition, start)])
        try:
            yield
        finally:
            self._consumer.unassign()
