"""Without a real cluster: what the commands say of the embedded broker, and of brokers that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flurry_fast.broker import EmbeddedBroker
from flurry_fast.cli import main


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, [*words])


def test_the_embedded_broker_makes_its_own_topics(tmp_path: Path) -> None:
    refused = run("topics", "create")
    assert refused.exit_code == 2
    assert "flurry-fast broker --topic reports:PARTITIONS" in refused.output
    with EmbeddedBroker(tmp_path / "broker.json", {"reports": 2}):
        there = ("--set", f"kafka.broker_file={tmp_path / 'broker.json'}")
        assert run("topics", "check", *there).exit_code == 0
        assert json.loads(run("config", "check", "--cluster", "--json", *there).output)["ok"]
        assert run("topics", "check", *there, "--set", "kafka.topic=other").exit_code == 1


def test_brokers_that_are_not_there_are_a_finding() -> None:
    nobody = ("--set", "kafka.bootstrap=127.0.0.1:1", "--set", "kafka.request_timeout=200ms")
    found = run("config", "check", "--cluster", "--json", *nobody, "--set", "kafka.librdkafka.log_level=0")
    assert found.exit_code == 1
    assert {f["level"] for f in json.loads(found.stdout)["findings"]} == {"unknown"}


def test_files_alone_as_json() -> None:
    assert json.loads(run("config", "check", "--json").output) == {"ok": True, "changed": 0}


@pytest.mark.parametrize("words", [("--retention", "3x"), ("--setting", "novalue"), ("--retention-bytes", "?")])
def test_bad_words(words: tuple[str, str]) -> None:
    assert run("topics", "create", *words).exit_code == 2


def test_more_in_sync_than_there_are() -> None:
    refused = run("topics", "create", "--set", "kafka.bootstrap=127.0.0.1:1", "--replication", "1", "--min-insync", "2")
    assert refused.exit_code == 2
    assert "no producer would be acknowledged" in refused.output
