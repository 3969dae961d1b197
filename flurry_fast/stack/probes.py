"""Is it ready? Asked by real calls, each with a deadline of its own."""

from __future__ import annotations

import json
import socket
import struct
import urllib.error
import urllib.request
from typing import Any

import happybase
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from flurry_fast.stack.ports import HOST
from flurry_fast.stack.server import NotReady, Probe

CALL_SECONDS = 3.0
TABLES_SECONDS = 10.0  # the gateway itself tries for a while before it answers


def reason(probe: Probe) -> str | None:
    """Why the probe fails, in a few words; None: it does not."""
    try:
        probe()
    except NotReady as error:
        return str(error)
    except urllib.error.URLError as error:
        return _words(error.reason if isinstance(error.reason, Exception) else error)
    except Exception as error:  # whatever a client library raises means the same here
        return _words(error)
    return None


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens yet"
    return repr(error).splitlines()[0][:200]  # str() of some Thrift errors fails


# --- Kafka -------------------------------------------------------------------------------------------------------


def brokers(port: int) -> int:
    """How many brokers the one at `port` knows."""
    socket.create_connection((HOST, port), CALL_SECONDS).close()  # librdkafka would wait before it tries again
    settings: dict[str, Any] = {"bootstrap.servers": f"{HOST}:{port}", "log_level": 0, "error_cb": lambda _: None}
    client = AdminClient(settings)
    try:
        return len(client.list_topics(timeout=CALL_SECONDS).brokers)
    except KafkaException as error:
        raise NotReady(error.args[0].str()) from None


def all_brokers(ports: list[int]) -> None:
    """Each of them knows all of them."""
    for port in ports:
        known = brokers(port)
        if known < len(ports):
            raise NotReady(f"the broker at port {port} knows {known} of {len(ports)}")


# --- HDFS --------------------------------------------------------------------------------------------------------


def _bean(port: int, name: str) -> dict[str, Any]:
    url = f"http://{HOST}:{port}/jmx?qry=Hadoop:service={name}"
    with urllib.request.urlopen(url, timeout=CALL_SECONDS) as answer:
        beans: list[dict[str, Any]] = json.load(answer)["beans"]
    if not beans:
        raise NotReady("still starting")
    return beans[0]


def namenode(port: int) -> dict[str, Any]:
    """What the NameNode says of itself."""
    return _bean(port, "NameNode,name=NameNodeInfo")


def hdfs_is_open(port: int, datanodes: int) -> None:
    """The NameNode is out of safe mode and has so many live DataNodes."""
    info = namenode(port)
    if info["Safemode"]:
        raise NotReady("safe mode")
    live = len(json.loads(info["LiveNodes"]))
    if live < datanodes:
        raise NotReady(f"{live} of {datanodes} DataNodes are there")


def datanode(port: int) -> list[dict[str, Any]]:
    """What the DataNode says of its NameNode."""
    actors: list[dict[str, Any]] = json.loads(_bean(port, "DataNode,name=DataNodeInfo")["BPServiceActorInfo"])
    return actors


def datanode_is_registered(port: int) -> None:
    """This process has registered with its NameNode, which may still believe in the one before."""
    actors = datanode(port)
    if not actors or any(actor["ActorState"] != "RUNNING" for actor in actors):
        raise NotReady("a DataNode is not registered yet")


# --- HBase -------------------------------------------------------------------------------------------------------


def hbase_rpc(port: int) -> None:
    """Master or region server answers: here, that it does not speak version 255 of its protocol."""
    with socket.create_connection((HOST, port), CALL_SECONDS) as connection:
        connection.sendall(b"HBas\xff\x50")
        if not connection.recv(1):
            raise NotReady("closes connections")


def gateway(port: int) -> None:
    """The Thrift gateway answers for itself, whatever HBase does."""
    name = b"getThriftServerType"
    with socket.create_connection((HOST, port), CALL_SECONDS) as connection:
        connection.sendall(struct.pack(">Ii", 0x8001_0001, len(name)) + name + bytes(4) + b"\0")
        if not connection.recv(1):
            raise NotReady("closes connections")


def hbase_is_open(port: int) -> None:
    """Through the gateway, the master lists tables and the region server reads a row."""
    connection = happybase.Connection(HOST, port, timeout=TABLES_SECONDS * 1000)
    try:
        connection.tables()
        if not list(connection.table("hbase:meta").scan(limit=1)):
            raise NotReady("no region is assigned yet")
    finally:
        connection.close()
