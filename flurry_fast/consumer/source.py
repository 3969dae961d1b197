"""Where records come from: a member of a consumer group, read through the native drain.

Says nothing about when to read, flush or commit; the loop does. All calls on one thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from flurry_fast import trials
from flurry_fast._wire import Batch, Drain, DrainError, DrainUnavailable
from flurry_fast.config.model import Kafka
from flurry_fast.consumer.client import consumer_config, ending_within
from flurry_fast.consumer.fallback import FallbackDrain, drain_error
from flurry_fast.consumer.ports import Listener
from flurry_fast.errors import FlurryFastError
from flurry_fast.kafka import KafkaUnavailable

log = structlog.get_logger("flurry_fast.source")

LEAVE_SECONDS = 60.0  # until a group that cannot be left is left to its session time-out

# Ends the member for good; librdkafka does not always mark these as fatal.
FATAL = {
    KafkaError._FATAL,
    KafkaError._FENCED,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.INVALID_GROUP_ID,
    KafkaError.UNSUPPORTED_VERSION,
}
NAME_IN_USE = "UNRELEASED_INSTANCE_ID"  # KIP-848: a dead process keeps its static name until its session is over
NAME_RETRY_SECONDS = 1.0
NAME_WAIT_SESSIONS = 2  # as long is waited for a name, at most


class SourceFatal(FlurryFastError):
    """librdkafka says that this consumer can not go on: not allowed, refused by the group, ..."""


class NameInUse(SourceFatal):
    """Somebody alive has this one's static name."""

    exit_code = 3


class Fenced(SourceFatal):
    """This one's static name is another's now: a second process of that name, or brokers that lost a leader took an
    answer that never arrived for one. A start shows which it was."""

    exit_code = 4


@dataclass
class SourceStats:
    """Monotonic totals, but for `native`, `fallback_reason` and `librdkafka` (the last statistics, decoded JSON)."""

    native: bool = True
    fallback_reason: str | None = None
    discarded: int = 0  # taken out of librdkafka, then revoked or sought away from
    strays: int = 0  # came out of poll() instead of the drain; read again
    assignments: int = 0
    revocations: int = 0
    losses: int = 0
    commits: int = 0  # partitions whose commit the broker confirmed
    commit_failures: int = 0
    broker_errors: int = 0
    librdkafka: dict[str, Any] = field(default_factory=dict)


class KafkaSource:
    """One topic as a member of its consumer group; consumer.ports.Source says what each method does."""

    def __init__(
        self,
        kafka: Kafka,
        *,
        native: bool = True,
        on_statistics: Callable[[dict[str, Any]], None] | None = None,
        statistics_interval_ms: int = 0,
        session: float | None = None,
    ) -> None:
        """Connects nothing yet. `native=False` forces the fallback (tests). `session`: seconds after which the group
        forgets a dead member (None: kafka.session_timeout). Raises as `client_config` does."""
        self.stats = SourceStats()
        self._topic = kafka.topic
        self._timeout = kafka.request_timeout
        self._on_statistics = on_statistics
        self._listener: Listener | None = None
        self._fatal: SourceFatal | None = None
        self._assigned: set[int] = set()
        self._closing = False
        self._native = native
        self._name_wait = NAME_WAIT_SESSIONS * (session or kafka.session_timeout)
        self._name_refused: float | None = None  # since when (monotonic) a dead process has our name
        self._ask_again_at: float | None = None
        callbacks = {"error_cb": self._error, "stats_cb": self._statistics, "on_commit": self._committed}
        self._config = consumer_config(kafka) | {"statistics.interval.ms": statistics_interval_ms, **callbacks}
        self._consumer = Consumer(self._config)
        self._drain: Drain | FallbackDrain = self._open_drain(native)

    def _open_drain(self, native: bool) -> Drain | FallbackDrain:
        reason = "it was asked for"
        if native:
            try:
                return Drain(self._consumer)
            except DrainUnavailable as error:
                reason = error.reason
        self.stats.native = False
        self.stats.fallback_reason = reason
        log.warning("no native drain, falling back to Consumer.consume(): several times slower", reason=reason)
        return FallbackDrain(self._consumer)

    @property
    def native(self) -> bool:
        """Whether records come through the native drain; False: by Consumer.consume(), for `stats.fallback_reason`."""
        return self.stats.native

    @property
    def consumer(self) -> Consumer:
        """confluent-kafka's, for what this class does not offer (list_topics, ...)."""
        return self._consumer

    def subscribe(self, listener: Listener) -> None:
        self._listener = listener
        self._join()

    def _join(self) -> None:
        self._consumer.subscribe(
            [self._topic],
            on_assign=lambda _, partitions: self._on_assign(_numbers(partitions)),
            on_revoke=lambda _, partitions: self._on_revoke(_numbers(partitions)),
            on_lost=lambda _, partitions: self._on_lost(_numbers(partitions)),
        )

    # --- records ---------------------------------------------------------------------------------

    def drain(self, max_messages: int, max_bytes: int, timeout: float) -> tuple[Batch | None, list[DrainError]]:
        """The next records (None: nothing came within `timeout` seconds) and what librdkafka says of partitions.

        Serves callbacks first: the listener, statistics, commits. A partition whose offset is outside the log, whose
        log was truncated or whose topic is gone appears among the errors, by `name`. Raises SourceFatal.
        """
        if self._ask_again_at is not None and not self._rejoin(timeout):
            return None, []
        errors = self._poll()
        if self._fatal is None:
            wait = 0 if errors else round(timeout * 1000)
            batch, more = self._drain.drain(max_messages, max_bytes, wait)
            errors += self._sort_out(more)
            self.stats.discarded = self._drain.discarded
        if self._fatal is not None:
            raise self._fatal
        if self._ask_again_at is not None:
            return None, []
        return (batch if len(batch) else None), errors

    def _poll(self) -> list[DrainError]:
        """Serves callbacks; each turn, so that the group does not think us dead."""
        if isinstance(self._drain, FallbackDrain):  # its consume() serves them
            return []
        errors = []
        while (message := self._consumer.poll(0)) is not None:
            error = message.error()
            if error is not None:
                errors.append(drain_error(message, error))
            else:
                self._take_back(message)
        return self._sort_out(errors)

    def _rejoin(self, timeout: float) -> bool:
        """Ask the group again once it is time; until then wait `timeout` seconds at most."""
        assert self._ask_again_at is not None
        pause = self._ask_again_at - time.monotonic()
        if pause > timeout:
            time.sleep(timeout)
            return False
        time.sleep(max(0.0, pause))
        self._ask_again_at = None
        self._drain.close()
        with ending_within(LEAVE_SECONDS):
            self._consumer.close()  # a client that met a fatal error can not be used again
        self._consumer = Consumer(self._config)
        self._drain = self._open_drain(self._native)
        self._join()
        return True

    def _take_back(self, message: Message) -> None:
        """A record beside the drain would be missing in it: read on from there again."""
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None or partition not in self._assigned:
            return
        self.stats.strays += 1
        log.warning("a record came beside the drain; reading it again", partition=partition, offset=offset)
        self.seek(partition, offset)

    def _sort_out(self, errors: Iterable[DrainError]) -> list[DrainError]:
        """What concerns a partition of ours is the loop's; the rest is the connection's and only logged."""
        ours = []
        for error in errors:
            if error.code in FATAL:
                self._set_fatal(error.name, error.reason)
            elif error.partition in self._assigned:
                ours.append(error)
            elif error.partition < 0:
                self._note(error.name, error.reason)
        return ours

    # --- what is read ----------------------------------------------------------------------------

    def assign(self, offsets: Mapping[int, int]) -> None:
        # Attached first: from then on no record can reach the consumer's own queue.
        for partition in offsets:
            self._drain.attach(self._topic, partition)
        self._assigned.update(offsets)
        self._consumer.incremental_assign([self._at(partition, offset) for partition, offset in offsets.items()])
        # librdkafka remembers a pause from the last time that they were ours.
        self._consumer.resume([self._at(partition) for partition in offsets])

    def unassign(self, partitions: set[int]) -> None:
        leaving = partitions & self._assigned
        self._assigned -= leaving
        for partition in leaving:
            self._drain.detach(self._topic, partition)
        self._consumer.incremental_unassign([self._at(partition) for partition in leaving])

    def seek(self, partition: int, offset: int) -> None:
        if partition not in self._assigned:
            raise ValueError(f"partition {partition} is not assigned")
        try:
            self._consumer.seek(self._at(partition, offset))
        except KafkaException as error:
            raise KafkaUnavailable(f"Can not seek in partition {partition}: {error.args[0].str()}.") from None
        self._drain.discard(self._topic, partition)

    def pause(self, partitions: set[int]) -> None:
        for partition in partitions & self._assigned:
            self._drain.pause(self._topic, partition)
        self._consumer.pause([self._at(partition) for partition in partitions & self._assigned])

    def resume(self, partitions: set[int]) -> None:
        for partition in partitions & self._assigned:
            self._drain.resume(self._topic, partition)
        self._consumer.resume([self._at(partition) for partition in partitions & self._assigned])

    # --- what the broker knows -------------------------------------------------------------------

    def watermarks(self, partition: int) -> tuple[int, int]:
        try:
            low, high = self._consumer.get_watermark_offsets(self._at(partition), timeout=self._timeout)
        except KafkaException as error:
            raise KafkaUnavailable(f"No watermarks of partition {partition}: {error.args[0].str()}.") from None
        return low, high

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        asked = [self._at(partition, timestamp)]
        try:
            (found,) = self._consumer.offsets_for_times(asked, timeout=self._timeout)
        except KafkaException as error:
            raise KafkaUnavailable(f"No offset by time of partition {partition}: {error.args[0].str()}.") from None
        if found.error is not None:
            raise KafkaUnavailable(f"No offset by time of partition {partition}: {found.error.str()}.")
        return found.offset if found.offset >= 0 else None

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        try:
            found = self._consumer.committed([self._at(partition) for partition in partitions], timeout=self._timeout)
        except KafkaException as error:
            raise KafkaUnavailable(f"The group's commits can not be read: {error.args[0].str()}.") from None
        for item in found:
            if item.error is not None:
                raise KafkaUnavailable(f"No commit of partition {item.partition}: {item.error.str()}.")
        return {item.partition: (item.offset, item.metadata or "") for item in found if item.offset >= 0}

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        if not offsets:
            return
        wanted = [
            TopicPartition(self._topic, partition, offset, metadata)
            for partition, (offset, metadata) in offsets.items()
        ]
        try:
            trials.fail_point("commit.async.before" if asynchronous else "commit.sync.before")
            if asynchronous:
                self._consumer.commit(offsets=wanted, asynchronous=True)
            else:
                self._count_commits(self._consumer.commit(offsets=wanted, asynchronous=False))
            trials.fail_point("commit.async.after" if asynchronous else "commit.sync.after")
        except KafkaException as error:
            self._commit_failed(error.args[0], sorted(offsets))

    def close(self) -> None:
        """Leave the group, after `Listener.revoked` for what is still assigned. A second call does nothing."""
        if self._closing:
            return
        self._closing = True
        try:
            if self._assigned and self._listener is not None and self._fatal is None:
                self._listener.revoked(set(self._assigned))
        finally:
            self._drain.close()  # before the consumer: librdkafka waits for ever for a queue of ours
            self._assigned.clear()
            self._answer_rebalances()
            with ending_within(LEAVE_SECONDS):
                self._consumer.close()

    def _answer_rebalances(self) -> None:
        """Serve what waits in librdkafka's queue: Consumer.close() hangs, with the GIL, if two rebalances do.

        One of them waits unserved, closing adds the revocation of all; the answer to the first ends the group, and
        librdkafka drops what is asked of a group that has just ended without an answer (librdkafka#4041).
        """
        try:
            for _ in range(1000):  # after a failure records may come too, and without end
                if self._consumer.poll(0) is None:
                    break
        except KafkaException as error:
            log.warning("a rebalance could not be answered", error=str(error))

    def __enter__(self) -> KafkaSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- callbacks, all from within poll and consume ---------------------------------------------

    def _on_assign(self, partitions: set[int]) -> None:
        if not self._closing:  # what came while we were leaving is nobody's
            self.stats.assignments += 1
            self._name_refused = None
            assert self._listener is not None
            self._listener.assigned(partitions)
        # Even with nothing to read: confluent-kafka would else assign them at offsets of its own.
        self._consumer.incremental_assign([])

    def _on_revoke(self, partitions: set[int]) -> None:
        if self._closing:
            # They were unassigned already; confluent-kafka would try again, fail, and the rebalance would never end.
            self._consumer.incremental_unassign([])
        else:
            self.stats.revocations += 1
            assert self._listener is not None
            self._listener.revoked(partitions)
            self.unassign(partitions)

    def _on_lost(self, partitions: set[int]) -> None:
        if self._closing:
            self._consumer.incremental_unassign([])
        else:
            self.stats.losses += 1
            assert self._listener is not None
            self._listener.lost(partitions)
            self.unassign(partitions)

    def _error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in FATAL:
            self._set_fatal(error.name(), error.str())
        else:
            self._note(error.name(), error.str())

    def _note(self, name: str, reason: str) -> None:
        self.stats.broker_errors += 1
        log.warning("kafka error", error=name, reason=reason)

    def _set_fatal(self, name: str, reason: str) -> None:
        found = None if self._closing else self._drain.fatal_error()
        if found is not None:  # what lies behind _FATAL
            name, reason = found.name, found.reason
        if name == NAME_IN_USE and self._wait_for_name():
            return
        kind = NameInUse if name == NAME_IN_USE else Fenced if "FENCED" in name else SourceFatal
        way_out = None if kind is SourceFatal else "Is another process running with the same kafka.instance_id?"
        self._fatal = kind(f"The consumer can not go on: {reason} ({name}).", way_out=way_out)

    def _wait_for_name(self) -> bool:
        """Whether our name may still come free: whoever has it never answers again, or is somebody alive."""
        if self.stats.assignments or self._closing:
            return False
        now = time.monotonic()
        if self._name_refused is None:
            self._name_refused = now
            log.warning(
                "the process before this one still has its name in the group; waiting until its session is over",
                instance_id=self._config.get("group.instance.id"),
                at_most_seconds=round(self._name_wait, 1),
            )
        if now - self._name_refused > self._name_wait:
            return False
        self._ask_again_at = now + NAME_RETRY_SECONDS
        return True

    def _statistics(self, text: str) -> None:
        self.stats.librdkafka = json.loads(text)
        if self._on_statistics is not None:
            self._on_statistics(self.stats.librdkafka)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            self._commit_failed(error, [item.partition for item in partitions])
        else:
            self._count_commits(partitions)

    def _count_commits(self, partitions: list[TopicPartition]) -> None:
        for item in partitions:
            if item.error is not None:
                self._commit_failed(item.error, [item.partition])
            else:
                self.stats.commits += 1

    def _commit_failed(self, error: KafkaError, partitions: list[int]) -> None:
        self.stats.commit_failures += len(partitions)
        log.warning("commit failed", partitions=partitions, error=error.name(), reason=error.str())

    def _at(self, partition: int, offset: int = -1001) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset)


def _numbers(partitions: list[TopicPartition]) -> set[int]:
    return {item.partition for item in partitions}
