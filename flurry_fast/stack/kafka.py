"""Kafka in KRaft mode: one broker, or three; each is a controller, too."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from flurry_fast.stack import probes, render
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.jvm import Jvm
from flurry_fast.stack.options import StackOptions
from flurry_fast.stack.ports import HOST, Ports
from flurry_fast.stack.server import Part, Server

CLUSTER_ID = "ZmFzdC1mbHVycnktc3RhYw"  # 16 bytes in base64; any will do, brokers of one cluster have the same
SEGMENT_BYTES = 64 << 20


def bootstrap(options: StackOptions) -> str:
    """What clients are given."""
    ports = Ports(options.base_port)
    return ",".join(f"{HOST}:{ports.broker(number)}" for number in range(1, options.brokers + 1))


def part(options: StackOptions, folder: Folder, jars: Path, java: str) -> Part:
    """The brokers."""
    numbers = range(1, options.brokers + 1)
    ports = Ports(options.base_port)
    log4j = folder.conf / "kafka-log4j2.properties"
    files = {log4j: render.LOG4J_2}
    files |= {_file(folder, number): properties(options, folder, number) for number in numbers}
    return Part(
        name="kafka",
        servers=tuple(_server(options, folder, f"{jars}/*", java, log4j, number) for number in numbers),
        files=files,
        usable=partial(probes.all_brokers, [ports.broker(number) for number in numbers]),
    )


def _file(folder: Folder, number: int) -> Path:
    return folder.conf / f"kafka{number}.properties"


def _server(options: StackOptions, folder: Folder, class_path: str, java: str, log4j: Path, number: int) -> Server:
    ports, jvm = Ports(options.base_port), Jvm(java, folder.root, options.quick)
    name, heap = f"kafka{number}", 384 if options.brokers > 1 else 512
    file, log = str(_file(folder, number)), f"-Dlog4j2.configurationFile=file:{log4j}"
    flags = (
        "-Xms128m",
        f"-Xmx{heap}m",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        log,
        f"-Dkafka.logs.dir={folder.log}",
    )
    return Server(
        name=name,
        part="kafka",
        command=jvm.server(name, flags, class_path, "kafka.Kafka", file),
        ports={"broker": ports.broker(number), "controller": ports.controller(number)},
        memory=heap - 32,
        answers=lambda: _knows_some(ports.broker(number)),
        preparation=jvm.tool(
            f"{name}-format", (log,), class_path, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", file
        ),
        prepared=folder.data / name,
    )


def _knows_some(port: int) -> None:
    probes.brokers(port)


def properties(options: StackOptions, folder: Folder, number: int) -> str:
    """The file of broker `number`."""
    ports = Ports(options.base_port)
    voters = [f"{other}@{HOST}:{ports.controller(other)}" for other in range(1, options.brokers + 1)]
    replicas, in_sync = (3, 2) if options.brokers == 3 else (1, 1)
    broker = f"PLAINTEXT://{HOST}:{ports.broker(number)}"
    return render.java_properties(
        {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.quorum.voters": ",".join(voters),
            "listeners": f"{broker},CONTROLLER://{HOST}:{ports.controller(number)}",
            "advertised.listeners": broker,
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(folder.data / f"kafka{number}"),
            "log.segment.bytes": SEGMENT_BYTES,
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            # Who joins within this time shares at once: blocks of partitions that change hands later are read again.
            "group.initial.rebalance.delay.ms": 0 if options.quick else 3000,
            "auto.create.topics.enable": "false",
            # A broker that was killed is fenced, and its partitions get other leaders, after this long (default 9 s).
            "broker.session.timeout.ms": 6000,
            "broker.heartbeat.interval.ms": 1000,
            # Tests may ask for short sessions; classic groups and KIP-848 ones.
            "group.min.session.timeout.ms": 1000,
            "group.consumer.min.heartbeat.interval.ms": 200,
            "group.consumer.heartbeat.interval.ms": 1000,
            "group.consumer.min.session.timeout.ms": 2000,
            "group.consumer.session.timeout.ms": 10000,
            "num.network.threads": 2,
            "num.io.threads": 4,
            **options.extra.get("kafka", {}),
        }
    )
