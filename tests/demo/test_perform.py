"""What the demo finds where it runs: real reports, or none; and how its user calls it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flurry_fast.demo import perform
from flurry_fast.demo.perform import CAPTURES, CapturesMissing, find_captures, next_steps, program
from flurry_fast.demo.tally import Comparison
from flurry_fast.demo.verdict import Audit, Verdict
from flurry_fast.demo.workspace import Workspace


def test_takes_the_captures_of_the_checkout_or_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_captures(None) == CAPTURES
    assert find_captures(CAPTURES) == CAPTURES
    monkeypatch.setattr(perform, "CAPTURES", tmp_path / "nowhere")
    assert find_captures(None) is None
    with pytest.raises(CapturesMissing, match="holds no captures"):
        find_captures(tmp_path)


def test_names_the_program_as_it_can_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "bin" / "flurry-fast"
    installed.parent.mkdir()
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(installed), "demo"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == [str(installed)]
    monkeypatch.setenv("PATH", str(installed.parent))
    assert program() == ["flurry-fast"]
    monkeypatch.setattr(sys, "argv", ["/somewhere/flurry_fast/__main__.py", "demo"])
    assert program() == [sys.executable, "-m", "flurry_fast"]


def test_names_no_app_where_nothing_was_counted() -> None:
    steps = next_steps(Workspace(Path("run")), None)
    assert not any("counters" in words for words, _ in steps)
    assert any("audit" in words for words, _ in steps)


def test_nothing_compared_is_no_success() -> None:
    verdict = Verdict(Comparison(), Audit(True, ""))
    assert not verdict.exact
    assert verdict.sentences()[0] == "There were no counters to compare."


def test_says_what_is_wrong(tmp_path: Path) -> None:
    found = Comparison(reports=10, blocks=2, counters=30, apps=1, wrong=12, differences=[f"d{n}" for n in range(12)])
    verdict = Verdict(found, Audit(False, "block 7 differs\n"), [1.5])
    said = verdict.sentences()
    assert said[0] == "12 differences in 30 counters in 2 blocks of 1 apps:"
    assert "  d9" in said
    assert "  d10" not in said
    assert said[-1] == "block 7 differs"
    verdict.save(tmp_path / "verdict.json")
    assert '"exact": false' in (tmp_path / "verdict.json").read_text()
