"""The whole pipeline with real processes: a broker, a producer, consumers; and the truth, counted independently.

The broker is the embedded one, or real Kafka (`cluster`, an address): everything else is the same.

The truth is what the broker acknowledged (partition, offset, timestamp), decoded by the slow reference decoder and
folded by `flurry_fast.verify.count`: not a line of it is shared with the engine.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import google_crc32c
import pyarrow.parquet as pq
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from flurry_fast.broker import EmbeddedBroker
from flurry_fast.config import Settings, load
from flurry_fast.kafka import Cluster
from flurry_fast.registry import Registry, plans
from flurry_fast.spans import Spans
from flurry_fast.stores import CellStore, open_store
from flurry_fast.verify.compare import Comparison, compare_store, coverage
from flurry_fast.verify.count import Count, Ranges
from flurry_fast.verify.plan import CountedPlan

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from real_topics import delete_topic, make_topic  # noqa: E402 - beside the tests, not a package of ours
from reference import decoder, encoder, generate  # noqa: E402

HOUR_MS = 3_600_000
Json = dict[str, Any]


def reports(seed: int) -> Iterator[bytes]:
    """Reports without end: of every protocol, some of them damaged, some sent again, none large."""
    draw = random.Random(seed)
    sent: list[bytes] = []
    while True:
        generator = generate.Generator(draw, odd=0.05, bad=0.0)
        body = encoder.encode(generator.report(draw.choice(generate.PROTOCOLS), draw.randint(0, 3)))
        if draw.random() < 0.05:
            at = draw.randrange(len(body))
            body = body[:at] + bytes([body[at] ^ 1 << draw.randrange(8)]) + body[at + 1 :]
        if len(body) <= 4096:
            sent.append(body)
            yield body
        if sent and draw.random() < 0.1:
            yield draw.choice(sent[-50:])  # nobody acknowledged it in time


class Truth:
    """Everything that the broker acknowledged."""

    def __init__(self, *, brokers_time: bool = False) -> None:
        """`brokers_time`: receive times are what the acknowledgement says (LogAppendTime), not what was given."""
        self.records: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._brokers_time = brokers_time

    def delivered(self, timestamp: int, error: KafkaError | None, message: Message) -> None:
        """The mock cluster keeps the time it was given (`timestamp`, ms) and acknowledges with one it made up."""
        assert error is None, error
        partition, offset, value = message.partition(), message.offset(), message.value()
        assert partition is not None
        assert offset is not None
        assert isinstance(value, bytes)
        if self._brokers_time:
            timestamp = message.timestamp()[1]
        self.records[partition, offset] = (value, timestamp)

    def ends(self) -> dict[int, int]:
        """Partition -> next offset."""
        found: dict[int, int] = {}
        for partition, offset in list(self.records):  # a producer may be adding to it
            found[partition] = max(found.get(partition, 0), offset + 1)
        return found

    def count(self, plan_toml: str, lost: Collection[tuple[int, int]] = (), ranges: Ranges | None = None) -> Count:
        """The counters that all of it must give, or what lies in `ranges`, but for the `lost` (partition, offset)."""
        count = Count(CountedPlan.parse(plan_toml), ranges=ranges)
        for (partition, offset), (value, timestamp) in sorted(self.records.items()):
            if (partition, offset) in lost:
                count.crcs.setdefault(partition, []).append(google_crc32c.value(value))
                continue
            line = {**decoder.decode(value), "partition": partition, "offset": offset, "timestamp_ms": timestamp}
            if line["outcome"] == "ok":  # the wire bytes of a key that is not plain text
                line["api_key_hex"] = decoder.message_key(value).rpartition(b"|")[0].hex()
            count.add(line | {"crc32c": google_crc32c.value(value)})
        count.finish()
        return count


class Pipeline:
    """One broker, one store, one archive, below one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        partitions: int = 4,
        overrides: dict[str, str] | None = None,
        cluster: str | None = None,
        topic_config: dict[str, str] | None = None,
    ) -> None:
        """`cluster`: real Kafka, where a topic of its own is made (with `topic_config`) and deleted again."""
        self.folder = folder
        self.cluster = cluster
        self.partitions = partitions
        # Receive times are made up (2013): retention must not see them.
        self._topic_config = {"retention.ms": "-1", **(topic_config or {})}
        if cluster is None:
            self.topic = "reports"
            self.broker = EmbeddedBroker(folder / "broker.json", {"reports": partitions})
            bootstrap, where = self.broker.file.bootstrap, {"kafka.broker_file": str(folder / "broker.json")}
        else:
            self.topic = f"test-{uuid.uuid4().hex[:12]}"
            self.make_topic()
            bootstrap = cluster
            where = {"kafka.bootstrap": cluster, "kafka.topic": self.topic, "kafka.group": self.topic}
        self.config = folder / "flurry-fast.toml"
        self.overrides = {
            **where,
            "kafka.session_timeout": "3s",
            "counters.store": f"sqlite:{folder / 'counters.sqlite'}",
            "counters.flush_age": "200ms",
            "archive.root": str(folder / "archive"),
            "archive.roll_age": "400ms",
            "consume.commit_interval": "200ms",
            "consume.status_file": str(folder / "status.json"),
            "log.format": "json",
            **(overrides or {}),
        }
        log_append = self._topic_config.get("message.timestamp.type") == "LogAppendTime"
        self.truth = Truth(brokers_time=log_append)
        self.sent = 0
        self._reports = reports(1)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2",
                "linger.ms": 5,
                "acks": "all",
                "log_level": 0,
            }
        )

    def settings(self, **more: str) -> Settings:
        return load(None, self.overrides | more, {}).settings

    # --- the topic, where there is a real cluster ----------------------------------------------------------------

    @cached_property
    def admin(self) -> AdminClient:
        """Kept: what is asked of a client that is gone is never answered."""
        assert self.cluster is not None
        return AdminClient({"bootstrap.servers": self.cluster, "log_level": 0})

    def make_topic(self) -> None:
        """Make it, and wait until every broker knows it."""
        make_topic(self.admin, NewTopic(self.topic, self.partitions, 1, config=self._topic_config))

    def delete_topic(self) -> None:
        """Returns when brokers have forgotten it."""
        delete_topic(self.admin, self.topic)

    def incarnation(self) -> int:
        return Cluster(self.settings().kafka).incarnation()

    # --- producing -----------------------------------------------------------------------------------------------

    def produce(self, count: int, *, bodies: list[bytes] | None = None) -> None:
        """Send and wait until it is acknowledged; receive times go on by a few minutes a report."""
        for body in bodies if bodies is not None else [next(self._reports) for _ in range(count)]:
            timestamp = generate.NOW_MS + self.sent * 20_000
            key = decoder.message_key(body)
            delivered = partial(self.truth.delivered, timestamp)
            self._producer.produce(self.topic, body, key, timestamp=timestamp, on_delivery=delivered)
            self.sent += 1
            if self.sent % 100 == 0:
                self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def keep_producing(self, per_second: int) -> Callable[[], None]:
        """Send from a thread of its own until the returned function is called."""
        stop = threading.Event()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                while not stop.wait(0.1):
                    self.produce(max(1, per_second // 10))
            except BaseException as error:
                failures.append(error)
                raise

        thread = threading.Thread(target=work)
        thread.start()

        def end() -> None:
            stop.set()
            thread.join()
            assert not failures

        return end

    # --- consuming -----------------------------------------------------------------------------------------------

    def consumer(self, name: str = "consumer", *arguments: str, **more: str) -> Consumer:
        """Start a consumer process."""
        return Consumer(self.folder / f"{name}.log", self.overrides | more, *arguments)

    def committed(self) -> dict[int, int]:
        """What the newest status file says is committed."""
        status = json.loads((self.folder / "status.json").read_text())
        return {int(number): p["committed"] or 0 for number, p in status["partitions"].items()}

    # --- comparing -----------------------------------------------------------------------------------------------

    def store(self) -> CellStore:
        return open_store(self.settings().counters, create=False)

    def compare_counters(self) -> Comparison:
        """Every cell of every plan against the independent count of what that plan counted."""
        store = self.store()
        try:
            incarnation = self.incarnation()
            spans = Spans(store, Registry(store, self.topic, lambda: incarnation))
            ends = self.truth.ends()
            ranges = {
                span.plan: {number: spans.ranges(span.plan, incarnation, number, origin=0) for number in ends}
                for span in spans.all
            }
            total = Comparison(differences=list(coverage(list(ranges.values()), ends)))
            for plan, mine in ranges.items():
                count = self.truth.count(plans(store)[plan], ranges=mine)
                total += compare_store(store, count, plan_id=plan, incarnation=incarnation)
            return total
        finally:
            store.close()

    def archived(self) -> dict[tuple[int, int], int]:
        """(partition, offset) -> CRC of every row of every archive file; a row that comes twice fails."""
        found: dict[tuple[int, int], int] = {}
        for path in sorted((self.folder / "archive").rglob("*.parquet")):
            partition = int(path.parent.name.removeprefix("p="))
            table = pq.read_table(path, columns=["offset", "crc32c"], partitioning=None)
            for offset, crc in zip(table["offset"].to_pylist(), table["crc32c"].to_pylist(), strict=True):
                assert (partition, offset) not in found, f"offset {offset} of partition {partition} is archived twice"
                found[partition, offset] = crc
        return found

    def assert_exact(self) -> None:
        """All counters and the whole archive are what was sent."""
        comparison = self.compare_counters()
        assert comparison.differences == [], [str(difference) for difference in comparison.differences[:10]]
        assert comparison.exact
        expected = {where: google_crc32c.value(value) for where, (value, _) in self.truth.records.items()}
        assert self.archived() == expected

    def close(self) -> None:
        if self.cluster is None:
            self.broker.stop()
            return
        self._producer.flush(10)
        self.delete_topic()
        with suppress(KafkaException):  # members that were killed are still in it, until their session is over
            self.admin.delete_consumer_groups([self.topic])[self.topic].result(30)


class Consumer:
    """One `flurry-fast consume` process."""

    def __init__(self, log: Path, overrides: dict[str, str], *arguments: str) -> None:
        self.log = log
        flags = [item for key, value in overrides.items() for item in ("--set", f"{key}={value}")]
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flurry_fast", "consume", *arguments, *flags],
                stderr=file,
                stdout=file,
                cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def said(self) -> str:
        return self.log.read_text()


@contextmanager
def pipelines(folder: Path, **always: Any) -> Iterator[Callable[..., Pipeline]]:
    """A call that makes a pipeline, with what is `always` given; what all of them started is gone at the end."""
    made: list[Pipeline] = []
    consumers: list[Consumer] = []

    def make(**arguments: Any) -> Pipeline:
        made.append(Pipeline(folder, **always, **arguments))
        start = made[-1].consumer
        made[-1].consumer = lambda *a, **k: (consumers.append(start(*a, **k)), consumers[-1])[1]  # type: ignore[method-assign]
        return made[-1]

    yield make
    for consumer in consumers:
        if consumer.process.poll() is None:
            consumer.kill()
    for one in made:
        one.close()


def caught_up(line: Pipeline) -> bool:
    """Whether everything that was sent is committed, by the newest status file."""
    ends = line.truth.ends()
    return {number: offset for number, offset in line.committed().items() if number in ends} == ends


def wait_until(
    condition: Callable[[], bool], what: str, *, consumer: Consumer | None = None, seconds: float = 90
) -> None:
    """Wait for a condition; fails with the consumer's log when its process ends or time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (FileNotFoundError, ValueError, KeyError):
            pass  # a status that is not there yet
        said = consumer.said()[-3000:] if consumer is not None else ""
        assert consumer is None or consumer.process.poll() is None, f"the consumer ended: {said}"
        assert time.monotonic() < deadline, f"not in time: {what}\n{said}"
        time.sleep(0.02)
