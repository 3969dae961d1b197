"""TLS by certificate files."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from doors import Door, read_all, request, simulate

from flurry_fast._core import HttpFleet
from flurry_fast.agent.http import NoSuchPortal, Portal, system_authorities
from flurry_fast.broker import EmbeddedBroker
from flurry_fast.config import load_settings
from flurry_fast.errors import ConfigError
from flurry_fast.portal.serve import serve


def test_https_is_answered_and_nothing_else(
    pair: tuple[Path, Path], tmp_path: Path, broker: EmbeddedBroker, topic: str
) -> None:
    chain, key = pair
    trust = ssl.create_default_context(cafile=str(chain))
    with Door(tmp_path, broker, topic, portal__certificate=chain, portal__key=key) as door:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            trust.minimum_version = trust.maximum_version = version
            with trust.wrap_socket(door.connect(), server_hostname="localhost") as client:
                client.sendall(request(b"secret"))
                assert read_all(client).startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"HTTP" not in door.send(request(b"plain"))
        assert door.stop() == 0
        assert door.status()["records"] == 2


@pytest.mark.parametrize("swap", ["no file", "no certificate", "another's key"])
def test_files_that_can_not_be_used(
    swap: str, pair: tuple[Path, Path], tmp_path: Path, broker: EmbeddedBroker, topic: str
) -> None:
    chain, key = pair
    empty = tmp_path / "empty.pem"
    empty.touch()
    chain, key = {
        "no file": (tmp_path / "absent.pem", key),
        "no certificate": (empty, key),
        "another's key": (chain, chain),
    }[swap]
    flags = {"portal.certificate": chain, "portal.key": key, "portal.port": 0, "kafka.topic": topic}
    given = {name: str(value) for name, value in {**flags, "kafka.broker_file": broker.path}.items()}
    with pytest.raises(ConfigError) as refused:
        serve(load_settings(None, given), lambda: True)
    assert str(key if swap == "another's key" else chain) in str(refused.value)


def test_an_address_that_is_taken(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    from flurry_fast.portal.listener import ListenFailed

    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {
            "portal.port": str(taken.getsockname()[1]),
            "kafka.broker_file": str(broker.path),
            "kafka.topic": topic,
        }
        with pytest.raises(ListenFailed, match="portal can not listen"):
            serve(load_settings(None, given), lambda: True)


def test_devices_post_over_https(pair: tuple[Path, Path], tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    chain, key = pair
    flags = ("--reports", "40", "--resends", "0", "--connections", "8")
    with Door(tmp_path, broker, topic, portal__certificate=chain, portal__key=key) as door:
        url = "https://{}:{}".format(*door.address)
        for trust in (("--ca", str(chain)), ("--insecure", "--threads", "2"), ("--insecure", "--keep-alive")):
            code, _, said = simulate("--http", url, *flags, *trust, folder=tmp_path)
            assert code == 0, said
        code, _, said = simulate("--http", url, *flags, "--ca", str(key), folder=tmp_path)
        assert code == 2
        assert f"{key} can not be used" in said
        code, _, said = simulate("--http", url, *flags, folder=tmp_path)  # this machine does not know our certificate
        assert code == 1
        assert "40 of 40 reports failed (40 given_up); the last connection that failed: invalid peer cert" in said
        assert door.stop() == 0
        assert door.status()["records"] == 3 * 40


def test_what_is_not_stored_is_closed_under_tls_too(pair: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = pair
    settings = {"portal__certificate": chain, "portal__key": key, "portal__answer_timeout": "100ms"}
    with (
        EmbeddedBroker(tmp_path / "broker.json", {"reports": 1}) as broker,
        Door(tmp_path, broker, "reports", **settings) as door,
    ):
        broker.stop()
        trusting = HttpFleet("{}:{}".format(*door.address), host="x", tls_name="localhost", authorities=chain)
        trusting.post([b"\x00\x1b of agent 155"])
        trusting.finish()
        assert trusting.counts() | {"unanswered": 5, "given_up": 1, "dropped": 0} == trusting.counts()
        assert trusting.trouble is None


def test_whose_certificates_are_good_must_be_known(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, _ = pair
    assert Portal.at("https://127.0.0.1") == Portal("127.0.0.1:443", "127.0.0.1", "127.0.0.1")
    for wrong, words in (
        (("--http", "http://127.0.0.1:1", "--ca", str(chain)), "is not https"),
        (("--http", "http://127.0.0.1:1", "--insecure"), "is not https"),
        (("--http", "https://127.0.0.1:1", "--insecure", "--ca", str(chain)), "exclude each other"),
        (("--http", "https://127.0.0.1:1", "--ca", str(tmp_path / "absent.pem")), "does not exist"),
    ):
        code, _, said = simulate(*wrong, folder=tmp_path)
        assert (code, words in said) == (2, True), said
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))
    with pytest.raises(NoSuchPortal, match="--ca FILE"):
        system_authorities()
