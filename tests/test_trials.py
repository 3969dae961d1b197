"""Seeded bugs and fail points: an ordinary build has none, the one for tests has them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from flurry_fast import _core, trials

from . import trial_build

ROOT = Path(__file__).parents[1]
PASSED = re.compile(r"fail_point\(([^)\n]*)\)")


def test_an_ordinary_build_has_no_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    if trials.ENABLED:
        pytest.skip("this is the build for tests")
    assert not [name for name in dir(_core) if "trial" in name]
    assert trials.bugs() == []
    with pytest.raises(ValueError, match="no bug 'no_skip_rule'"):
        trials.seed("no_skip_rule")
    heard: list[str] = []
    trials.on_fail_point(heard.append)
    trials.fail_point("decode.before")
    assert not trials.seeded("no_skip_rule")
    assert heard == []


SWITCHES = """
from flurry_fast import trials
assert trials.ENABLED and "no_skip_rule" in trials.bugs()
trials.seed("no_skip_rule")
assert trials.seeded("no_skip_rule") and not trials.seeded("another")
trials.seed(None)
assert not trials.seeded("no_skip_rule")
trials.on_fail_point(print)
trials.fail_point("somewhere")
try:
    trials.seed("unheard of")
except ValueError as error:
    print(error)
"""


def test_the_build_for_tests_has_them() -> None:
    done = trial_build.run(["-c", SWITCHES])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "somewhere\nno bug 'unheard of' can be put into this build\n"


def test_every_fail_point_is_listed_and_is_at_one_place() -> None:
    sources = [*(ROOT / "flurry_fast").rglob("*.py"), *(ROOT / "rust/src").rglob("*.rs")]
    sources += (ROOT / "rust/core/src").rglob("*.rs")
    found: Counter[str] = Counter()
    for source in sources:
        for arguments in PASSED.findall(source.read_text(encoding="utf-8")):
            found.update(re.findall(r'"([^"]*)"', arguments))
    assert sorted(found.elements()) == sorted(trials.POINTS)
