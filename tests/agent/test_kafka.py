"""Against a real broker: what was sent is what is there, and the manifest says so."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import google_crc32c
import pytest
from confluent_kafka import Message

from flurry_fast import _core
from flurry_fast.agent.job import DeliveryFailed, KafkaJob, OutputFailed
from flurry_fast.agent.run import Bounds
from flurry_fast.agent.simulator import Fleet, FleetSettings
from flurry_fast.agent.watch import State
from flurry_fast.broker import BrokerNotRunning
from flurry_fast.config.model import Kafka
from flurry_fast.kafka import TopicMissing
from flurry_fast.signals import stop_on_signals

FLEET = FleetSettings(seed=11, apps=40, start_ms=1_384_948_800_000, malformed=0.03, hostile=0.03)
ReadTopic = Callable[[], list[Message]]
Commit = Callable[[dict[int, int]], None]


class Quiet:
    """Remembers which group was waited for."""

    def __init__(self) -> None:
        self.waited_for: list[str] = []

    def due(self) -> bool:
        return True

    def show(self, state: State) -> None:
        if state.waiting_for is not None:
            self.waited_for.append(state.waiting_for)


def job(kafka: Kafka, reports: int = 1500, *, manifest: Path | None = None, group: str | None = None) -> KafkaJob:
    return KafkaJob(FLEET, None, Bounds(reports), kafka, manifest, group, 200_000)


def never() -> bool:
    return False


def test_the_manifest_is_what_the_topic_holds(kafka: Kafka, read_topic: ReadTopic, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    summary = job(kafka, manifest=manifest).run(never, Quiet())
    summary.check()
    lines = [json.loads(line) for line in manifest.read_bytes().splitlines()]
    messages = read_topic()
    assert len(lines) == len(messages) == summary.progress.reports == 1500
    by_place = {(line["partition"], line["offset"]): line for line in lines}
    for message in messages:
        line = by_place[message.partition(), message.offset()]
        payload = message.value() or b""
        assert line["crc32c"] == google_crc32c.value(payload)
        assert line["bytes"] == len(payload)
        assert line["timestamp_ms"] == message.timestamp()[1]
        assert line["key"].encode() == message.key()
        places = ("key", "partition", "offset", "timestamp_ms", "crc32c", "bytes")
        assert {name: value for name, value in line.items() if name not in places} == json.loads(
            _core.decode_json(payload)
        )
    sent = Fleet(FLEET).take(1500).payloads
    assert sorted(message.value() or b"" for message in messages) == sorted(sent)
    assert summary.as_dict()["foreign_offsets"] == 0
    assert len({message.partition() for message in messages}) == 3


def test_manifest_lines_of_a_partition_are_in_the_order_of_offsets(kafka: Kafka, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    job(kafka, manifest=manifest).run(never, Quiet())
    offsets: dict[int, list[int]] = {}
    for line in manifest.read_bytes().splitlines():
        found = json.loads(line)
        offsets.setdefault(found["partition"], []).append(found["offset"])
    assert all(found == list(range(len(found))) for found in offsets.values())


def test_the_same_key_always_meets_the_same_partition(kafka: Kafka, read_topic: ReadTopic) -> None:
    summary = job(kafka).run(never, Quiet())
    assert summary.deliveries is not None
    assert (summary.deliveries.acked, summary.deliveries.failed) == (1500, 0)
    partitions: dict[bytes, set[int]] = {}
    for message in read_topic():
        key = message.key()
        assert isinstance(key, bytes)
        partitions.setdefault(key, set()).add(message.partition() or 0)
    assert all(len(found) == 1 for found in partitions.values())
    # Kafka's own murmur2 of this key, modulo 3, as Java's producer computes it.
    for key, found in partitions.items():
        assert found == {murmur2(key) % 3}


def murmur2(data: bytes) -> int:
    """org.apache.kafka.common.utils.Utils.murmur2, made positive."""
    mixer, mask = 0x5BD1E995, 0xFFFFFFFF
    state = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * mixer & mask
        word = (word ^ word >> 24) * mixer & mask
        state = state * mixer & mask ^ word
    if whole < len(data):
        state = (state ^ int.from_bytes(data[whole:], "little")) * mixer & mask
    state = (state ^ state >> 13) * mixer & mask
    return (state ^ state >> 15) & 0x7FFFFFFF


def test_a_throttled_run_waits_for_the_group(kafka: Kafka, read_topic: ReadTopic, commit: Commit) -> None:
    """The group does not exist when the run begins, and then commits half of what is there, again and again."""
    watcher = Quiet()
    results: list[object] = []
    limited = job(kafka, 1500, group=kafka.group)
    thread = threading.Thread(target=lambda: results.append(limited.run(never, watcher)))
    thread.start()
    while kafka.group not in watcher.waited_for:
        thread.join(0.05)
        assert thread.is_alive()
    most = 0
    committed = dict.fromkeys(range(3), 0)
    while thread.is_alive():
        held: dict[int, int] = {}
        ends: dict[int, int] = {}
        for message in read_topic():
            partition, offset = message.partition() or 0, message.offset() or 0
            ends[partition] = offset + 1
            if offset >= committed[partition]:
                held[partition] = held.get(partition, 0) + len(message.value() or b"")
        most = max(most, *held.values(), 0)
        committed |= ends
        commit(ends)
        thread.join(0.1)
    assert len(results) == 1
    # One report may pass the bound, and a hostile one has up to 200 kB.
    assert 50_000 < most < 400_000
    assert sum(committed.values()) <= 1500
    assert len(read_topic()) == 1500


def test_what_was_there_before_counts_as_uncommitted(kafka: Kafka, commit: Commit) -> None:
    job(kafka, 600).run(never, Quiet())
    asked = iter([False, False, True])
    watcher = Quiet()
    summary = job(kafka, 100, group=kafka.group).run(lambda: next(asked, True), watcher)
    assert summary.progress.reports == 0
    assert summary.interrupted
    assert kafka.group in watcher.waited_for
    commit(dict.fromkeys(range(3), 600))
    assert job(kafka, 100, group=kafka.group).run(never, Quiet()).progress.reports == 100


def test_the_end_of_the_duration_ends_a_wait_too(kafka: Kafka, read_topic: ReadTopic) -> None:
    bounded = replace(job(kafka, group=kafka.group), bounds=Bounds(seconds=0.5))
    summary = bounded.run(never, Quiet())
    assert not summary.interrupted
    assert summary.waited
    assert summary.progress.reports == len(read_topic()) > 0


def test_failed_deliveries_are_counted_and_told(kafka: Kafka, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    short = kafka.model_copy(update={"librdkafka": {"message.max.bytes": 1200}})
    summary = job(short, manifest=manifest).run(never, Quiet())
    assert summary.deliveries is not None
    assert summary.deliveries.failed > 100
    assert set(summary.deliveries.errors) == {"MSG_SIZE_TOO_LARGE"}
    assert summary.deliveries.acked == 1500 - summary.deliveries.failed == len(manifest.read_bytes().splitlines())
    with pytest.raises(DeliveryFailed, match="reports failed") as failed:
        summary.check()
    assert failed.value.exit_code == 1


def test_a_signal_ends_a_run_cleanly(kafka: Kafka, read_topic: ReadTopic) -> None:
    endless = replace(job(kafka), bounds=Bounds(rate=2000))

    class Impatient(Quiet):
        def show(self, state: State) -> None:
            if state.reports >= 300 and not self.waited_for:
                self.waited_for.append("a signal")
                os.kill(os.getpid(), signal.SIGTERM)

    with stop_on_signals() as stopped:
        summary = endless.run(stopped, Impatient())
    assert summary.interrupted
    summary.check()
    assert 300 <= summary.progress.reports == len(read_topic())


def test_a_broker_that_is_not_there_and_a_missing_topic_are_told(kafka: Kafka, tmp_path: Path) -> None:
    with pytest.raises(BrokerNotRunning):
        job(kafka.model_copy(update={"broker_file": tmp_path / "none.json"})).run(never, Quiet())
    with pytest.raises(TopicMissing):
        job(kafka.model_copy(update={"topic": "nowhere"})).run(never, Quiet())
    with pytest.raises(OutputFailed):
        job(kafka, manifest=Path("/dev/full")).run(never, Quiet())
