"""The parts that need real servers run, with tiny sizes, and give what they promise; and how they judge."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench import hbase_write, latency, recovery, steady, whole
from bench.contenders.hbase_client import Load, digest
from bench.visible import Latency, Probe, Reader
from bench.watch import Sample, series, shares
from flurry_fast.stack import Stack

SMALL = ("--partitions", "2", "--apps", "300")
Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Runs a part as a command line does; what it wrote as JSON."""

    def run(part: ModuleType, *words: str) -> dict[str, Any]:
        file = tmp_path / "part.json"
        argv = [part.__name__, "--stack-dir", str(stack.folder.root), "--json", str(file), *words]
        monkeypatch.setattr("sys.argv", argv)
        part.main()
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    return run


def test_the_whole_pipeline(start: Start) -> None:
    words = ("--minutes", "0.02", "--warm-up", "0", "--rehearsal", "200", "--reports", "3000", "--audit", "2")
    found = start(whole, *words, *SMALL)
    assert found["ratios"]["whole_million_points_per_s"] >= 0
    assert found["ratios"]["whole_rss_gb"] > 0.02
    names = {row["name"] for row in found["figures"]}
    assert {"consumer", "kafka1", "hmaster", "thrift", "nn", "dn1", "others"} <= names
    assert any("are those of the independent count" in note for note in found["notes"])


def test_latency_at_a_level(start: Start) -> None:
    words = ("--seconds", "3", "--levels", "50", "--capacity", "400")
    found = start(latency, *words, *SMALL)
    (row,) = found["figures"]
    assert row["probes"] > 10
    assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["p999_ms"] <= row["most_ms"]
    assert found["ratios"]["latency_p99_s_at_half_load"] == found["ratios"]["latency_p99_s_at_50"]


def test_recovery_of_a_killed_consumer(start: Start) -> None:
    words = ("--rounds", "1", "--ways", "static", "--rate", "300", "--settle", "2", "--pause", "5")
    found = start(recovery, *words, *SMALL)
    (row,) = found["figures"]
    assert row["kills"] == 1
    assert 0 < row["first_worst_s"] <= row["every_worst_s"]
    assert row["fresh_worst_s"] > 0


def test_steady_state_flush_by_flush(start: Start) -> None:
    words = ("--minutes", "0.1", "--replaced", "0.1", "--rate", "300", "--flush", "1")
    found = start(steady, *words, *SMALL)
    rows = {row["name"]: row for row in found["figures"]}
    assert {"steady 1", "steady 2", "replaced 1"} <= rows.keys()
    assert all(row["rows_per_report"] > 0 for row in rows.values())
    assert rows["replaced 1"]["base_reads_per_report"] > 0
    assert found["ratios"]["steady_base_reads_per_report"] == 0
    assert found["ratios"]["steady_rss_gb"] > 0.02


def test_clients_of_hbase_put_and_read_the_same_cells(start: Start) -> None:
    some = ("ours", "happybase", "thriftpy2", "java_mutator")
    found = start(hbase_write, "--reports", "200", "--rounds", "1", "--loads", "blocks", "--only", *some)
    rows = {row["name"] for row in found["figures"]}
    assert rows == {f"{name}_{what}_blocks" for name in some for what in ("put", "get")} - {"java_mutator_get_blocks"}
    wanted = {"hbase_write_vs_happybase", "hbase_write_vs_java", "hbase_read_vs_happybase", "position_ms_at_once"}
    assert wanted <= found["ratios"].keys()


# --- how they judge --------------------------------------------------------------------------------------------------


def test_a_load_is_the_same_in_a_file(tmp_path: Path) -> None:
    load = hbase_write.make_load("80", 20)
    load.save(tmp_path / "load")
    again = Load.read(tmp_path / "load")
    assert again.pairs == load.pairs
    assert digest(reversed(again.pairs)) == digest(load.pairs)
    assert digest(again.pairs[1:]) != digest(load.pairs)


def test_quantiles_are_of_what_was_seen() -> None:
    found = Latency.of(number / 1000 for number in range(1000, 0, -1))
    assert (found.probes, found.p50, found.p99, found.p999, found.most) == (1000, 0.501, 0.991, 1.0, 1.0)


def test_a_report_is_visible_from_the_first_answer_whose_block_holds_it() -> None:
    reader = Reader.__new__(Reader)
    reader._ends = {("app", 7, 1): ([10.0, 11.0], [5, 9])}  # type: ignore[assignment]
    seen = [reader.seen(Probe(0.0, "app", 1, offset, 7)) for offset in (4, 5, 8, 9)]
    assert seen == [10.0, 11.0, 11.0, None]
    assert reader.seen(Probe(0.0, "app", 0, 1, 7)) is None


def test_a_kill_is_judged_by_what_was_sent_after_it() -> None:
    """Two partitions, a report each every half second; visible 1 s later, but for an outage from 20 to 26."""
    probes = [Probe(at / 2, "app", at % 2, at, 7) for at in range(80)]

    def moment(probe: Probe) -> float:
        usual = probe.due + 1.0
        return usual if usual <= 20 or usual >= 26 else 26.0 + probe.partition

    (kill,) = recovery.judge(probes, [moment(probe) for probe in probes], [20.0], 10.0)
    assert (kill.first, kill.every, kill.fresh) == (6.0, 6.5, 7.0)
    unhurt = [probe.due + 1.0 for probe in probes]
    assert recovery.judge(probes, unhurt, [20.0], 10.0) == [recovery.Kill(1.5, 2.0, 0.0)]


def sample(seconds: float, records: int, **cpu: float) -> Sample:
    """Twice as many data points as records, all durable but ten."""
    busy = 2 * sum(cpu.values())
    return Sample(seconds, 100 + seconds, records, 2 * records, records - 10, 0, 0, 0, 10**6, cpu, busy)


def test_shares_of_the_processor() -> None:
    first, last = sample(0.0, 10, consumer=1.0, kafka1=1.0), sample(10.0, 1_000_010, consumer=6.0, kafka1=2.0)
    rows = shares(first, last)
    assert [(row["name"], row["cpu_s"], row["us_per_report"]) for row in rows] == [
        ("consumer", 5.0, 5.0),
        ("kafka1", 1.0, 1.0),
        ("others", 6.0, 6.0),
    ]
    (line,) = series([first, first, last])
    assert line["million_points_per_s"] == pytest.approx(0.2)
    before, after = Counter(records=10, base_reads=1), Counter(records=110, base_reads=6)
    stretch = whole.Stretch(first, last, before, after)
    assert stretch.million_points_per_s == pytest.approx(0.2)
    assert stretch.durable_million_points_per_s == pytest.approx(0.2)
    assert stretch.per_report("base_reads") == 0.05
