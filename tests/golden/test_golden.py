"""The counters of the corpus are the kept ones, by the engine and by the independent count."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from flurry_fast._core import PROTOCOL_MIX, REASONS

from ..reference.decoder import decode
from . import corpus, outcomes
from .__main__ import main
from .corpus import Record
from .outcomes import PLANS, Outcome

DEFINITION = Path(__file__).parents[2] / "docs" / "counters.md"

plans = pytest.mark.parametrize("plan", PLANS)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return corpus.read()


def kept(plan: str) -> Outcome:
    return outcomes.load(outcomes.file(plan).read_text())


@plans
def test_the_engine_gives_the_kept_counters(plan: str, records: list[Record]) -> None:
    found = outcomes.by_engine(PLANS[plan].read_text(), records)
    if (sentence := outcomes.stale(plan, kept(plan), found)) is not None:
        pytest.fail(sentence)
    assert outcomes.dump(found) == outcomes.file(plan).read_text()


@plans
def test_the_independent_count_gives_the_kept_counters(plan: str, records: list[Record]) -> None:
    found = outcomes.by_count(PLANS[plan].read_text(), records)
    if (sentence := outcomes.stale(plan, kept(plan), found)) is not None:
        pytest.fail(f"By the independent count: {sentence}")


def test_the_corpus_holds_every_kind_of_report(records: list[Record]) -> None:
    reports = [decode(record.payload) for record in records]
    assert {report["protocol"] for report in reports if report["outcome"] == "ok"} == set(PROTOCOL_MIX)
    rare = {"over_budget"}  # takes megabytes
    assert {report["outcome"] for report in reports} | rare >= {"ok", *(name for _, name, _ in REASONS)}
    zones = {session["timezone"] for report in reports for session in report.get("sessions", ())}
    assert zones >= set(corpus.ZONES) | {"Asia/Tokyo"}
    payloads = [record.payload for record in records if record.partition == 4]
    assert len(set(payloads)) < len(payloads) / 3, "reports that come again"


def test_the_plans_use_every_measure_and_reach_their_caps() -> None:
    everything = kept("everything")
    rollups = [line for line in everything.settings if ".dimensions = " in line or ".measures = " in line]
    used = {word for line in rollups for word in line.partition(" = ")[2].split()}
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", DEFINITION.read_text(), re.MULTILINE)
    assert used - {"reason"} == {word for row in rows for word in re.findall(r"\w+", row)}
    nonzero = {
        (rollup, place)
        for block in everything.blocks.values()
        for rollup, groups in block.items()
        for _, amounts in groups
        for place, amount in enumerate(amounts)
        if amount
    }
    assert len(nonzero) == sum(len(line.split()) - 2 for line in rollups if ".measures = " in line)
    capped = {rollup for block in everything.blocks.values() for rollup, groups in block.items() if is_capped(groups)}
    assert capped >= {"reports", "report", "session", "event", "parameter", "error"}
    assert not any(is_capped(groups) for block in kept("default").blocks.values() for groups in block.values())


def is_capped(groups: list[outcomes.Group]) -> bool:
    return groups[-1][0] == "(other)"


# --- changes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kept outcomes as copies that may be changed."""
    for plan in PLANS:
        (tmp_path / f"{plan}.json").write_text(outcomes.file(plan).read_text())
    monkeypatch.setattr(outcomes, "ROOM", tmp_path)
    return tmp_path


def test_other_results_do_not_take_the_place_of_the_kept_ones(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = kept("default")
    name, block = next((name, block) for name, block in before.blocks.items() if "app" in block)
    key, amounts = block["app"][0]
    changed = {**before.blocks, name: {**block, "app": [[key, [amounts[0] + 1, *amounts[1:]]]]}}
    other = replace(before, blocks=changed)
    (room / "default.json").write_text(outcomes.dump(other))
    contents = [path.read_text() for path in sorted(room.iterdir())]
    assert main([]) == 1
    said = capsys.readouterr().err
    assert "1 groups of counters changed under plan default, while SEMANTICS_VERSION is still" in said
    assert f"{name}: app [] was {[amounts[0] + 1, *amounts[1:]]}, is {amounts}" in said
    assert [path.read_text() for path in sorted(room.iterdir())] == contents
    assert outcomes.stale("default", other, before) == outcomes.objection("default", other, before) is not None
    assert outcomes.objection("default", replace(other, blocks={}), before) is not None


@pytest.mark.parametrize(
    "change",
    [{"semantics_version": 0}, {"tzdata": "1970a"}, {"settings": []}, {"corpus": ""}],
    ids=lambda c: next(iter(c)),
)
def test_what_results_depend_on_may_change_them(room: Path, change: dict[str, object]) -> None:
    outcome = kept("default")
    before = replace(outcome, blocks={}, **change)  # type: ignore[arg-type]
    assert outcomes.objection("default", before, outcome) is None
    assert f"another {next(iter(change))}: run" in str(outcomes.stale("default", before, outcome))
    (room / "default.json").write_text(outcomes.dump(before))
    assert main([]) == 0
    assert kept("default") == outcome


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--force"]) == 2
    assert "usage" in capsys.readouterr().err
