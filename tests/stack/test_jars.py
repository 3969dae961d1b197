"""Jars come once; whatever interrupts that, the next command brings them whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from flurry_fast.stack import JarsUnavailable, jars
from flurry_fast.stack.options import PARTS
from flurry_fast.stack.progress import Silent

# A Maven that copies two jars, and says so as the real one does. It is slow while the file `slow` is beside it.
MAVEN = """\
#!/bin/sh
for word in "$@"; do case $word in -DoutputDirectory=*) out=${word#*=};; esac; done
here=$(dirname "$0")
echo run >> "$here/runs"
echo "Downloaded from central: https://host.invalid/a.jar (1.5 MB at 2 MB/s)"
echo one > "$out/a.jar"
echo "[INFO] Copying a.jar to $out/a.jar"
while [ -e "$here/slow" ]; do sleep 0.05; done
if [ -e "$here/broken" ]; then echo "[ERROR] Could not transfer artifact g:b:1"; exit 1; fi
echo two > "$out/b.jar"
echo "[INFO] Copying b.jar to $out/b.jar"
"""


class Heard(Silent):
    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    def resolving(self, part: str, jars: int, of: int, downloaded: int) -> None:
        self.steps.append((jars, downloaded))


@pytest.fixture
def maven(tmp_path: Path) -> Path:
    path = tmp_path / "mvn"
    path.write_text(MAVEN)
    path.chmod(0o755)
    return path


def runs(maven: Path) -> int:
    return len((maven.parent / "runs").read_text().splitlines())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.jar")}


def test_poms_are_in_the_package_and_pin_everything() -> None:
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    for part in PARTS:
        found = ET.fromstring(jars.pom(part)).findall(".//m:dependency", space)
        assert found
        for dependency in found:
            assert dependency.findtext("m:version", "", space)[:1].isdigit()


def test_the_cache_is_where_the_user_wants_it() -> None:
    assert jars.default_cache({"FLURRY_FAST_STACK_CACHE": "/a"}) == Path("/a")
    assert jars.default_cache({"XDG_CACHE_HOME": "/b"}) == Path("/b/flurry_fast/jars")
    assert jars.default_cache({}) == Path.home() / ".cache/flurry_fast/jars"


def test_brought_once(tmp_path: Path, maven: Path) -> None:
    heard = Heard()
    folder = jars.resolve(tmp_path / "cache", "kafka", str(maven), None, heard)
    assert names(folder) == {"a.jar", "b.jar"}
    assert heard.steps[0] == (0, 0)
    assert heard.steps[-1] == (2, 1_500_000)
    assert jars.resolve(tmp_path / "cache", "kafka", None, None, Silent()) == folder
    assert runs(maven) == 1


def test_damage_is_noticed(tmp_path: Path, maven: Path) -> None:
    folder = jars.resolve(tmp_path / "cache", "kafka", str(maven), None, Silent())
    (folder / "b.jar").write_bytes(b"")
    assert not jars.is_complete(folder)
    with pytest.raises(JarsUnavailable, match="there is no Maven"):
        jars.resolve(tmp_path / "cache", "kafka", None, None, Silent())
    jars.resolve(tmp_path / "cache", "kafka", str(maven), None, Silent())
    assert (folder / "b.jar").read_text() == "two\n"


def test_what_maven_could_not_do_is_said(tmp_path: Path, maven: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(JarsUnavailable) as failed:
        jars.resolve(tmp_path / "cache", "hdfs", str(maven), None, Silent())
    assert "could not bring the jars of hdfs: Could not transfer artifact g:b:1" in str(failed.value)
    assert "FLURRY_FAST_STACK_CACHE" in str(failed.value)
    (tmp_path / "broken").unlink()
    assert names(jars.resolve(tmp_path / "cache", "hdfs", str(maven), None, Silent())) == {"a.jar", "b.jar"}


def test_killed_in_the_middle(tmp_path: Path, maven: Path) -> None:
    (tmp_path / "slow").touch()
    cache = tmp_path / "cache"
    script = (
        "import sys; from pathlib import Path; from flurry_fast.stack import jars, progress\n"
        "jars.resolve(Path(sys.argv[1]), 'kafka', sys.argv[2], None, progress.Silent())"
    )
    root = str(Path(jars.__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", script, str(cache), str(maven)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.DEVNULL,
    )
    while not list(cache.glob("*.part/a.jar")):
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not jars.is_complete(jars.place(cache, "kafka"))
    (tmp_path / "slow").unlink()
    folder = jars.resolve(cache, "kafka", str(maven), None, Silent())
    assert names(folder) == {"a.jar", "b.jar"}
    assert runs(maven) == 2


def test_two_at_once_bring_them_once(tmp_path: Path, maven: Path) -> None:
    (tmp_path / "slow").touch()
    cache, found = tmp_path / "cache", []
    threads = [
        threading.Thread(target=lambda: found.append(jars.resolve(cache, "kafka", str(maven), None, Silent())))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    while not (tmp_path / "runs").exists():
        time.sleep(0.02)
    (tmp_path / "slow").unlink()
    for thread in threads:
        thread.join()
    assert found == [jars.place(cache, "kafka")] * 2
    assert runs(maven) == 1


def test_a_folder_that_can_not_be_written(tmp_path: Path, maven: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JarsUnavailable, match="can not be kept in"):
        jars.resolve(tmp_path / "file" / "cache", "kafka", str(maven), None, Silent())
