"""`flurry-fast broker`: a real process, its file, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer, TopicPartition

from flurry_fast.broker import BrokerFile, BrokerNotRunning, EmbeddedBroker, read_broker_file
from flurry_fast.cli import main
from flurry_fast.config.model import Kafka
from flurry_fast.kafka import Cluster, TopicMissing, client_config, incarnation_of, topic_incarnation

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flurry_fast", "broker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_records_outlive_their_clients(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "broker.json", {"reports": 3, "other": 1}) as broker:
        assert broker.file.topics == {"reports": 3, "other": 1}
        producer = Producer({"bootstrap.servers": broker.file.bootstrap})
        producer.produce("reports", b"x", partition=2)
        assert producer.flush(30) == 0
        del producer
        consumer = Consumer({"bootstrap.servers": broker.file.bootstrap, "group.id": "g"})
        consumer.assign([TopicPartition("reports", 2, 0)])
        message = consumer.poll(30)
        assert message is not None
        assert message.value() == b"x"
        assert len(consumer.list_topics("reports", timeout=10).topics["reports"].partitions) == 3
        consumer.close()
    assert not (tmp_path / "broker.json").exists()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_and_its_file(tmp_path: Path, stop: signal.Signals) -> None:
    path = tmp_path / "deep" / "broker.json"
    process = start("--file", str(path), "--json", "--partitions", "2")
    assert process.stdout is not None
    printed = json.loads(process.stdout.readline())
    assert printed == json.loads(path.read_text(encoding="utf-8"))
    assert printed["topics"] == {"reports": 2}
    assert printed["pid"] == process.pid
    assert 0 < printed["incarnation"] < 2**32
    process.send_signal(stop)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said == ""
    assert not path.exists()


def test_a_second_start_is_refused(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "broker.json", {"reports": 1}) as broker:
        second = start("--file", str(tmp_path / "broker.json"))
        _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"process {broker.pid}" in said
        assert "Traceback" not in said
        assert read_broker_file(broker.path) == broker.file
    assert read_is_missing(tmp_path / "broker.json")


def test_what_a_killed_one_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "broker.json"
    first = EmbeddedBroker(path, {"reports": 1})
    os.kill(first.pid, signal.SIGKILL)
    first.stop()
    assert path.exists()
    assert not first.file.is_alive()
    with EmbeddedBroker(path, {"reports": 1}) as second:
        assert second.file.incarnation != first.file.incarnation


def test_a_foreign_process_of_that_id_is_no_broker(tmp_path: Path) -> None:
    path = tmp_path / "broker.json"
    stale = {"bootstrap": "127.0.0.1:1", "incarnation": 5, "topics": {}, "pid": os.getpid()}
    path.write_text(json.dumps(stale), encoding="utf-8")
    with EmbeddedBroker(path, {"reports": 1}) as broker:
        assert broker.file.pid == broker.pid


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "broker.json"
    code = (
        "import os, sys; from pathlib import Path; from flurry_fast.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(Path(sys.argv[1]), {'reports': 1}); print(broker.pid, flush=True); os._exit(9)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert parent.returncode == 9, parent.stderr
    watch = os.pidfd_open(int(parent.stdout)) if is_there(int(parent.stdout)) else None
    if watch is not None:
        import select

        assert select.select([watch], [], [], 30)[0]
        os.close(watch)
    assert read_is_missing(path)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def read_is_missing(path: Path) -> bool:
    with pytest.raises(BrokerNotRunning):
        read_broker_file(path)
    return not path.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"bootstrap": "x"}', "nonsense", '{"topics": 1}'])
def test_other_files_are_no_brokers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broker.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BrokerNotRunning, match="not written by"):
        read_broker_file(path)


def test_foreign_files_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "precious.toml"
    path.write_text("a = 1", encoding="utf-8")
    process = start("--file", str(path))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "not written by" in said
    assert path.read_text(encoding="utf-8") == "a = 1"


def test_settings_say_where_and_what(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    config = tmp_path / "flurry-fast.toml"
    config.write_text(f'[kafka]\nbroker_file = "{path}"\ntopic = "mine"\n', encoding="utf-8")
    process = start("--config", str(config), "--partitions", "3")
    assert process.stdout is not None
    assert "mine (3 partitions)" in process.stdout.readline()
    assert read_broker_file(path).topics == {"mine": 3}
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("topic", ["", ":3", "a:0", "a:x", "a:1001"])
def test_bad_topics_are_usage_errors(topic: str) -> None:
    result = CliRunner().invoke(main, ["broker", "--topic", topic])
    assert result.exit_code == 2
    assert "NAME:PARTITIONS" in result.output


# --- kafka.py over it ----------------------------------------------------------------------------


def test_the_topic_of_an_embedded_broker(tmp_path: Path) -> None:
    settings = Kafka(broker_file=tmp_path / "broker.json", topic="reports")
    with pytest.raises(BrokerNotRunning, match="flurry-fast broker"):
        Cluster(settings)
    with EmbeddedBroker(tmp_path / "broker.json", {"reports": 3}) as broker:
        cluster = Cluster(settings)
        identity = cluster.describe()
        assert (identity.name, identity.partitions, identity.incarnation) == ("reports", 3, broker.file.incarnation)
        assert topic_incarnation(settings) == cluster.incarnation() == identity.incarnation
        with pytest.raises(TopicMissing, match="--topic nope"):
            cluster.describe("nope")
    with EmbeddedBroker(tmp_path / "broker.json", {"reports": 3}):
        assert cluster.incarnation() != identity.incarnation
    with pytest.raises(BrokerNotRunning):
        cluster.incarnation()


def test_topic_ids_hash_to_incarnations() -> None:
    # sha256(bytes(range(16)))[:4]
    assert incarnation_of(0x0001020304050607, 0x08090A0B0C0D0E0F) == 0xBE45CB26
    assert incarnation_of(-1, -1) == incarnation_of(2**64 - 1, 2**64 - 1)


def test_client_settings(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hush\n", encoding="utf-8")
    settings = Kafka(bootstrap="a:1,b:2", librdkafka={"sasl.username": "u"}, secret_files={"sasl.password": secret})
    config = client_config(settings, **{"group.id": "g"})
    assert config["bootstrap.servers"] == "a:1,b:2"
    assert config["sasl.username"] == "u"
    assert config["sasl.password"] == "hush"
    assert config["group.id"] == "g"


def test_is_alive_needs_both() -> None:
    assert not BrokerFile("127.0.0.1:1", 1, {}, os.getpid()).is_alive()
