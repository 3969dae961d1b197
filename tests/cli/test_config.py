"""flurry-fast config, as a user runs it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flurry_fast.cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(main, ["config", *args])


def test_init_check_show(run) -> None:  # type: ignore[no-untyped-def]
    assert run("init").exit_code == 0
    again = run("init")
    assert again.exit_code == 2
    assert "flurry-fast.toml: exists already" in again.output
    assert run("check").exit_code == 0
    with Path("flurry-fast.toml").open("a") as file:
        file.write("[kafak]\n")
    bad = run("check")
    assert bad.exit_code == 2
    assert bad.output == "flurry-fast: flurry-fast.toml: kafak: unknown setting, did you mean kafka.\n"


def test_show_masks_secrets_and_names_origins(run) -> None:  # type: ignore[no-untyped-def]
    flags = ["--set", "kafka.librdkafka.sasl.password=hunter2", "--set", "kafka.topic=t"]
    text = run("show", *flags)
    assert text.exit_code == 0
    assert "hunter2" not in text.output
    shown = json.loads(run("show", "--json", *flags).output)
    assert shown["kafka.librdkafka.sasl.password"]["value"] == "********"
    assert shown["kafka.topic"] == {"value": "t", "origin": "--set kafka.topic"}
    assert shown["consume.batch_bytes"] == {"value": 16777216, "origin": "default"}
    assert shown["consume.sinks"]["value"] == ["counters", "archive"]


def test_a_named_file_must_exist(run) -> None:  # type: ignore[no-untyped-def]
    result = run("check", "--set", "plan.path=nowhere.toml")
    assert result.exit_code == 2
    assert "plan.path: there is no file nowhere.toml" in result.output
