"""HBase: an HMaster that is region server and ZooKeeper, too, and the Thrift gateway."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flurry_fast.stack import hdfs, probes, render
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.jvm import OPEN, Jvm
from flurry_fast.stack.options import StackOptions
from flurry_fast.stack.ports import HOST, Ports
from flurry_fast.stack.processes import Process, logged
from flurry_fast.stack.server import Part, Server

_PACKAGE = "org.apache.hadoop.hbase"
STARTED = b"Master has completed initialization"
_CLOSED = b"NettyRpcServer: Stopping server on"
# A block is written again with every flush of the counters. The more of its versions meet in memory, the fewer go to
# files and through compactions: that is most of what a row costs the region server (perf/hbase.md).
_MEMSTORE: dict[str, render.Value] = {
    "hbase.hregion.memstore.flush.size": 384 << 20,
    "hbase.regionserver.global.memstore.size": "0.4",
    "hfile.block.cache.size": "0.2",
}

# Bytes a second. At HBase's own bounds (50 and 100 MiB) a compaction has one of few cores for itself, and flushes wait
# for as long as it lasts. Files that pile up raise the bound from the first to the second, and then lift it.
_COMPACTIONS: dict[str, render.Value] = {
    "hbase.hstore.compaction.throughput.lower.bound": 10 << 20,
    "hbase.hstore.compaction.throughput.higher.bound": 40 << 20,
}

# A consumer that starts reads every block that comes again, once. What is written stays where it is read from, outside
# the heap (MiB): from the DataNodes a block costs three times the CPU.
_READS: dict[str, render.Value] = {
    "hbase.rs.cacheblocksonwrite": "true",
    "hbase.rs.cachecompactedblocksonwrite": "true",
    "hbase.bucketcache.ioengine": "offheap",
    "hbase.bucketcache.size": 1024,
}


@dataclass(frozen=True)
class _Size:
    """Heaps of HMaster and gateway as their JVMs are told, and MiB that the processes take."""

    master: tuple[str, ...]
    master_memory: int
    gateway: tuple[str, ...]
    gateway_memory: int


# G1's concurrent threads cost more CPU than ParallelGC's pauses; but ParallelGC can not lend the young what the old
# need, so memstores and block cache must fit into two thirds of the heap: HBase's own shares, which quick ones have, do
# not. The gateway holds several calls of some MiB at once, several times over: with less room for what is young they
# are copied again and again.
_QUICK = _Size(("-Xmx1g", "-XX:+UseG1GC"), 1100, ("-Xmx512m",), 330)
_FULL = _Size(("-Xmx2g", "-XX:+UseParallelGC"), 3100, ("-Xmx768m", "-Xmn384m"), 560)


def gateway(options: StackOptions) -> tuple[str, int]:
    """Host and port of the Thrift gateway."""
    return HOST, Ports(options.base_port).thrift


def has_closed(folder: Folder, process: Process) -> bool:
    """Whether a server that was asked to end has nothing more to do.

    The gateway waits a minute for clients that are connected. An HMaster may stop its ZooKeeper before its region
    server, which then looks for it in vain; what it held is on disk when master and region server have closed.
    """
    return process.name == "thrift" or (process.name == "hmaster" and logged(folder, process, _CLOSED, times=2))


def part(options: StackOptions, folder: Folder, jars: Path, java: str) -> Part:
    """HMaster, then gateway."""
    ports, jvm = Ports(options.base_port), Jvm(java, folder.root, options.quick)
    conf = folder.conf / "hbase"
    class_path = f"{conf}:{jars}/*"
    size = _QUICK if options.quick else _FULL

    def works() -> None:
        probes.hbase_rpc(ports.master)
        probes.hbase_rpc(ports.region_server)

    master = Server(
        name="hmaster",
        part="hbase",
        command=jvm.server(
            "hmaster",
            (*OPEN, *size.master, f"-Dhbase.log.dir={folder.log}"),
            class_path,
            f"{_PACKAGE}.master.HMaster",
            "start",
        ),
        ports={"zookeeper": ports.zookeeper, "master": ports.master, "region server": ports.region_server},
        memory=size.master_memory,
        answers=works,
        says=STARTED,
    )
    thrift = Server(
        name="thrift",
        part="hbase",
        command=jvm.server(
            "thrift",
            (*OPEN, *size.gateway, "-XX:+UseSerialGC"),
            class_path,
            f"{_PACKAGE}.thrift.ThriftServer",
            *("-b", HOST, "-p", str(ports.thrift), "--infoport", "-1"),
        ),
        ports={"thrift": ports.thrift},
        memory=size.gateway_memory,
        answers=partial(probes.gateway, ports.thrift),
    )
    return Part(
        name="hbase",
        servers=(master, thrift),
        files={conf / "hbase-site.xml": hbase_site(options, folder), conf / "log4j2.properties": render.LOG4J_2},
        usable=partial(probes.hbase_is_open, ports.thrift),
        after="hdfs" if options.hbase_root == "hdfs" else None,
    )


def hbase_site(options: StackOptions, folder: Folder) -> str:
    """hbase-site.xml, of HMaster and gateway."""
    ports = Ports(options.base_port)
    files: dict[str, render.Value]
    if options.hbase_root == "hdfs":
        files = {
            "hbase.rootdir": f"{hdfs.url(options)}/hbase",
            "dfs.replication": hdfs.replicas(options),
            # After kill -9 the dead one's files are closed for it: do not wait 4 s three times before.
            "hbase.lease.recovery.first.pause": 300,
            "hbase.lease.recovery.dfs.timeout": 5000,
        }
    else:
        files = {
            "hbase.rootdir": f"file://{folder.data}/hbase",
            "hbase.unsafe.stream.capability.enforce": "false",
            "hbase.wal.provider": "filesystem",
        }
    return render.site_xml(
        {
            "hbase.cluster.distributed": "false",
            **files,
            "hbase.tmp.dir": str(folder.data / "hbase-tmp"),
            "hbase.zookeeper.quorum": HOST,
            "hbase.zookeeper.property.clientPort": ports.zookeeper,
            "hbase.zookeeper.property.dataDir": str(folder.data / "hbase-zookeeper"),
            "hbase.master.port": ports.master,
            "hbase.regionserver.port": ports.region_server,
            "hbase.master.info.port": -1,
            "hbase.regionserver.info.port": -1,
            "hbase.thrift.info.port": -1,
            "hbase.master.ipc.address": HOST,
            "hbase.regionserver.ipc.address": HOST,
            # They tell each other where they are by name: not by this machine's, which may be another address.
            "hbase.master.hostname": HOST,
            "hbase.unsafe.regionserver.hostname": HOST,
            "hbase.regionserver.thrift.ipaddress": HOST,
            "hbase.thrift.server.socket.read.timeout": 600_000,
            # One region server is all there will be: nobody need wait for more.
            "hbase.master.wait.on.regionservers.mintostart": 1,
            "hbase.master.wait.on.regionservers.maxtostart": 1,
            "hbase.master.wait.on.regionservers.timeout": 500,
            "hbase.master.wait.on.regionservers.interval": 100,
            # With each report the server writes out as text the calls that it is at, rows and all. A start may wait as
            # long for the first one.
            "hbase.regionserver.msginterval": 500 if options.quick else 2000,
            "hbase.regionserver.handler.count": 10,
            "hbase.rpc.rows.warning.threshold": 10_000,  # batches of 5,000 rows are meant
            **({} if options.quick else _MEMSTORE | _COMPACTIONS | _READS),
            **options.extra.get("hbase", {}),
        }
    )
