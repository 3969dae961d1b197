"""The registry of API keys and the rates, and what the settings refuse."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest
from doors import Door, read_all, request, wait_until
from prometheus_client.parser import text_string_to_metric_families
from whole_topic import read_topic

from flurry_fast._core import PORTAL_OUTCOMES, Simulator, message_key, peek
from flurry_fast.broker import EmbeddedBroker
from flurry_fast.config import load_settings
from flurry_fast.config.portal import Portal
from flurry_fast.errors import ConfigError
from flurry_fast.portal.apps import App, read_apps
from flurry_fast.portal.metrics import PORTAL_METRICS, PREFIX, PortalMetrics
from flurry_fast.portal.native import native_settings, producer_config
from flurry_fast.portal.state import PortalState
from flurry_fast.ports import SystemClock

DOCS = Path(__file__).resolve().parents[2] / "docs"
OK = b"HTTP/1.1 200 OK\r\n"


def reports_by_app(count: int) -> dict[bytes, list[bytes]]:
    """The reports of some apps, by API key; the busiest first."""
    found: dict[bytes, list[bytes]] = {}
    for body in Simulator(3, apps=4, devices=200, protocols={26: 1}).next_batch(count).payloads():
        found.setdefault(peek(body)[0], []).append(body)  # type: ignore[index]
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def test_registry_rates_and_spread(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    hot, slow, unknown, over = list(reports_by_app(400).items())[:4]
    apps = tmp_path / "apps.toml"
    apps.write_text(
        f"[apps]\n{json.dumps(hot[0].decode())} = {{ shards = 8 }}\n"
        f"{json.dumps(slow[0].decode())} = {{ rate = 0.001, burst = 2 }}\n"
    )
    settings = {
        "portal__apps": apps,
        "portal__unknown_keys": "cap",
        "portal__unknown_keys_cap": 1,
        "portal__hold": "1ms",
    }
    with Door(tmp_path, broker, topic, **settings) as door:
        assert all(door.send(request(body)).startswith(OK) for body in hot[1][:20])
        answers = [door.send(request(body)) for body in slow[1][:4]]
        assert [bool(answer) for answer in answers] == [True, True, False, False]
        assert door.send(request(slow[1][0], "Portal-Accepts: status")).startswith(b"HTTP/1.1 429 ")
        assert door.send(request(unknown[1][0])).startswith(OK)
        assert door.send(request(unknown[1][1])).startswith(OK)
        assert door.send(request(over[1][0])) == b""
        assert door.send(request(over[1][0], "Portal-Accepts: status")).startswith(b"HTTP/1.1 403 ")
        assert door.send(request(b"unreadable, so without a key")).startswith(OK)
        assert door.stop() == 0
        assert door.status()["not_stored"] == {"limited": 3, "unknown_key": 2}
    keys = {record.key() for record in read_topic(broker, topic) if record.value() in hot[1]}
    assert keys == {message_key(body, 8) for body in hot[1][:20]}
    assert len(keys) > 2
    log = door.log.read_text()
    assert all(key.decode() not in log for key in (hot[0], slow[0], over[0]))


def test_a_refused_agent_is_held_before_it_is_closed(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    """It would post the same four times more at once. Who understands a status need not wait for it."""
    report = next(iter(reports_by_app(1).values()))[0]
    settings = {"portal__unknown_keys": "refuse", "portal__hold": "10s", "portal__drain_timeout": "100ms"}
    with Door(tmp_path, broker, topic, **settings) as door, door.connect() as agent:
        agent.sendall(request(report))
        wait_until(lambda: door.status()["not_stored"] == {"unknown_key": 1}, "it is refused")
        assert door.send(request(report, "Portal-Accepts: status")).startswith(b"HTTP/1.1 403 ")
        agent.setblocking(False)
        with pytest.raises(BlockingIOError):
            agent.recv(1)
        agent.setblocking(True)
        assert door.stop() == 0
        assert read_all(agent) == b""


def test_addresses_have_a_rate(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    settings = {"portal__address_rate": 0.5, "portal__forwarded": "true", "portal__hold": "1ms"}
    with Door(tmp_path, broker, topic, portal__access_log=1, portal__headers="address", **settings) as door:
        one = [door.send(request(b"x", "X-Forwarded-For: 8.8.8.8, 192.0.2.7")) for _ in range(8)]
        assert [bool(answer) for answer in one] == [True] * 5 + [False] * 3
        assert door.send(request(b"x", "X-Forwarded-For: 192.0.2.7, 2001:db8::1")).startswith(OK)
        assert door.stop() == 0
    found = {record.headers()[0] for record in read_topic(broker, topic)}  # type: ignore[index]
    assert found == {("address", b"192.0.2.7"), ("address", b"2001:db8::1")}


def test_the_access_log_is_structured_and_keeps_secrets(
    tmp_path: Path, broker: EmbeddedBroker, topic: str, bodies: list[bytes]
) -> None:
    report = next(body for body in bodies if peek(body) is not None)
    api_key, device_id = peek(report)  # type: ignore[misc]
    with Door(tmp_path, broker, topic, portal__access_log=1, portal__headers="network") as door:
        assert door.send(request(report, "Authorization: Bearer hidden", "Cookie: hidden")).startswith(OK)
        assert door.send(request(b"no report")).startswith(OK)
        assert door.stop() == 0
    said = door.log.read_text()
    lines = [json.loads(line) for line in said.splitlines()]
    told = [line for line in lines if line["event"] == "report"]
    assert [(line["outcome"], line["bytes"], line["address"]) for line in told] == [
        ("stored", len(report), "127.0.0.0"),
        ("stored", 9, "127.0.0.0"),
    ]
    assert [line["protocol"] for line in told] == [int.from_bytes(report[:2], "big"), None]
    assert all(line["seconds"] > 0 for line in told)
    for secret in (api_key, device_id, b"hidden", b"no report"):
        assert secret.decode("latin-1") not in said


def test_the_access_log_is_a_sample(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    with Door(tmp_path, broker, topic, portal__access_log=0.1) as door:
        for _ in range(40):
            assert door.send(request(b"x")).startswith(OK)
        assert door.stop() == 0
    assert door.log.read_text().count('"event": "report"') == 4


def test_a_registry_in_sql(tmp_path: Path) -> None:
    path = tmp_path / "apps.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE apps (api_key TEXT PRIMARY KEY, rate REAL, burst REAL, shards INTEGER)")
        connection.execute("INSERT INTO apps VALUES ('A', 5, NULL, 3), ('B', NULL, NULL, NULL)")
    connection.close()
    assert read_apps(f"sqlite:{path}") == {b"A": App(rate=5.0, shards=3), b"B": App()}
    native = native_settings(Portal(), read_apps(f"sqlite:{path}"))
    assert native.apps == {b"A": (5.0, 50.0), b"B": None}
    assert native.spread == {b"A": 3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A = 1", "holds one table"),
        ("[apps]\nA = 1", "rate, burst, shards"),
        ("[apps]\nA = {speed = 1}", "rate, burst, shards"),
        ("[apps]\nA = {rate = 0}", "out of range"),
        ("[apps]\nA = {shards = 1.5}", "not a number"),
        ("[apps]\nA = {burst = 1}", "burst without rate"),
        ('[apps]\n"" = {}', "1 to 255 bytes"),
        ("[apps", "is not TOML"),
    ],
)
def test_a_bad_registry_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "apps.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(reason)) as refused:
        read_apps(str(path))
    assert str(path) in str(refused.value)


def test_a_missing_registry_is_refused(tmp_path: Path) -> None:
    for source in (str(tmp_path / "no.toml"), f"sqlite:{tmp_path / 'no.sqlite'}"):
        with pytest.raises(ConfigError, match="can not be"):
            read_apps(source)


def test_nobody_can_weaken_what_stored_means(broker: EmbeddedBroker) -> None:
    weaker = {"acks": 1, "enable.idempotence": False, "message.timeout.ms": 0, "compression.type": "zstd"}
    overrides = {f"kafka.librdkafka.{name}": str(value) for name, value in weaker.items()}
    found = producer_config(load_settings(None, {"kafka.broker_file": str(broker.path), **overrides}))
    assert (found["acks"], found["enable.idempotence"], found["message.timeout.ms"]) == ("all", True, 10_000)
    assert found["compression.type"] == "zstd"


@pytest.mark.parametrize(
    "given", [{"portal.certificate": "a"}, {"portal.memory": "1MiB", "portal.max_body": "1MiB"}, {"portal.hold": "1y"}]
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        load_settings(None, given)


def test_metrics_are_those_of_the_docs() -> None:
    state = PortalState(SystemClock(), "x", None)
    state.update(
        {"outcomes": dict.fromkeys(PORTAL_OUTCOMES, 1), "answers": [2] * 13, "answer_seconds": 3.0},
        down=True,
        fatal=None,
    )
    metrics = PortalMetrics(state)
    from prometheus_client import generate_latest

    families = {
        family.name: family for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
    }
    assert set(families) == {PREFIX + name for name in PORTAL_METRICS}
    answers = {sample.name: sample.value for sample in families[PREFIX + "portal_answer_seconds"].samples}
    assert answers[PREFIX + "portal_answer_seconds_count"] == 26
    page = (DOCS / "portal.md").read_text()
    for name, (kind, _, words) in PORTAL_METRICS.items():
        suffix = "_total" if kind == "counter" else ""
        assert f"`{PREFIX}{name}{suffix}`" in page
        assert words in page
    assert state.problems() == ["Kafka can not be reached, so that nothing is stored."]
