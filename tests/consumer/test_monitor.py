"""Lag, the status file and the exported metrics; all of them move while the loop does not."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from clocks import ManualClock
from loopback import free_port
from prometheus_client.parser import text_string_to_metric_families

from flurry_fast.config.model import Metrics as MetricsSettings
from flurry_fast.consumer.monitor import Monitor
from flurry_fast.consumer.state import LoopState, PartitionState
from flurry_fast.errors import FlurryFastError, StoreUnavailable
from flurry_fast.metrics import METRICS, PREFIX, Metrics, serve
from flurry_fast.sinks.base import FlushReport, SinkStatus

ROOT = Path(__file__).parents[2]
SINKS = (
    SinkStatus("archive", False, 0, None, None, None, 2, 0),
    SinkStatus("counters", True, 9, 990.0, 995.0, "x", 3, 1),
)


class Log:
    """The broker's answer."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self.fail = False

    def __call__(self, partitions: set[int]) -> Mapping[int, int]:
        if self.fail:
            raise StoreUnavailable("no broker")
        return {number: self.ends[number] for number in partitions}


def state(durable: int, *, records: int = 0) -> LoopState:
    partition = PartitionState(durable + 5, durable, {"counters": durable, "archive": durable + 1}, {}, None)
    totals = {"sessions": 2 * records, "data_points": 3 * records, "base_reads": 1}
    return LoopState(
        "running", 1000.0, records, 10, held={"blocks": 77}, engine=totals, unreadable={"bad_crc": 4}, sinks=SINKS,
        partitions={0: partition}, rebalances={"assigned": 1}, last_record=1000.0,
    )  # fmt: skip


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def monitor(clock: ManualClock, log: Log, tmp_path: Path) -> Monitor:
    return Monitor(clock, log, bound=60.0, status_file=tmp_path / "run" / "status.json", budget=1000)


def test_lag_in_records_and_in_seconds(clock: ManualClock, log: Log, monitor: Monitor) -> None:
    monitor.publish(state(10))
    log.ends[0] = 10
    monitor.tick()
    assert (monitor.lag(), monitor.lag_seconds()) == ({0: 0}, {0: 0.0})
    for end in (12, 15):
        clock.now += 5
        log.ends[0] = end
        monitor.tick()
    clock.now += 20
    assert (monitor.lag(), monitor.lag_seconds()) == ({0: 5}, {0: 25.0})
    monitor.publish(state(12))
    assert (monitor.lag(), monitor.lag_seconds()) == ({0: 3}, {0: 20.0})
    log.fail = True
    clock.now += 100  # neither broker nor loop moves: the lag in seconds does
    monitor.tick()
    assert (monitor.lag(), monitor.lag_seconds()) == ({0: 3}, {0: 120.0})
    monitor.publish(state(15))
    assert (monitor.lag(), monitor.lag_seconds()) == ({0: 0}, {0: 0.0})


def test_a_sink_without_position_has_no_lag_in_records_but_one_in_seconds(
    clock: ManualClock, log: Log, monitor: Monitor
) -> None:
    unknown = PartitionState(5, None, {"counters": 5, "archive": None}, {"archive": "hole"}, None)
    monitor.publish(replace(state(0), partitions={0: unknown}))
    log.ends[0] = 9
    clock.now += 30
    monitor.tick()
    assert (monitor.lag(), monitor.lag_seconds()) == ({0: None}, {0: 30.0})


def test_the_status_file_is_one_json_line(clock: ManualClock, log: Log, monitor: Monitor, tmp_path: Path) -> None:
    log.ends[0] = 20
    monitor.publish(state(10, records=100))
    monitor.tick()
    clock.now += 2
    monitor.publish(state(10, records=300))
    monitor.tick()
    text = (tmp_path / "run" / "status.json").read_text()
    assert text.count("\n") == 1
    status = json.loads(text)
    assert status["partitions"] == {
        "0": {"next": 15, "log_end": 20, "committed": 10, "counters": 10, "archive": 11},
    }
    wanted = {"phase": "running", "records": 300, "bytes": 10, "data_points": 900, "unreadable": 4, "flushes": 3}
    wanted |= {"archive_files": 2, "lag": 10, "memory": 77, "records_per_second": 100.0, "healthy": True}
    assert {key: status[key] for key in wanted} == wanted
    monitor.publish(replace(state(10, records=300), phase="stopped"))
    monitor.close()
    assert json.loads((tmp_path / "run" / "status.json").read_text())["phase"] == "stopped"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["status.json"]


def scrape(url: str) -> dict[str, dict[tuple[str, ...], float]]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
            for family in families
        }


def test_metrics_and_health_are_served(clock: ManualClock, log: Log, monitor: Monitor) -> None:
    metrics = Metrics(monitor, clock)
    metrics.observe(FlushReport("counters", ok=False, seconds=0.2, rows=1, bytes=2))
    for _ in range(2):
        metrics.observe(FlushReport("archive", ok=True, seconds=0.2, rows=3, bytes=40))
    log.ends[0] = 20
    monitor.publish(replace(state(10, records=300), held={"blocks": 70, "frozen": 30}))
    monitor.tick()
    port = free_port()
    stop = serve(MetricsSettings(port=port), metrics, monitor)
    base = f"http://127.0.0.1:{port}"
    try:
        with pytest.raises(FlurryFastError, match="can not be served"):
            serve(MetricsSettings(port=port), metrics, monitor)
        found = scrape(base + "/metrics")
        assert {name for name in found if not name.endswith("_created")} == {PREFIX + name for name in METRICS}
        assert found["flurry_fast_lag_records"] == {("0",): 10}
        assert found["flurry_fast_unreadable"] == {("bad_crc",): 4}
        assert found["flurry_fast_held_bytes"] == {("blocks",): 70, ("frozen",): 30}
        assert found["flurry_fast_memory_bytes"] == {(): 100}
        assert found["flurry_fast_durable_offset"] == {("0", "counters"): 10, ("0", "archive"): 11}
        assert found["flurry_fast_written_rows"] == {("counters",): 0, ("archive",): 6}
        assert found["flurry_fast_written_bytes"] == {("counters",): 0, ("archive",): 80}
        assert found["flurry_fast_oldest_unwritten_seconds"] == {("archive",): 0, ("counters",): 10}
        results = {
            frozenset(labels) & {"counters", "archive", "failed", "ok"} for labels in found["flurry_fast_flush_seconds"]
        }
        assert results == {frozenset({"counters", "failed"}), frozenset({"archive", "ok"})}
        with urllib.request.urlopen(base + "/health", timeout=10) as answer:
            assert json.load(answer) == {"healthy": True, "problems": []}
        clock.now += 500
        assert scrape(base + "/metrics")["flurry_fast_last_turn_seconds"] == {(): 500}
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(base + "/health", timeout=10)
        assert caught.value.code == 503
        assert "loop has not turned" in caught.value.read().decode()
        caught.value.close()
    finally:
        stop()


def test_every_metric_is_in_the_manual() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name, (kind, _, words) in METRICS.items():
        full = PREFIX + name + ("_total" if kind == "counter" else "")
        assert f"| `{full}` |" in text, full
        assert words in text, full
