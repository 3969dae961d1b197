"""Real processes, a real broker, SQLite and a local archive: reports in, exact counters and a whole archive out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pipeline import Pipeline, caught_up, pipelines, wait_until

MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[MakePipeline]:
    with pipelines(tmp_path) as make:
        yield make


def test_captures_and_generated_reports_are_counted_and_archived(pipeline: MakePipeline, captures: list[Path]) -> None:
    line = pipeline()
    line.produce(0, bodies=[body.read_bytes() for body in captures if body.stat().st_size < 100_000])
    line.produce(500)
    consumer = line.consumer()
    wait_until(lambda: caught_up(line), "everything committed", consumer=consumer)
    line.produce(300)
    wait_until(lambda: caught_up(line), "the rest committed", consumer=consumer)
    status = json.loads((line.folder / "status.json").read_text())
    assert status["phase"] == "running"
    assert status["healthy"], status["problems"]
    assert status["records"] == line.sent
    assert consumer.stop() == 0, consumer.said()
    assert json.loads((line.folder / "status.json").read_text())["phase"] == "stopped"
    line.assert_exact()


def test_sigterm_drains_what_is_not_due_yet(pipeline: MakePipeline) -> None:
    slow = {
        "counters.flush_age": "1h",
        "counters.flush_age_min": "1h",
        "archive.roll_age": "1h",
        "kafka.session_timeout": "30s",
    }
    line = pipeline(overrides=slow)
    line.produce(400)
    consumer = line.consumer()

    def taken() -> bool:
        return bool(json.loads((line.folder / "status.json").read_text())["records"] == 400)

    wait_until(taken, "everything taken", consumer=consumer)
    assert json.loads((line.folder / "status.json").read_text())["flushes"] == 0
    assert consumer.stop() == 0, consumer.said()
    line.assert_exact()
    assert '"everything_written": true' in consumer.said()


def test_an_idle_partition_is_flushed_by_age(pipeline: MakePipeline) -> None:
    line = pipeline(partitions=1)
    consumer = line.consumer()
    line.produce(1)
    wait_until(lambda: caught_up(line), "one lonely report", consumer=consumer)
    assert consumer.stop() == 0
    line.assert_exact()


def test_two_consumers_share_and_hand_over(pipeline: MakePipeline) -> None:
    line = pipeline(partitions=6)
    first = line.consumer("first", **{"consume.status_file": str(line.folder / "first.json")})
    end = line.keep_producing(200)
    try:
        wait_until(lambda: owned(line.folder / "first.json") == 6, "the first owns all", consumer=first)
        second = line.consumer("second", **{"consume.status_file": str(line.folder / "second.json")})
        wait_until(lambda: owned(line.folder / "second.json") == 3, "the second owns half", consumer=second)
        wait_until(lambda: owned(line.folder / "first.json") == 3, "the first gave half", consumer=first)
        assert first.stop() == 0, first.said()
        wait_until(lambda: owned(line.folder / "second.json") == 6, "the second owns all", consumer=second)
    finally:
        end()
    assert second.stop() == 0, second.said()
    third = line.consumer("third")
    wait_until(lambda: caught_up(line), "the rest", consumer=third)
    assert third.stop() == 0
    line.assert_exact()
    for consumer in (first, second):
        assert '"event": "partitions lost"' not in consumer.said()


def owned(path: Path) -> int:
    status = json.loads(path.read_text())
    return sum(p["counters"] is not None for p in status["partitions"].values())


def test_counters_and_archive_run_apart_in_groups_of_their_own(pipeline: MakePipeline) -> None:
    line = pipeline(overrides={"consume.sinks": "archive", "kafka.group": "archive"})
    line.produce(200)
    archive = line.consumer("archive")
    wait_until(lambda: caught_up(line), "the archive", consumer=archive)
    counters = line.consumer("counters", **{"consume.sinks": "counters", "kafka.group": "counters"})
    (line.folder / "status.json").unlink()
    assert archive.stop() == 0
    wait_until(lambda: caught_up(line), "the counters", consumer=counters)
    assert counters.stop() == 0
    line.assert_exact()


def test_an_archive_that_is_added_later_refuses_and_counters_go_on(pipeline: MakePipeline) -> None:
    line = pipeline(overrides={"consume.sinks": "counters"})
    line.produce(100)
    counters = line.consumer("counters")
    wait_until(lambda: caught_up(line), "the counters", consumer=counters)
    assert counters.stop() == 0
    line.produce(100)
    both = line.consumer("both", **{"consume.sinks": "counters,archive"})

    def counted() -> bool:
        status = json.loads((line.folder / "status.json").read_text())
        return {int(n): p["counters"] for n, p in status["partitions"].items() if p["counters"]} == line.truth.ends()

    wait_until(counted, "the counters go on", consumer=both)
    status = json.loads((line.folder / "status.json").read_text())
    assert not status["healthy"]
    assert "hole that nobody recorded" in status["problems"][0]
    assert both.stop() == 0
    assert line.compare_counters().exact
    assert line.archived() == {}


def test_counters_that_are_added_to_an_archive_begin_at_its_origin(pipeline: MakePipeline) -> None:
    line = pipeline(overrides={"consume.sinks": "archive"})
    line.produce(150)
    archive = line.consumer("archive")
    wait_until(lambda: caught_up(line), "the archive", consumer=archive)
    assert archive.stop() == 0
    (line.folder / "status.json").unlink()
    line.produce(150)
    both = line.consumer("both", **{"consume.sinks": "counters,archive"})
    wait_until(lambda: caught_up(line), "both", consumer=both)
    assert both.stop() == 0
    line.assert_exact()


def test_another_plan_is_refused_with_the_way_out(pipeline: MakePipeline) -> None:
    line = pipeline()
    line.produce(50)
    consumer = line.consumer()
    wait_until(lambda: caught_up(line), "everything", consumer=consumer)
    assert consumer.stop() == 0
    plan = line.folder / "plan.toml"
    plan.write_text('[[rollup]]\nname = "app"\ndimensions = []\nmeasures = ["sessions"]\n')
    other = line.consumer("other", **{"plan.path": str(plan)})
    assert other.process.wait(60) == 4
    assert "is counted with plan" in other.said()
    assert "flurry-fast plan switch" in other.said()
    assert "Traceback" not in other.said()


def test_a_broker_that_starts_anew_is_a_new_incarnation(pipeline: MakePipeline) -> None:
    line = pipeline(partitions=2)
    line.produce(100)
    consumer = line.consumer()
    wait_until(lambda: caught_up(line), "everything", consumer=consumer)
    assert consumer.stop() == 0
    line.assert_exact()
    line.close()
    again = Pipeline(line.folder, partitions=2)
    try:
        (line.folder / "status.json").unlink()
        again.produce(60)
        second = again.consumer("second")
        wait_until(lambda: caught_up(again), "the new topic", consumer=second)
        assert second.stop() == 0
        comparison = again.compare_counters()
        assert comparison.exact
        assert comparison.other_cells > 0  # the first incarnation's cells are all still there
    finally:
        again.close()


def test_a_locked_store_only_delays(pipeline: MakePipeline) -> None:
    line = pipeline(overrides={"counters.write_timeout": "100ms"})
    line.produce(100)
    consumer = line.consumer()
    wait_until(lambda: caught_up(line), "a first flush", consumer=consumer)
    lock = sqlite3.connect(line.folder / "counters.sqlite", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    line.produce(200)

    def failing() -> bool:
        return bool(json.loads((line.folder / "status.json").read_text())["flush_failures"] >= 2)

    wait_until(failing, "flushes fail", consumer=consumer)
    lock.execute("ROLLBACK")
    lock.close()
    wait_until(lambda: caught_up(line), "everything after all", consumer=consumer)
    assert consumer.stop() == 0
    line.assert_exact()
