"""A command that used HDFS ends with its own status, whatever threads are left behind."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flurry_fast.archive.chain import Chain

sys.path.insert(0, str(Path(__file__).parents[1] / "archive"))

from places import hdfs_place
from rows import chunk_of

from flurry_fast.archive.writer import publish
from flurry_fast.stack import Stack

PROGRAM = """
import atexit, sys, threading, types
{used}
sys.stdout.reconfigure(write_through=False)
atexit.register(lambda: print("at exit"))
threading.Thread(target=threading.Event().wait, args=(60,), daemon={daemon}).start()
from flurry_fast.cli import main
main({arguments!r}, prog_name="flurry-fast")
"""
USED = "sys.modules['hdfs_native'] = types.ModuleType('hdfs_native')"


def run(arguments: list[str], *, used: bool) -> subprocess.CompletedProcess[str]:
    # With HDFS nobody waits for any thread; without it, the interpreter waits for those that are no daemons.
    program = textwrap.dedent(PROGRAM).format(used=USED if used else "", daemon=not used, arguments=arguments)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["config", "check"], 0),
        (["config", "check", "--set", "kafka.topc=x"], 2),
        (["archive", "verify", "--set", "archive.root=nowhere"], 1),
        (["nothing"], 2),
    ],
)
def test_status_and_output_are_the_commands(arguments: list[str], status: int, used: bool, tmp_path: Path) -> None:
    done = run(arguments, used=used)
    assert done.returncode == status, done.stderr
    assert done.stdout.endswith("at exit\n")
    assert len(done.stdout + done.stderr) > len("at exit\n")


def test_a_command_ends_well_every_time(stack: Stack, bodies: list[bytes]) -> None:
    """Without `leave`, about one of ten ended with SIGABRT after all its work."""
    with hdfs_place(stack) as place:
        chain = Chain(place.files, "reports", 7, 0)
        chain.begin(0)
        publish(chain, chunk_of(bodies, partition=0), lambda: None)
        command = [sys.executable, "-m", "flurry_fast", "archive", "verify", "--deep", "--set"]
        for _ in range(20):
            done = subprocess.run(
                [*command, f"archive.root={place.root}"], capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            assert "restored byte for byte" in done.stdout
