"""flurry-fast stack where there is none, or can be none."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flurry_fast.cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    for name in ("FLURRY_FAST_STACK_DIR", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLURRY_FAST_STACK_CACHE", str(tmp_path / "cache"))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, ["stack", *words])

    return invoke


@pytest.mark.parametrize("words", [("status",), ("logs", "nn"), ("kill", "nn"), ("start", "nn")])
def test_there_is_no_stack(run, tmp_path: Path, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    result = run(*words)
    assert result.exit_code == 1
    assert result.output == (
        f"flurry-fast: There is no stack in {tmp_path}/data/stack. Start one with `flurry-fast stack up`.\n"
    )
    assert not (tmp_path / "data").exists()


def test_down_where_nothing_runs(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = run("down")
    assert result.exit_code == 0
    assert result.output == "No stack runs in data/stack.\n"
    assert not (tmp_path / "data").exists()


def test_up_without_java_and_maven(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("up", "--base-port", "20000")
    assert result.exit_code == 1
    assert "flurry-fast: Java 17 to 22 is missing. Install one" in result.output
    assert "Maven (mvn) is missing; it brings the jars of kafka and hdfs and hbase once." in result.output
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "data" / "stack").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--no-hdfs", "--hbase-root", "hdfs"), "HBase on HDFS needs HDFS"),
        (("--no-hdfs", "--no-hbase", "--no-kafka"), "A stack without Kafka, HDFS and HBase is none."),
        (("--set", "hbase.x=1"), "is not kafka:KEY=VALUE, hdfs:KEY=VALUE or hbase:KEY=VALUE"),
        (("--set", "zoo:x=1"), "is not kafka:KEY=VALUE"),
        (("--brokers", "2"), "--brokers"),
        (("--base-port", "80"), "Base_port"),
        (("--dir", "a b"), "can not live in"),
    ],
)
def test_up_refuses_options(run, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:  # type: ignore[no-untyped-def]
    result = run("up", *words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_servers(run) -> None:  # type: ignore[no-untyped-def]
    assert "hmaster and thrift" in run("--help").output
    assert "FLURRY_FAST_STACK_CACHE" in run("up", "--help").output
