"""One round of a storm: a topic, tables and an archive of its own; devices, consumers, faults; at its end, the truth.

All is judged by the audit, which folds the archive again, and by the independent count of what brokers acknowledged.
"""

from __future__ import annotations

import json
import random
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import confluent_kafka
from acknowledged import Acknowledged
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from faults.hdfs_admin import dfsadmin
from faults.proxy import FaultProxy
from storm.crew import Consumer, Crew
from storm.servers import Servers
from storm.weather import FAULTS, SESSION, WRITE_TIMEOUT
from torture.nursery import Nursery, Process

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.config.model import Kafka
from flurry_fast.kafka import Cluster, TopicMissing
from flurry_fast.operations import topics
from flurry_fast.stack import Stack

PARTITIONS = 6
RATE = 120  # reports a second
GROUP_SESSION = 10.0  # seconds; what the stack's brokers give KIP-848 groups
TICK = 0.05
CATCH_UP_SECONDS = 300.0
BURST = 5  # kills without waiting for what they left to be durable


class Broken(Exception):
    """Something that must never happen has happened: by which check, and in words."""

    def __init__(self, check: str, words: str) -> None:
        super().__init__(words)
        self.check = check


@dataclass
class Outcome:
    """`recoveries`: fault -> seconds until all was durable. `failure`: what was wrong; None: all exact. `check`: which
    rule it broke."""

    recoveries: dict[str, list[float]] = field(default_factory=dict)
    kills: int = 0
    starts: int = 0
    reports: int = 0
    counters: int = 0
    seconds: float = 0.0
    failure: str | None = None
    check: str | None = None


class Round:
    """`run` plays it. The seed decides, beside all that is random, which protocol the group has and whether its members
    have static names."""

    def __init__(
        self,
        stack: Stack,
        nursery: Nursery,
        folder: Path,
        seed: int,
        *,
        consumers: int = 3,
        bug: str | None = None,
        patience: float = CATCH_UP_SECONDS,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.draw = random.Random(seed)
        self.stack, self.folder = stack, folder
        self._nursery, self._seed, self._bug, self._tell = nursery, seed, bug, tell
        self._patience = patience
        self._protocol = "consumer" if seed % 4 == 3 else "classic"
        self._static = seed % 2 == 1
        self.session = SESSION if self._protocol == "classic" else GROUP_SESSION
        self.out = Outcome()
        self._name = f"storm_{uuid.uuid4().hex[:8]}"
        assert stack.addresses.hbase_thrift is not None
        self.hbase = HBaseAddress(*stack.addresses.hbase_thrift, f"{self._name}_")
        self.archive_folder = f"/{self._name}"
        self._consumers = consumers
        self._devices: Process | None = None
        self._admin = AdminClient({"bootstrap.servers": stack.addresses.kafka, "log_level": 0})
        # Never subscribes: it is no member. (An AdminClient that is asked as often crashes now and then.)
        reader = {"bootstrap.servers": stack.addresses.kafka, "group.id": self._name, "log_level": 0}
        self._reader = confluent_kafka.Consumer(reader)
        self._incarnations = 0

    def run(self, kills: int, faults: list[str]) -> Outcome:
        """So many kills, and these faults among them. What is not as it must be is in the outcome, not raised."""
        began = time.monotonic()
        self.folder.mkdir(parents=True)
        host, port = self.hbase.host, self.hbase.port
        with FaultProxy(host, port) as self.proxy, Servers(self.stack) as self.servers:
            self._set_up()
            try:
                self._play(kills, faults)
            except (Broken, TimeoutError) as broken:
                self.out.failure = f"{broken} (seed {self._seed}, {self.folder})"
                self.out.check = broken.check if isinstance(broken, Broken) else "stands still"
            finally:
                self.crew.end_all(signal.SIGKILL)
                if self._devices is not None:
                    self._devices.send(signal.SIGKILL)
                self._reader.close()
                self.out.starts = sum(consumer.starts for consumer in self.crew.consumers)
                self.out.seconds = time.monotonic() - began
        return self.out

    # --- what faults use -----------------------------------------------------------------------------------------

    def pump(self, seconds: float) -> None:
        """Time goes by, and whoever ends is started again."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.crew.tend()
            time.sleep(TICK)

    def wait(self, done: Callable[[], object], seconds: float, what: str) -> None:
        """As `pump`, until `done`. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s: {what}\n{self._said()}")
            self.crew.tend()
            time.sleep(TICK)

    def extra_consumer(self) -> Consumer:
        """A member that the crew knows nothing of."""
        settings = {key: value for key, value in self._settings.items() if key != "kafka.instance_id"}
        return Consumer(self._nursery, "extra", settings, self.folder, self._bug)

    def operator(self, *words: str) -> None:
        """A command that must succeed. Raises Broken."""
        done = self._command(words[0], *words[1:], bug=self._bug)
        self.wait(lambda: done.exit_code is not None, 120, f"{' '.join(words)} to end")
        if done.exit_code:
            said = f"`{' '.join(words)}` ended with {done.exit_code}:\n{done.tail()}"
            raise Broken("an operator's command fails", said)

    def change_commits(self, change: str) -> None:
        """`rewound`, `ahead` or `deleted`, once the group is empty."""
        self.wait_for_empty_group()
        if change == "deleted":
            self._admin.delete_consumer_groups([self._name])[self._name].result(30)
            return
        offset = 0 if change == "rewound" else 10**9
        places = [TopicPartition(self._name, number, offset) for number in range(PARTITIONS)]
        moved = ConsumerGroupTopicPartitions(self._name, places)
        self._admin.alter_consumer_group_offsets([moved])[self._name].result(30)

    def wait_for_empty_group(self) -> None:
        """Until brokers have forgotten every member that was killed."""

        def empty() -> bool:
            try:
                return not self._admin.describe_consumer_groups([self._name])[self._name].result(30).members
            except KafkaException:
                return False

        self.wait(empty, 60, "the group to be empty")

    def hdfs_admin(self, *words: str) -> None:
        dfsadmin(self.stack, *words)

    def recreate_topic(self) -> None:
        """All is judged first; then the topic goes while consumers read, and comes again, empty."""
        self._end_devices()
        self._drain()
        old = Cluster(self._kafka).incarnation()
        manifest = self._manifest
        self._admin.delete_topics([self._name], operation_timeout=30)[self._name].result(30)
        self.wait(self._is_gone, 60, "the topic to be gone")
        self.pump(self.draw.uniform(0.0, 2.0))
        self._make_topic()
        self._start_devices()
        self.pump(2.0)
        self.crew.end_all(signal.SIGTERM)  # what they said is what docs/operations.md says: start them again
        self.crew.asked_for_help.clear()
        self.crew.start()
        self._earlier.append((f"{old:08x}", manifest))

    # --- acts ----------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        kafka = self.stack.addresses.kafka
        assert kafka is not None
        self._kafka = Kafka(bootstrap=kafka, topic=self._name)
        self._settings = {
            "kafka.bootstrap": kafka,
            "kafka.topic": self._name,
            "kafka.group": self._name,
            "kafka.protocol": self._protocol,
            "kafka.session_timeout": f"{SESSION}s",
            "counters.store": str(HBaseAddress("127.0.0.1", self.proxy.port, self.hbase.prefix)),
            "counters.flush_age": "300ms",
            "counters.chunk_rows": "50",
            "counters.write_timeout": f"{WRITE_TIMEOUT}s",
            "counters.retry_wait": "100ms",
            "counters.retry_wait_max": "1s",
            "archive.root": f"{self.stack.addresses.hdfs}{self.archive_folder}",
            "archive.roll_age": "500ms",
            "archive.call_timeout": "5s",
            "archive.retry_wait": "100ms",
            "archive.retry_wait_max": "1s",
            "consume.commit_interval": "200ms",
            "log.format": "json",
        }
        self._earlier: list[tuple[str, Acknowledged]] = []
        self._make_topic()
        members = [
            Consumer(
                self._nursery,
                name,
                {**self._settings, **({"kafka.instance_id": name} if self._static else {})},
                self.folder,
                self._bug,
            )
            for name in (f"consumer-{number}" for number in range(self._consumers))
        ]
        self.crew = Crew(self._nursery, members, self.draw)

    def _play(self, kills: int, faults: list[str]) -> None:
        self._start_devices()
        self.crew.start()
        self.wait(lambda: sum(self._committed().values()) > 0, self._patience, "the first commits")
        script = [*faults, *["kill"] * kills]
        self.draw.shuffle(script)
        burst = 0
        for fault in script:
            self._tell(f"{fault} ({len(script)} in all)")
            FAULTS[fault].do(self)
            self.out.kills += fault == "kill"
            burst = burst + 1 if fault == "kill" else 0
            if fault == "kill" and burst % BURST:
                self.pump(self.draw.uniform(0.0, 1.5))
                continue
            self._recover(fault)
        self._end_devices()
        self._drain()
        if codes := {code for code in self.crew.end_all(signal.SIGTERM) if code}:
            raise Broken("no orderly end", f"consumers ended with {codes}, not 0:\n{self._said()}")
        self._judge()

    def _recover(self, fault: str) -> None:
        """Until what was acknowledged by now is durable in both sinks."""
        began, ends = time.monotonic(), self._manifest.ends()
        self._until_durable(ends, f"recovery from {fault}")
        self.out.recoveries.setdefault(fault, []).append(time.monotonic() - began)

    def _drain(self) -> None:
        ends = self._manifest.ends()
        self._until_durable(ends, f"the end {ends}")

    def _until_durable(self, ends: dict[int, int], what: str) -> None:
        help_wanted = self.crew.asked_for_help
        self.wait(lambda: self._covers(ends) or help_wanted, self._patience, what)
        if help_wanted:
            raise Broken("a consumer stops for good", f"consumers asked for help: {help_wanted}")

    def _judge(self) -> None:
        """Every incarnation of the topic against its manifest; the archive has all of them."""
        self._tell("judging")
        every = [*self._earlier, (f"{Cluster(self._kafka).incarnation():08x}", self._manifest)]
        sent = sum(sum(manifest.ends().values()) for _, manifest in every)
        self.out.reports += sent
        for incarnation, manifest in every:
            said = self._audit(manifest, incarnation)
            self.out.counters += int(said.get("counters", 0))
            problems = list(said["problems"])
            if said["records"] != sent:
                problems.append(f"{sent} reports were sent, {said['records']} are archived")
            if problems:
                some = "\n".join(map(str, problems[:10]))
                raise Broken("counters and archive", f"not exact, {len(problems)} problems:\n{some}")

    def _audit(self, manifest: Acknowledged, incarnation: str) -> dict[str, Any]:
        words = ["--complete", "--json", "--manifest", str(manifest.path), "--incarnation", incarnation]
        audit = self._command("audit", *words)
        self.wait(lambda: audit.exit_code is not None, 600, "the audit")
        try:
            found: dict[str, Any] = json.loads(audit.tail(1))
        except ValueError:
            raise Broken("audit", f"the audit failed:\n{audit.tail()}") from None
        return found

    # --- small steps ---------------------------------------------------------------------------------------------

    def _command(self, name: str, *words: str, bug: str | None = None) -> Process:
        direct = self._settings | {"counters.store": str(self.hbase), "counters.write_timeout": "60s"}
        settings = [item for key, value in direct.items() for item in ("--set", f"{key}={value}")]
        return self._nursery.start(name, [name, *words, *settings], self.folder / f"{name}.log", bug=bug)

    def _make_topic(self) -> None:
        brokers = len([name for name in self.stack.names if name.startswith("kafka")])
        topics.create(self._kafka, topics.Wanted(self._name, PARTITIONS, 3 if brokers == 3 else 1))

    def _is_gone(self) -> bool:
        try:
            Cluster(self._kafka).describe()
        except TopicMissing:
            return True
        return False

    def _start_devices(self) -> None:
        self._incarnations += 1
        self._manifest = Acknowledged(self.folder / f"manifest-{self._incarnations}.jsonl")
        self._devices = self._command(
            "simulate", "--rate", str(RATE), "--reports", "10000000", "--apps", "60", "--devices", "3000",
            "--malformed", "0.02", "--seed", str(self._seed), "--manifest", str(self._manifest.path), "--no-throttle",
        )  # fmt: skip

    def _end_devices(self) -> None:
        devices = self._devices
        assert devices is not None
        devices.send(signal.SIGTERM)
        self.wait(lambda: devices.exit_code is not None, 120, "the devices' end")
        if devices.exit_code:
            raise Broken("devices", f"the simulated devices ended with {devices.exit_code}:\n{devices.tail()}")

    def _covers(self, ends: dict[int, int]) -> bool:
        committed = self._committed()
        return all(committed.get(number, 0) >= end for number, end in ends.items())

    def _committed(self) -> dict[int, int]:
        """By partition; what an operator set beyond the log does not count."""
        asked = [TopicPartition(self._name, number) for number in range(PARTITIONS)]
        try:
            found = self._reader.committed(asked, timeout=5)
        except KafkaException:
            return {}
        return {place.partition: place.offset for place in found if place.error is None and 0 <= place.offset < 10**9}

    def _said(self) -> str:
        said = [f"{c.name}:\n{c.process.tail(6)}" for c in self.crew.consumers if c.process is not None]
        return "\n".join([*self.servers.failures[-3:], *said])
