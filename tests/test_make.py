"""`make build` says in one sentence what a machine lacks, before it downloads anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("bash", "cut", "env", "find", "git", "head", "make", "mkdir", "rm", "sed", "sh", "sort", "touch", "uname")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with a shell's tools, this Python, a C compiler by the name it asks for, and a recent Rust."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None, name
        (tools / name).symlink_to(found)
    say(tools / "python3", f'exec {sys.base_prefix}/bin/python3 "$@"')
    say(tools / "cargo", "echo cargo 99.0.0")
    say(tools / "some-cc", "exit 0")
    return tools


def say(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)


def build(tools: Path) -> str:
    """What `make build` says on that machine; it must fail and leave nothing."""
    venv = tools.parent / "venv"
    ran = subprocess.run(
        ["make", "build", f"VENV={venv}"],
        cwd=ROOT,
        env={"PATH": str(tools), "HOME": str(tools.parent), "CC": "some-cc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert not venv.exists()
    return ran.stderr.splitlines()[0]


def test_no_python(machine: Path) -> None:
    (machine / "python3").unlink()
    assert "Python 3.11 or newer with venv is missing" in build(machine)


def test_old_python(machine: Path) -> None:
    say(machine / "python3", "exit 1")
    assert "Python 3.11 or newer with venv is missing" in build(machine)


def test_no_c_compiler(machine: Path) -> None:
    (machine / "some-cc").unlink()
    assert "the C compiler some-cc is missing" in build(machine)


def test_no_rust(machine: Path) -> None:
    (machine / "cargo").unlink()
    assert "Rust is missing" in build(machine)


def test_old_rust(machine: Path) -> None:
    say(machine / "cargo", "echo 'cargo 1.70.0 (abc 2023-01-01)'")
    said = build(machine)
    assert "or newer is needed, this is 1.70.0" in said


def test_help_lists_every_target() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("build", "demo", "stack", "test", "lint", "bench", "clean"):
        assert f"make {target} " in said
