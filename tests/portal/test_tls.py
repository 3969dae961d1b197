"""TLS by certificate files."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from doors import Door, read_all, request

from flurry_fast.broker import EmbeddedBroker
from flurry_fast.config import load_settings
from flurry_fast.errors import ConfigError
from flurry_fast.portal.serve import serve


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("NOT TESTED: there is no openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "chain.pem", folder / "key.pem"
    made = [
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        "-keyout",
        str(key),
        "-out",
        str(chain),
    ]
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run([openssl, "req", *kind, *made], check=True, capture_output=True)
    return chain, key


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
