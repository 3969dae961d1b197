"""HDFS: a NameNode and DataNodes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from flurry_fast.stack import probes, render
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.jvm import C1_ONLY, OPEN, Jvm
from flurry_fast.stack.options import StackOptions
from flurry_fast.stack.ports import HOST, Ports
from flurry_fast.stack.server import Part, Server

_PACKAGE = "org.apache.hadoop.hdfs.server"
# Both spend their time on I/O, so the second compiler would only make their start longer.
_FLAGS = (*OPEN, "-Xmx256m", "-XX:+UseSerialGC", C1_ONLY)


def replicas(options: StackOptions) -> int:
    """Of a block. Two: with one, every close of a file takes half a second; and one DataNode may die."""
    return min(options.datanodes, 2)


def url(options: StackOptions) -> str:
    """The file system."""
    return f"hdfs://{HOST}:{Ports(options.base_port).namenode}"


def part(options: StackOptions, folder: Folder, jars: Path, java: str) -> Part:
    """The NameNode, then the DataNodes."""
    ports, conf = Ports(options.base_port), folder.conf / "hdfs"
    class_path = f"{conf}:{jars}/*"
    numbers = range(1, options.datanodes + 1)

    def usable() -> None:
        probes.hdfs_is_open(ports.namenode_http, options.datanodes)
        for number in numbers:
            probes.datanode_is_registered(ports.datanode(number)["http.address"])

    return Part(
        name="hdfs",
        servers=(
            _namenode(options, folder, class_path, java),
            *(_datanode(options, folder, class_path, java, number) for number in numbers),
        ),
        files={
            conf / "core-site.xml": core_site(options, folder),
            conf / "hdfs-site.xml": hdfs_site(options, folder),
            conf / "log4j.properties": render.LOG4J_1,
            # Web pages are looked up on the class path; without these folders the servers do not start.
            **{conf / "webapps" / name / ".keep": "" for name in ("hdfs", "datanode", "static")},
        },
        usable=usable,
    )


def _namenode(options: StackOptions, folder: Folder, class_path: str, java: str) -> Server:
    ports, jvm = Ports(options.base_port), Jvm(java, folder.root, options.quick)
    main = f"{_PACKAGE}.namenode.NameNode"
    return Server(
        name="nn",
        part="hdfs",
        command=jvm.server("nn", _FLAGS, class_path, main),
        ports={"file system": ports.namenode, "http": ports.namenode_http},
        memory=250,
        answers=lambda: _is_there(ports.namenode_http),
        preparation=jvm.tool("nn-format", OPEN, class_path, main, "-format", "-nonInteractive", "-force"),
        prepared=folder.data / "nn",
    )


def _is_there(port: int) -> None:
    probes.namenode(port)


def _datanode(options: StackOptions, folder: Folder, class_path: str, java: str, number: int) -> Server:
    name, ports = f"dn{number}", Ports(options.base_port).datanode(number)
    return Server(
        name=name,
        part="hdfs",
        command=Jvm(java, folder.root, options.quick).server(
            name,
            _FLAGS,
            class_path,
            f"{_PACKAGE}.datanode.DataNode",
            f"-Ddfs.datanode.data.dir={folder.data}/{name}",
            *(f"-Ddfs.datanode.{word}={HOST}:{port}" for word, port in ports.items()),
        ),
        ports=ports,
        memory=220,
        answers=partial(_datanode_is_there, ports["http.address"]),
    )


def _datanode_is_there(port: int) -> None:
    probes.datanode(port)


def core_site(options: StackOptions, folder: Folder) -> str:
    """core-site.xml."""
    return render.site_xml({"fs.defaultFS": url(options), "hadoop.tmp.dir": str(folder.data / "hdfs-tmp")})


def hdfs_site(options: StackOptions, folder: Folder) -> str:
    """hdfs-site.xml, of NameNode and DataNodes."""
    return render.site_xml(
        {
            "dfs.replication": replicas(options),
            "dfs.permissions.enabled": "false",
            "dfs.namenode.name.dir": f"file://{folder.data}/nn",
            "dfs.namenode.rpc-bind-host": HOST,
            "dfs.namenode.http-address": f"{HOST}:{Ports(options.base_port).namenode_http}",
            "dfs.datanode.hostname": HOST,
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.namenode.safemode.extension": 0,
            # A file may be closed while its last block is only committed; otherwise many closes take half a second.
            "dfs.namenode.file.close.num-committed-allowed": 1,
            "dfs.blockreport.initialDelay": 0,
            "dfs.heartbeat.interval": 1,
            # A DataNode that was killed is avoided after 3 s and dead after 16 s (defaults: never, and 10.5 minutes).
            "dfs.namenode.stale.datanode.interval": 3000,
            "dfs.namenode.avoid.write.stale.datanode": "true",
            "dfs.namenode.avoid.read.stale.datanode": "true",
            "dfs.namenode.write.stale.datanode.ratio": "1.0",
            "dfs.namenode.heartbeat.recheck-interval": 3000,
            **options.extra.get("hdfs", {}),
        }
    )
