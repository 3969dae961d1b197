"""One embedded broker and one portal for all tests that leave both as they are; topics of their own for others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doors import Door

from flurry_fast.broker import EmbeddedBroker

TOPICS = {**{f"t{number}": 4 for number in range(40)}, "shared": 4, "strict": 4}


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("portal") / "broker.json", TOPICS) as running:
        yield running


@pytest.fixture(scope="session")
def _topics() -> Iterator[str]:
    return iter(TOPICS)


@pytest.fixture
def topic(_topics: Iterator[str]) -> str:
    """One that nobody has used."""
    return next(_topics)


@pytest.fixture(scope="session")
def door(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """As it is shipped."""
    with Door(tmp_path_factory.mktemp("door"), broker, "shared", portal__headers="protocol,network") as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="session")
def strict(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Impatient, and with little memory."""
    settings = {
        "portal__head_timeout": "500ms",
        "portal__grace": "500ms",
        "portal__min_rate": "64KiB",
        "portal__memory": "1MiB",
        "portal__room_timeout": "200ms",
        "portal__max_body": "256KiB",
        "portal__hold": "1ms",
        "portal__connections": 40,
    }
    with Door(tmp_path_factory.mktemp("strict"), broker, "strict", **settings) as running:
        yield running


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("NOT TESTED: there is no openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "chain.pem", folder / "key.pem"
    made = [
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),  # its own authority is not what a server may show
        "-keyout",
        str(key),
        "-out",
        str(chain),
    ]
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run([openssl, "req", *kind, *made], check=True, capture_output=True)
    return chain, key


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file of settings from where the tests are run."""
    monkeypatch.chdir(tmp_path)
