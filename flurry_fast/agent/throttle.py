"""Not faster than a consumer group commits: for brokers that keep little, as the embedded one does."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

# What a record takes in the broker beside its payload: key, headers of record and batch.
OVERHEAD = 128
_GUESS = 1200  # bytes of a record that somebody else sent
_ASK_EVERY = 0.05
_TIMEOUT = 5.0


@dataclass
class _Partition:
    """Stored records above the group's committed offset."""

    committed: int = 0
    end: int = 0
    uncommitted: int = 0
    records: deque[tuple[int, int]] = field(
        default_factory=deque
    )  # (offset, bytes up to it), as acknowledged: about by offset

    def stored(self, offset: int, size: int) -> None:
        self.end = max(self.end, offset + 1)
        if offset >= self.committed:
            self.records.append((offset, size))
            self.uncommitted += size

    def commit(self, offset: int) -> None:
        self.committed = max(self.committed, offset)
        while self.records and self.records[0][0] < self.committed:
            self.uncommitted -= self.records.popleft()[1]


class CommitThrottle:
    """Says how much may be sent: at most `max_bytes` in any one partition that `group` has not committed.

    A partition that is full holds back all of them, so that reports keep their order. A group that does not exist yet
    has committed nothing. What the log held before counts too, at a guess.
    """

    def __init__(self, config: dict[str, Any], topic: str, partitions: int, group: str, max_bytes: int) -> None:
        """`config` is that of a confluent-kafka client. Raises KafkaException where the broker does not answer."""
        self.group = group
        self.max_bytes = max_bytes
        self.waited = 0.0
        self._asked = float("-inf")
        # It only asks for the group's offsets; it never joins the group.
        self._consumer = Consumer(config | {"group.id": group, "enable.auto.commit": False})
        self._topic_partitions = [TopicPartition(topic, number) for number in range(partitions)]
        self._partitions = [_Partition() for _ in range(partitions)]
        self._refresh()
        for where, partition in zip(self._topic_partitions, self._partitions, strict=True):
            low, high = self._consumer.get_watermark_offsets(where, timeout=_TIMEOUT)
            start = max(low, partition.committed)
            step = max(0, high - start) // 1000 + 1
            for offset in range(start, high, step):
                last = min(offset + step, high) - 1
                partition.stored(last, (last + 1 - offset) * _GUESS)

    @property
    def uncommitted(self) -> int:
        """Bytes above the committed offset in the fullest partition, as far as known."""
        return max(partition.uncommitted for partition in self._partitions)

    @property
    def lag(self) -> int:
        """Records above the committed offsets, all partitions, as far as known."""
        return sum(max(0, partition.end - partition.committed) for partition in self._partitions)

    def stored(self, partition: int, offset: int, size: int) -> None:
        """The broker acknowledged a record of `size` bytes."""
        self._partitions[partition].stored(offset, size + OVERHEAD)

    def budget(self, in_flight: int) -> int:
        """Bytes that may be sent while `in_flight` are not acknowledged yet; 0 or less: wait.

        Asks for the group's offsets when that matters. One record larger than the bound may go where nothing else is.
        """
        budget = self.max_bytes - self.uncommitted - in_flight
        if budget < self.max_bytes // 2 and time.monotonic() - self._asked >= _ASK_EVERY:
            self._refresh()
            self._asked = time.monotonic()
            budget = self.max_bytes - self.uncommitted - in_flight
        return budget

    def close(self) -> None:
        """Ends the connection."""
        self._consumer.close()

    def _refresh(self) -> None:
        try:
            answers = self._consumer.committed(self._topic_partitions, timeout=_TIMEOUT)
        except KafkaException:
            return  # a coordinator that is not there yet has committed nothing
        for answer in answers:
            if answer.error is None and answer.offset >= 0:
                self._partitions[answer.partition].commit(answer.offset)
