"""The native drain and its fallback, over a mock cluster: the same records, limits, errors and ends."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from flurry_fast import _core, _wire
from flurry_fast.consumer.fallback import FallbackDrain

AnyDrain = Any  # Drain or FallbackDrain: the same methods
Row = tuple[int, int, int, bytes | None, bytes | None, bytes | None]


class Reader:
    """A consumer without a group, and a drain over it."""

    def __init__(self, kind: type[AnyDrain], bootstrap: str, **config: Any) -> None:
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "none",
                "auto.offset.reset": "error",
                "fetch.queue.backoff.ms": 2,
                **config,
            }
        )
        self.drain: AnyDrain = kind(self.consumer)

    def assign(self, topic: str, offsets: dict[int, int]) -> None:
        for partition in offsets:
            self.drain.attach(topic, partition)
        self.consumer.incremental_assign([TopicPartition(topic, p, o) for p, o in offsets.items()])

    def read(self, count: int, max_messages: int = 1000, max_bytes: int = 2**20) -> list[Row]:
        """Rows until `count` came; the errors meanwhile must be none."""
        rows: list[Row] = []
        while len(rows) < count:
            batch, errors = self.drain.drain(max_messages, max_bytes, 10_000)
            assert not errors
            assert len(batch) > 0, "nothing came within ten seconds"
            rows += batch.rows()
            batch.release()
        return rows

    def close(self) -> None:
        self.drain.close()
        self.consumer.close()


@pytest.fixture(params=[_wire.Drain, FallbackDrain], ids=["native", "fallback"])
def reader(request: pytest.FixtureRequest, mock_cluster: Any) -> Iterator[Callable[..., Reader]]:
    opened: list[Reader] = []

    def open_reader(**config: Any) -> Reader:
        opened.append(Reader(request.param, mock_cluster.bootstrap, **config))
        return opened[-1]

    yield open_reader
    for one in opened:
        one.close()


def test_every_part_of_a_record_arrives(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(2)
    headers = [("a", b"1"), ("a", b""), ("ü", None), ("long", b"x" * 300)]
    mock_cluster.send(topic, 1, [b"one"], key=b"k", headers=headers, timestamp=1234)
    mock_cluster.send(topic, 1, [None], key=b"k", timestamp=1235)
    mock_cluster.send(topic, 1, [b""], timestamp=1236)
    mock_cluster.send(topic, 1, [b"four"], key=b"", timestamp=1237)
    one = reader()
    one.assign(topic, {1: 0})
    flat = (
        b"\x01\x00a\x01\x00\x00\x001\x01\x00a\x00\x00\x00\x00\x02\x00\xc3\xbc\xff\xff\xff\xff"
        b"\x04\x00long\x2c\x01\x00\x00" + b"x" * 300
    )
    assert one.read(4) == [
        (1, 0, 1234, b"k", flat, b"one"),
        (1, 1, 1235, b"k", None, None),
        (1, 2, 1236, None, None, b""),
        (1, 3, 1237, b"", None, b"four"),
    ]


def test_rust_reads_what_python_does(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"%d" % i * i for i in range(50)], key=b"k", headers=[("h", b"v")])
    one = reader()
    one.assign(topic, {0: 0})
    batch, _ = one.drain.drain(100, 2**20, 10_000)
    assert len(batch) > 0
    assert _core._batch_rows(batch) == batch.rows()
    assert batch.payload_bytes == sum(len(row[5] or b"") for row in batch.rows())


def test_limits_leave_the_rest_for_the_next_call(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    values = [bytes([i % 256]) * (i % 97) for i in range(3000)]
    mock_cluster.send(topic, 0, values)
    one = reader()
    one.assign(topic, {0: 0})
    rows: list[Row] = []
    while len(rows) < len(values):
        batch, errors = one.drain.drain(70, 1000, 10_000)
        assert not errors
        assert 0 < len(batch) <= 70
        assert batch.payload_bytes <= 1000
        rows += batch.rows()
    assert [row[5] for row in rows] == values
    assert [row[1] for row in rows] == list(range(len(values)))


def test_a_record_over_the_byte_limit_goes_alone(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"small", b"x" * 5000, b"small"])
    one = reader()
    one.assign(topic, {0: 0})
    sizes = []
    while sum(sizes) < 3:
        batch, _ = one.drain.drain(10, 100, 10_000)
        sizes.append(len(batch))
        if any(len(row[5] or b"") > 100 for row in batch.rows()):
            assert len(batch) == 1


def test_seek_never_shows_what_was_taken_before(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(2)
    for partition in (0, 1):
        mock_cluster.send(topic, partition, [b"%d" % i for i in range(2000)])
    one = reader()
    one.assign(topic, {0: 0, 1: 0})
    expected = {0: 0, 1: 0}
    for target in (1500, 3, 700):
        batch, _ = one.drain.drain(100, 2**20, 10_000)  # leaves others taken but not handed over
        for row in batch.rows():
            assert row[1] == expected[row[0]]
            expected[row[0]] += 1
        one.consumer.seek(TopicPartition(topic, 0, target))
        one.drain.discard(topic, 0)
        expected[0] = target
    while expected != {0: 2000, 1: 2000}:
        for row in one.read(1):
            assert row[1] == expected[row[0]]
            expected[row[0]] += 1


def test_pause_holds_what_is_already_here(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(2)
    for partition in (0, 1):
        mock_cluster.send(topic, partition, [b"x"] * 3000)
    one = reader()
    one.assign(topic, {0: 0, 1: 0})
    seen = {0: 0, 1: 0}

    def read(only: set[int]) -> None:
        batch, errors = one.drain.drain(50, 2**20, 10_000)
        assert not errors
        for row in batch.rows():
            assert row[0] in only
            assert row[1] == seen[row[0]]
            seen[row[0]] += 1

    while not seen[0]:
        read({0, 1})
    one.consumer.pause([TopicPartition(topic, 0)])
    one.drain.pause(topic, 0)
    while seen[1] < 3000:
        read({1})
    one.consumer.resume([TopicPartition(topic, 0)])
    one.drain.resume(topic, 0)
    while seen[0] < 3000:
        read({0})


def test_detached_records_are_dropped(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(2)
    for partition in (0, 1):
        mock_cluster.send(topic, partition, [b"x"] * 2000)
    one = reader()
    one.assign(topic, {0: 0, 1: 0})
    one.read(1, max_messages=1)
    one.drain.detach(topic, 0)
    one.consumer.incremental_unassign([TopicPartition(topic, 0)])
    assert one.drain.attached() == [1]
    seen = 0
    while seen < 1990:  # a few of them may have come before
        rows = one.read(1)
        assert {row[0] for row in rows} == {1}
        seen += len(rows)
    one.assign(topic, {0: 1998})
    assert [row[1] for row in one.read(2) if row[0] == 0] == [1998, 1999]


def test_a_partition_that_comes_back_at_once_is_read(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    # The end of an assignment is librdkafka's to finish in its own time, and takes the forwarding away: before the
    # drain set it anew, one in thirty of these stayed silent for ever, whole and without an error.
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"x"] * 100)
    one = reader(**{"fetch.wait.max.ms": 10})
    for offset in range(100):
        one.assign(topic, {0: offset})
        assert one.read(1, max_messages=1)[0][1] == offset
        one.drain.detach(topic, 0)
        one.consumer.incremental_unassign([TopicPartition(topic, 0)])


def test_errors_of_a_partition_are_told(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(2)
    mock_cluster.send(topic, 0, [b"x"] * 10)
    mock_cluster.send(topic, 1, [b"y"] * 10)
    one = reader()
    one.assign(topic, {0: 500, 1: 0})
    rows: list[Row] = []
    errors: list[Any] = []
    while not errors or len(rows) < 10:
        batch, more = one.drain.drain(100, 2**20, 10_000)
        assert len(batch) or more
        rows += batch.rows()
        errors += more
    assert {row[0] for row in rows} == {1}
    assert [(error.topic, error.partition, error.name) for error in errors] == [(topic, 0, "_AUTO_OFFSET_RESET")]
    assert errors[0].code == -140
    assert errors[0].reason


def test_records_of_a_batch_outlive_later_ones(reader: Callable[..., Reader], mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"%06d" % i for i in range(2000)])
    one = reader()
    one.assign(topic, {0: 0})
    batches = []
    while sum(map(len, batches)) < 2000:
        batches.append(one.drain.drain(100, 2**20, 10_000)[0])
    one.consumer.incremental_unassign([TopicPartition(topic, 0)])
    assert [row[5] for batch in batches for row in batch.rows()] == [b"%06d" % i for i in range(2000)]


def test_wrong_arguments(reader: Callable[..., Reader]) -> None:
    one = reader()
    for limits in ((0, 1, 1), (1, 0, 1), (1, 1, -1)):
        with pytest.raises(ValueError, match="at least"):
            one.drain.drain(*limits)
    one.drain.attach("a", 0)
    with pytest.raises(ValueError, match="topic a"):
        one.drain.attach("b", 0)
    assert one.drain.topic == "a"


def test_closed_is_closed(reader: Callable[..., Reader]) -> None:
    one = reader()
    one.drain.close()
    one.drain.close()
    assert one.drain.closed
    for call in (
        lambda: one.drain.attach("t", 0),
        lambda: one.drain.drain(1, 1, 0),
        lambda: one.drain.discard("t", 0),
        one.drain.fatal_error,
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()


# --- the native one alone ------------------------------------------------------------------------


@pytest.fixture
def native(mock_cluster: Any) -> Iterator[Reader]:
    one = Reader(_wire.Drain, mock_cluster.bootstrap)
    yield one
    one.close()


def test_poll_returns_no_record(native: Reader, mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"x"] * 5000)
    native.assign(topic, {0: 0})
    seen = 0
    while seen < 5000:
        assert native.consumer.poll(0) is None
        seen += len(native.drain.drain(100, 2**20, 10_000)[0])


def test_close_releases_batches_but_not_under_a_reader(native: Reader, mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"x"] * 10)
    native.assign(topic, {0: 0})
    batch, _ = native.drain.drain(10, 2**20, 10_000)
    capsule = batch.__ff_batch__()
    with pytest.raises(BufferError):
        native.drain.close()
    assert not native.drain.closed
    del capsule
    native.drain.close()
    assert batch.released
    assert len(batch) == 0


def test_a_batch_keeps_drain_and_consumer(mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"abc"])
    one = Reader(_wire.Drain, mock_cluster.bootstrap)
    one.assign(topic, {0: 0})
    batch, _ = one.drain.drain(10, 2**20, 10_000)
    gone = weakref.ref(one.drain)
    del one
    gc.collect()
    assert gone() is not None
    assert batch.rows()[0][5] == b"abc"
    del batch
    gc.collect()
    assert gone() is None  # and the consumer was closed behind it, without a hang


def test_no_second_thread(native: Reader, mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    native.assign(topic, {0: 0})
    result: list[Any] = []
    waiting = threading.Thread(target=lambda: result.append(native.drain.drain(1, 1, 60_000)))
    waiting.start()
    refused = False
    while not refused:
        try:
            native.drain.attached()
            native.drain.discard(topic, 0)
        except RuntimeError as error:
            refused = "another thread" in str(error)
    mock_cluster.send(topic, 0, [b"x"])
    waiting.join()
    assert len(result[0][0]) == 1


def test_memory_is_given_back(mock_cluster: Any) -> None:
    # A seek waits for the fetch that is under way, and that for as long as this says.
    native = Reader(_wire.Drain, mock_cluster.bootstrap, **{"fetch.wait.max.ms": 10})
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"x" * 2000] * 2000)  # 4 MB
    native.assign(topic, {0: 0})
    after: list[int] = []
    for _ in range(60):  # 240 MB in all
        native.consumer.seek(TopicPartition(topic, 0, 0))
        native.drain.discard(topic, 0)
        native.read(2000)
        after.append(resident_bytes())
    native.close()
    assert max(after[20:]) - min(after[20:]) < 60 * 2**20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_only_a_live_consumer_will_do(mock_cluster: Any) -> None:
    with pytest.raises(TypeError, match="Consumer"):
        _wire.Drain(cast("Consumer", Producer({"bootstrap.servers": mock_cluster.bootstrap})))
    with pytest.raises(TypeError):
        _wire.Drain(cast("Consumer", None))
    closed = Consumer({"bootstrap.servers": mock_cluster.bootstrap, "group.id": "g"})
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        _wire.Drain(closed)


def test_a_subclass_will_do(mock_cluster: Any) -> None:
    class Mine(Consumer):
        pass

    consumer = Mine({"bootstrap.servers": mock_cluster.bootstrap, "group.id": "g"})
    _wire.Drain(consumer).close()
    consumer.close()


def test_the_library_is_the_one_in_use() -> None:
    import confluent_kafka

    version, path = _wire.librdkafka()
    assert version == confluent_kafka.libversion()[0]
    assert "rdkafka" in path or "cimpl" in path


def test_mock_functions_want_a_mock_cluster(mock_cluster: Any) -> None:
    plain = Producer({"bootstrap.servers": mock_cluster.bootstrap})
    with pytest.raises(ValueError, match="no mock cluster"):
        _wire.mock_bootstrap(plain)
    with pytest.raises(ValueError, match="at least one"):
        _wire.mock_create_topic(mock_cluster.owner, "x", 0)
    topic = mock_cluster.topic(3)
    with pytest.raises(RuntimeError, match="can not be created: TOPIC_ALREADY_EXISTS"):
        _wire.mock_create_topic(mock_cluster.owner, topic, 3)
    assert len(plain.list_topics(topic, timeout=10).topics[topic].partitions) == 3


def test_the_fallback_does_not_pile_up(mock_cluster: Any) -> None:
    topic = mock_cluster.topic(1)
    mock_cluster.send(topic, 0, [b"x" * 100] * 3000)
    one = Reader(FallbackDrain, mock_cluster.bootstrap)
    one.assign(topic, {0: 0})
    for _ in range(200):
        one.drain.drain(50, 250, 10_000)
        assert len(one.drain._pending) <= 50 + 200
    one.close()
