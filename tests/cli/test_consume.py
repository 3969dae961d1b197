"""flurry-fast consume: refused before anything starts, with the place, the key and the reason."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from flurry_fast.cli import main


@pytest.fixture(autouse=True)
def _own_folder_and_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command sets up logging for its process: put it back for the tests that follow."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def consume(*flags: str) -> Result:
    return CliRunner().invoke(main, ["consume", *flags])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--set", "kafka.topc=x"), "--set kafka.topc: kafka.topc: unknown setting, did you mean topic."),
        (("--sinks", "counters,hbase"), "consume.sinks: consume.sinks.1: should be 'counters' or 'archive'."),
        (("--config", "none.toml"), "none.toml: can not be read (No such file or directory)."),
        (("--set", "topic"), "'topic' is not KEY=VALUE"),
        (("--set", "plan.path=none.toml"), "none.toml: can not be read"),
    ],
)
def test_bad_settings_exit_with_2_and_leave_nothing_behind(flags: tuple[str, ...], words: str, tmp_path: Path) -> None:
    result = consume(*flags)
    assert result.exit_code == 2
    assert words in result.output
    assert not list(tmp_path.iterdir())


def test_without_a_broker_one_sentence_says_so(tmp_path: Path) -> None:
    result = consume("--set", "kafka.connect_timeout=100ms", "--set", "log.level=error")
    assert result.exit_code == 1
    assert result.output.startswith("flurry-fast: No embedded broker is running")
    assert result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())
