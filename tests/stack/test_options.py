"""What a stack may consist of, and where its servers listen."""

from __future__ import annotations

import socket

import pytest

from flurry_fast.stack import Addresses, OptionsRefused, StackOptions, free_base
from flurry_fast.stack.ports import SPAN, Ports, is_free


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kafka": False, "hdfs": False, "hbase": False}, "A stack without Kafka, HDFS and HBase is none."),
        ({"hdfs": False, "hbase_on": "hdfs"}, "HBase on HDFS needs HDFS"),
        ({"base_port": 80}, "Base_port: "),
        ({"brokers": 2}, "Brokers: "),
        ({"extra": {"hbase": {"a": "b\nc"}}}, "hbase:a is no property"),
    ],
)
def test_refuses_what_can_not_be(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(OptionsRefused) as refused:
        StackOptions.parse(values)
    assert sentence in str(refused.value)
    assert refused.value.exit_code == 2


def test_hbase_goes_to_local_files_where_there_is_no_hdfs() -> None:
    assert StackOptions().hbase_root == "hdfs"
    assert StackOptions(hdfs=False).hbase_root == "file"


def test_data_keeps_what_it_depends_on() -> None:
    recorded = StackOptions()
    assert StackOptions(quick=True, base_port=20000, kafka=False).conflict(recorded) is None
    assert StackOptions(brokers=3).conflict(recorded) == "brokers 1"
    assert StackOptions(hbase_on="file").conflict(recorded) == "HBase on hdfs"
    assert StackOptions(hdfs=False, hbase=False).conflict(recorded) is None


def test_no_two_servers_share_a_port() -> None:
    ports = Ports(19000)
    taken = [ports.namenode, ports.namenode_http, ports.zookeeper, ports.master, ports.region_server, ports.thrift]
    for number in (1, 2, 3):
        taken += [ports.broker(number), ports.controller(number), *ports.datanode(number).values()]
    assert len(taken) == len(set(taken))
    assert all(19000 <= port < 19000 + SPAN for port in taken)


def test_a_port_somebody_listens_at_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
    base = free_base()
    assert all(is_free(port) for port in range(base, base + SPAN))


def test_addresses_are_settings() -> None:
    addresses = Addresses.of(StackOptions(brokers=3))
    assert addresses.settings == {
        "kafka.bootstrap": "127.0.0.1:19092,127.0.0.1:19192,127.0.0.1:19292",
        "counters.store": "hbase://127.0.0.1:19090",
        "archive.root": "hdfs://127.0.0.1:19020/flurry",
    }
    assert '[counters]\nstore = "hbase://127.0.0.1:19090"\n' in addresses.settings_file()
    assert list(Addresses.of(StackOptions(hdfs=False, hbase=False)).settings) == ["kafka.bootstrap"]
