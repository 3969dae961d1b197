"""flurry-fast plan show, diff, and what switch refuses. Switching itself: tests/operations, tests/consumer."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flurry_fast import _core
from flurry_fast.cli import main
from flurry_fast.operations.differences import differences
from flurry_fast.registry import Registry, State
from flurry_fast.stores.sqlite import SqliteStore

DEFAULT = files("flurry_fast").joinpath("plans/default.toml").read_text()
FIRST = _core.Plan.parse(DEFAULT)
OTHER = (
    DEFAULT.replace("max_ahead_ms = 600_000 ", "max_ahead_ms = 700_000 ")
    .replace('measures = ["sessions", "new_users"]\ncap = 1_000', 'measures = ["sessions", "duration"]\ncap = 7', 1)
    .replace('name = "language"', 'name = "tongue"')
)
SECOND = _core.Plan.parse(OTHER)


def run(*arguments: str | Path, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["plan", *map(str, arguments)], input=answer)


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The setting for a store in which the first plan is open."""
    made = SqliteStore(tmp_path / "counters.sqlite")
    Registry(made, "reports", lambda: 7).open(FIRST.id, FIRST.toml, 2)
    made.close()
    return f"--set=counters.store=sqlite:{tmp_path / 'counters.sqlite'}"


def close(store: str) -> None:
    """A switch is begun."""
    made = SqliteStore(Path(store.partition("sqlite:")[2]))
    registry = Registry(made, "reports", lambda: 7)
    state = registry.state()
    assert state is not None
    registry.replace(state, State(0, 0, FIRST.id, closing=SECOND.id), at_ms=1_700_000_000_000)
    made.close()


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    """Both plans as files."""
    for name, text in (("first.toml", DEFAULT), ("second.toml", OTHER)):
        (tmp_path / name).write_text(text)
    return tmp_path / "first.toml", tmp_path / "second.toml"


def test_the_open_plan_is_shown(store: str) -> None:
    shown = run("show", store)
    assert shown.exit_code == 0
    assert f"Plan {FIRST.id:08x}:" in shown.output
    assert "with the first consumer" in shown.output
    assert "device_model" in shown.output
    assert run("show", "--toml", store).output == DEFAULT
    found = json.loads(run("show", f"{FIRST.id:08x}", "--json", store).output)
    assert (found["open"], found["closing"]) == (f"{FIRST.id:08x}", None)
    assert found["plan"]["toml"] == DEFAULT
    assert found["plans"][0]["spans"] == [{"opened": {"revision": 1, "at_ms": None}, "closed": None}]


def test_a_switch_under_way_is_shown(store: str) -> None:
    close(store)
    assert f"A switch from plan {FIRST.id:08x} to {SECOND.id:08x} is under way" in run("show", store).output
    assert json.loads(run("show", "--json", store).output)["closing"] == f"{SECOND.id:08x}"


def test_a_plan_that_is_not_there(store: str) -> None:
    for name in ("deadbeef", "no-such-file.toml"):
        refused = run("show", name, store)
        assert refused.exit_code == 2
        assert f"There is no plan {name}. Name a file, `open`, or one of these ids: {FIRST.id:08x}." in refused.output


def test_two_files_are_compared_without_a_store(paths: tuple[Path, Path]) -> None:
    nowhere = "--set=counters.store=sqlite:/nowhere/at/all.sqlite"
    said = run("diff", *paths, nowhere)
    assert said.exit_code == 0
    assert said.output.splitlines() == [
        f"From plan {FIRST.id:08x} to plan {SECOND.id:08x}:",
        "  time.max_ahead_ms is 700000 instead of 600000: sessions far from their receive time may count in another"
        " hour than before.",
        "  tongue: counted from the switch on, empty before.",
        "  language: ends with the switch; what was counted stays.",
        "  country: 7 groups a block have a line of their own instead of 1,000; sums with (other) stay exact.",
        "  country: duration began with the switch; empty in sums that need both plans.",
        "  country: new_users ended with the switch; empty in sums that need both plans.",
    ]
    found = json.loads(run("diff", *paths, "--json", nowhere).output)
    assert found["changed"] == [
        {"rollup": "country", "cap": [1000, 7], "dimensions": None, "measures_added": ["duration"],
         "measures_removed": ["new_users"]}
    ]  # fmt: skip
    assert (found["added"], found["removed"], found["same"]) == (["tongue"], ["language"], False)


def test_a_file_is_compared_with_the_open_plan(store: str, paths: tuple[Path, Path]) -> None:
    assert "They are the same plan." in run("diff", "open", paths[0], store).output
    assert "tongue" in run("diff", f"{FIRST.id:08x}", paths[1], store).output


def test_what_readers_could_not_sum_is_said() -> None:
    other = _core.Plan.parse(DEFAULT.replace('dimensions = ["country"]', 'dimensions = ["country", "network"]'))
    assert any("country, network instead of country" in said for said in differences(FIRST, other).meaning())


def test_order_alone_is_another_plan() -> None:
    measures = '["sessions", "new_users"]'
    other = _core.Plan.parse(DEFAULT.replace(measures, '["new_users", "sessions"]'))
    found = differences(FIRST, other)
    assert (found.same, found.reordered) == (False, True)
    assert list(found.meaning()) == [
        "The rest differs in order only, which changes how blocks are stored and no number."
    ]


def test_rules_of_another_version_are_said() -> None:
    assert "another version" in next(differences(_core.Plan.registered(DEFAULT, 5), FIRST).meaning())


@pytest.mark.parametrize("arguments", [[], ["--abort", "--hand-over", "5"], ["--hand-over", "x"]])
def test_a_switch_wants_one_thing(arguments: list[str], store: str) -> None:
    assert run("switch", *arguments, store).exit_code == 2


def test_taking_back(store: str) -> None:
    refused = run("switch", "--abort", "--yes", store)
    assert (refused.exit_code, "No plan switch is under way" in refused.output) == (1, True)
    close(store)
    assert run("switch", "--abort", "--dry-run", store).exit_code == 0
    declined = run("switch", "--abort", store, answer="n\n")
    assert (declined.exit_code, "Nothing was changed" in declined.output) == (1, True)
    done = run("switch", "--abort", "--yes", "--json", store)
    assert json.loads(done.output) == {"plan": f"{FIRST.id:08x}", "opened": True, "revision": 3}
    assert json.loads(run("show", "--json", store).output)["closing"] is None
