"""What the servers are told."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from flurry_fast.stack import StackOptions, hbase, hdfs, kafka, render
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.server import Part

JARS = Path("/jars")


def parts(folder: Folder, options: StackOptions) -> dict[str, Part]:
    builders = {"kafka": kafka.part, "hdfs": hdfs.part, "hbase": hbase.part}
    return {name: build(options, folder, JARS, "/java") for name, build in builders.items()}


def site(text: str) -> dict[str, str]:
    root = ET.fromstring(text)
    return {item.findtext("name", ""): item.findtext("value", "") for item in root}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "stack")


def test_three_brokers_replicate_everything(folder: Folder) -> None:
    text = kafka.properties(StackOptions(brokers=3), folder, 2)
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["node.id"] == "2"
    assert lines["controller.quorum.voters"] == "1@127.0.0.1:19093,2@127.0.0.1:19193,3@127.0.0.1:19293"
    assert (lines["default.replication.factor"], lines["min.insync.replicas"]) == ("3", "2")
    assert lines["advertised.listeners"] == "PLAINTEXT://127.0.0.1:19192"


def test_everything_listens_on_loopback_alone(folder: Folder) -> None:
    for part in parts(folder, StackOptions(brokers=3)).values():
        assert "0.0.0.0" not in "".join(part.files.values())
        for server in part.servers:
            assert server.ports


@pytest.mark.parametrize(("where", "root"), [("hdfs", "hdfs://127.0.0.1:19020/hbase"), ("file", "file://")])
def test_hbase_keeps_its_files_where_it_is_told(folder: Folder, where: str, root: str) -> None:
    options = StackOptions.parse({"hbase_on": where})
    assert site(hbase.hbase_site(options, folder))["hbase.rootdir"].startswith(root)
    assert parts(folder, options)["hbase"].after == ("hdfs" if where == "hdfs" else None)


def test_own_properties_win(folder: Folder) -> None:
    options = StackOptions(
        extra={
            "kafka": {"num.io.threads": "9"},
            "hdfs": {"dfs.replication": "1"},
            "hbase": {"hbase.regionserver.handler.count": "3", "x": "<&>"},
        }
    )
    assert "num.io.threads=9\n" in kafka.properties(options, folder, 1)
    assert site(hdfs.hdfs_site(options, folder))["dfs.replication"] == "1"
    written = site(hbase.hbase_site(options, folder))
    assert (written["hbase.regionserver.handler.count"], written["x"]) == ("3", "<&>")


def test_processes_are_known_by_their_command_line(folder: Folder) -> None:
    for part in parts(folder, StackOptions(quick=True)).values():
        for server in part.servers:
            assert server.command[1:3] == (f"-Dstack.dir={folder.root}", f"-Dstack.name={server.name}")
            assert server.command.count("-XX:TieredStopAtLevel=1") == 1


def test_rows_meet_in_memory_unless_a_start_is_to_be_quick(folder: Folder) -> None:
    """Memstores and block cache fit into what ParallelGC has for the old, two thirds of the heap."""
    full, quick = (site(hbase.hbase_site(StackOptions(quick=quick), folder)) for quick in (False, True))
    shares = [float(full[f"h{name}.size"]) for name in ("base.regionserver.global.memstore", "file.block.cache")]
    assert sum(shares) < 2 / 3
    memstore = int(full["hbase.hregion.memstore.flush.size"])
    master, gateway = parts(folder, StackOptions())["hbase"].servers
    assert {"-Xmx2g", "-XX:+UseParallelGC"} <= set(master.command)
    assert 2 * memstore <= shares[0] * (2 << 30)  # one goes to a file while the next one fills
    assert "hbase.hregion.memstore.flush.size" not in quick
    small, small_gateway = parts(folder, StackOptions(quick=True))["hbase"].servers
    assert {"-Xmx1g", "-XX:+UseG1GC"} <= set(small.command)
    assert small.memory < master.memory
    assert small_gateway.memory < gateway.memory


def test_a_backslash_stays_one() -> None:
    assert render.java_properties({"a": "b\\c"}) == "a=b\\\\c\n"
