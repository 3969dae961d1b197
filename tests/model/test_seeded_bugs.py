"""Every bug that can be put into the product is noticed by the model, and the product without one is not accused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trial_build

from flurry_fast import trials

BOUND = 1500  # schedules; most bugs need a handful
PAGE = trial_build.ROOT / "docs/exactness.md"


@pytest.fixture(scope="module")
def catches() -> list[dict[str, Any]]:
    """What the hunt says of every bug, and of the same schedules without one."""
    arguments = ["--json", "--until-killed", "--schedules", str(BOUND), "--jobs", "2"]
    done = trial_build.run(["-m", "model.hunt", *arguments], trial_build.ROOT / "tests")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found, done.stderr
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", sorted(trials.BUGS))
def test_a_seeded_bug_is_noticed(bug: str, catches: list[dict[str, Any]]) -> None:
    (catch,) = [catch for catch in catches if catch["bug"] == bug]
    assert catch["first"] is not None, f"{BOUND} schedules did not notice it"


def test_without_a_bug_the_same_schedules_notice_nothing(catches: list[dict[str, Any]]) -> None:
    controls = [catch for catch in catches if catch["bug"] is None]
    assert {catch["scenario"] for catch in controls} == {catch["scenario"] for catch in catches if catch["bug"]}
    assert [catch for catch in controls if catch["noticed"]] == []


def test_every_bug_of_the_native_code_is_listed() -> None:
    code = "from flurry_fast import _core, trials; print(sorted(set(_core._trial_bugs()) - set(trials.BUGS)))"
    assert trial_build.run(["-c", code]).stdout == "[]\n"


def test_the_page_has_them_all() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = page.partition("<!-- seeded bugs")[2].partition("<!-- end of seeded bugs")[0]
    missing = [bug for bug, does in trials.BUGS.items() if f"| {bug.replace('_', ' ')} | {does} |" not in rows]
    assert missing == [], "make the table anew: python -m model.hunt --write docs/exactness.md"
