"""What the benchmark makes of figures: verdicts, the report, the subset of a quick run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import run
from bench.part import Part, show
from bench.report import write_report
from bench.rounds import interleave
from bench.targets import TARGETS, Target


def test_a_ratio_is_held_against_its_aim() -> None:
    assert Target("most", 9, "").met(9)
    assert not Target("most", 9, "").met(9.01)
    assert Target("least", 40, "").met(40)
    assert not Target("least", 40, "").met(39.9)
    lines = run.verdicts({"aggregate_vs_crc": 10.0, "aggregate_vs_python": 41.0, "of_no_aim": 1.0})
    assert lines[2].endswith("not reached |")
    assert lines[3].endswith("| reached |")
    assert lines[4].endswith("|  |  |")


def test_contenders_take_turns_and_slow_ones_fewer() -> None:
    seen: list[str] = []

    def contender(name: str, seconds: list[float]) -> Any:
        def once() -> tuple[float, float]:
            seen.append(name)
            return seconds.pop(0), 9.0

        return once

    quick, slow = contender("quick", [3.0, 1.0, 2.0, 5.0]), contender("slow", [8.0, 7.0])
    found = interleave("test", {"quick": quick, "slow": slow}, 4, ["slow"])
    assert seen == ["quick", "slow", "quick", "quick", "slow", "quick"]
    assert found["quick"].least == 1.0
    assert found["slow"].figures(1000) == {
        "rounds": 2,
        "ns_per_report": 7e6,
        "median_ns_per_report": 7.5e6,
        "seconds": 9.0,
    }


def _result(name: str, figures: list[dict[str, Any]], ratios: dict[str, float]) -> dict[str, Any]:
    part = Part(name, {"reports": 5}, figures, ratios, ["a note"])
    environment = {
        "command": f"python -m bench.{name}",
        "date": "2026-11-27T21:20:00+00:00",
        "commit": "abc1234",
        "load_before": [0.5, 1.0, 2.0],
        "load_after": [1.5, 1.0, 2.0],
    }
    return {"environment": environment} | vars(part)


def test_a_report_has_every_part_and_its_charts(tmp_path: Path) -> None:
    kernels = [
        {"name": "five", "title": "ours", "ns_per_report": 800.0},
        {"name": "flat", "title": "Java", "ns_per_report": 2e3},
    ]
    scaling = [
        {"name": f"{kind} {at}", "kind": kind, "at": at, "cpu_s_per_million_points": 0.1}
        for kind in ("apps", "partitions")
        for at in (1, 8)
    ]
    share = {"name": "consumer", "title": "ours", "cores": 1.0}
    moment = {"seconds": 1.0, "million_points_per_s": 1.0, "resident_mb": 5.0, "buffers_mb": 2.0}
    flush = {"name": "steady 1", "base_reads_per_report": 0.1, "rows_per_report": 0.2, "rss_mb": 9.0}
    kill = {"way": "static", "first": 1.0, "every": 2.0, "fresh": 3.0}
    parts = {
        "kernels": _result("kernels", kernels, {"aggregate_vs_java_fast": 2.5}),
        "scaling": _result("scaling", scaling, {}),
        "whole": _result("whole", [share, share | {"name": "beside_consumer"}], {}) | {"series": [moment]},
        "latency": _result("latency", [{"name": "50 %"}], {}) | {"series": [{"percent": 50, "quantiles": [0.1] * 103}]},
        "recovery": _result("recovery", [{"name": "static"}], {}) | {"series": [kill]},
        "steady": _result("steady", [flush, flush | {"name": "replaced 1"}], {}),
    }
    latest = {
        "environment": {"command": "python -m bench.run"},
        "ratios": {"aggregate_vs_java_fast": 2.5},
        "parts": parts,
    }
    write_report(latest, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "`python -m bench.steady` (2026-11-27 21:20 UTC, commit abc1234, load 0.5 before, 1.5 after)" in text
    assert "| `aggregate_vs_java_fast` | 2.5 | ≥ 2.5 | reached |" in text
    assert show(Part("kernels", {"reports": 5}, kernels, {"aggregate_vs_java_fast": 2.5}, ["a note"])) in text
    charts = ("kernels", "scaling-apps", "scaling-partitions", "whole-time", "whole-cores", "latency", "recovery")
    for chart in (*charts, "steady"):
        assert f"]({chart}.svg)" in text
        assert (tmp_path / f"{chart}.svg").read_text().startswith("<?xml")
        assert (tmp_path / f"{chart}.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_takes_the_figures_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(run, "DOCS", tmp_path / "docs")
    (tmp_path / "quick-kernels.json").write_text(json.dumps(_result("kernels", [], {"decode_vs_crc": 4.0})))
    monkeypatch.setattr("sys.argv", ["bench.run", "--quick", "--resume", "--parts", "kernels"])
    run.main()
    latest = json.loads((tmp_path / "docs/latest.json").read_text())
    assert latest["ratios"] == {"decode_vs_crc": 4.0}
    assert latest["environment"]["cpu"]
    assert "| `decode_vs_crc` | 4 | ≤ 4.2 | reached |" in capsys.readouterr().out


def test_every_aim_is_somebodys_ratio() -> None:
    """A ratio that was renamed would never be held against its aim again."""
    sources = "".join(path.read_text() for path in Path(run.__file__).parent.glob("*.py") if path.name != "targets.py")
    made = {"topic_to_counters_vs_python", "topic_to_counters_vs_java_stream"}  # f"topic_to_counters_vs_{name}"
    made.add("hbase_write_vs_happybase")  # f"hbase_{verb}_vs_{other}{suffix}"; tests/bench/test_real_parts.py has it
    assert [name for name in TARGETS if f'"{name}"' not in sources and name not in made] == []
