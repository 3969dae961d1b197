"""What a machine lacks is said in one sentence with a way out, before anything starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from flurry_fast.stack import StackOptions, StackRefused, free_base, hbase, hdfs, jars, kafka, machine
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.machine import Java
from flurry_fast.stack.server import Server


def say(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)


def servers(tmp_path: Path, **options: object) -> list[Server]:
    chosen, folder = StackOptions.parse(options), Folder(tmp_path / "stack")
    built = [build(chosen, folder, tmp_path, "java") for build in (kafka.part, hdfs.part, hbase.part)]
    return [server for part in built for server in part.servers]


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("""echo 'openjdk version "17.0.15" 2025-04-15' >&2""", 17),
        ("""echo 'java version "1.8.0_401"' >&2""", 8),
        ("""echo 'openjdk version "24-ea" 2025-03-18' >&2""", 24),
    ],
)
def test_java_says_its_version(tmp_path: Path, line: str, version: int) -> None:
    say(tmp_path / "bin/java", line)
    by_path = machine.find_java({"PATH": str(tmp_path / "bin")})
    by_home = machine.find_java({"PATH": "", "JAVA_HOME": str(tmp_path)})
    assert by_path is not None
    assert by_home is not None
    assert by_path.version == by_home.version == version
    assert (by_path.home, by_home.home) == (None, tmp_path)


def test_java_that_does_not_run_is_none(tmp_path: Path) -> None:
    say(tmp_path / "bin/java", "exit 1")
    assert machine.find_java({"PATH": str(tmp_path / "bin")}) is None
    assert machine.find_java({"PATH": str(tmp_path)}) is None
    assert "(JAVA_HOME is /nowhere)" in str(machine.java_problem(None, ["kafka"], {"JAVA_HOME": "/nowhere"}))


def test_java_must_be_neither_too_old_nor_too_new() -> None:
    def problem(version: int, *parts: str) -> str | None:
        return machine.java_problem(Java("java", version, None), parts)  # type: ignore[arg-type]

    assert problem(17, "kafka", "hdfs", "hbase") is None
    assert "Java 17 to 22 is needed, java is Java 11." in str(problem(11, "kafka"))
    assert "HDFS and HBase need Java 17 to 22, java is Java 24." in str(problem(24, "hbase"))
    assert problem(24, "kafka") is None
    assert "Java 17 to 22 is missing. Install one" in str(machine.java_problem(None, ["kafka"], {}))


def test_maven_is_needed_until_the_jars_are_there(tmp_path: Path) -> None:
    sentence = machine.maven_problem(tmp_path, ["kafka"], {"PATH": ""})
    assert sentence is not None
    assert sentence.startswith("Maven (mvn) is missing; it brings the jars of kafka once.")
    folder = jars.place(tmp_path, "kafka")
    folder.mkdir()
    (folder / "a.jar").write_bytes(b"12")
    (folder / "jars.json").write_text('{"a.jar": 2}')
    assert machine.maven_problem(tmp_path, ["kafka"], {"PATH": ""}) is None


def test_memory(tmp_path: Path) -> None:
    all_of_them = servers(tmp_path)
    needed = sum(server.memory for server in all_of_them) << 20
    assert 4 << 30 < needed < 5 << 30
    assert machine.memory_problem(all_of_them, needed) is None
    assert machine.memory_problem(all_of_them, None) is None
    sentence = machine.memory_problem(all_of_them, 1 << 30)
    assert sentence is not None
    assert "MiB of free memory, there are 1,024." in sentence
    assert "--no-hbase" in sentence


def test_a_container_may_have_less_than_the_machine(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000000 kB\nMemAvailable:    4000000 kB\n")
    assert machine.free_memory(meminfo, tmp_path) == 4_000_000 * 1024
    for name, text in {"memory.max": "1000", "memory.current": "700", "memory.stat": "inactive_file 200\n"}.items():
        (tmp_path / name).write_text(text)
    assert machine.free_memory(meminfo, tmp_path) == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.free_memory(meminfo, tmp_path) == 4_000_000 * 1024


def test_disk(tmp_path: Path) -> None:
    assert machine.disk_problem(tmp_path / "not" / "yet", 1) is None
    assert "MiB of free disk" in str(machine.disk_problem(tmp_path / "not" / "yet", 1 << 40))


def test_a_taken_port_is_named_with_its_server(tmp_path: Path) -> None:
    base = free_base()
    port = base + 92
    with socket.create_server(("127.0.0.1", port)):
        sentence = machine.port_problem(servers(tmp_path, base_port=base), base)
    assert sentence is not None
    assert f"Port {port} (kafka1) is taken by something else. End it, or use --base-port " in sentence


def test_an_unknown_name_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.name_problem(["kafka"]) is None
    monkeypatch.setattr(socket, "gethostname", lambda: "no-such-host.invalid")
    assert "`127.0.0.1 no-such-host.invalid`" in str(machine.name_problem(["hdfs"]))


def test_all_that_is_missing_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StackRefused) as refused:
        machine.check(tmp_path, tmp_path / "cache", servers(tmp_path), 19000, None)
    first, second, *_ = str(refused.value).splitlines()
    assert "Java" in first
    assert "Maven" in second
    assert refused.value.exit_code == 1
