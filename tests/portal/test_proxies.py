"""The proxies of docs/portal.md, as they stand there, before a portal: no status reaches an agent but 200."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from doors import ROOT, SECONDS, Door, payloads, read_all, request, wait_until
from loopback import free_port

from flurry_fast._core import HttpFleet
from flurry_fast.broker import EmbeddedBroker

PAGE = (ROOT / "docs/portal.md").read_text()
BODY = b"\x00\x1a whatever it is, it is stored"
NGINX = """\
user root; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{ access_log off; {paths}
{block}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def block(begins: str) -> str:
    """The indented lines of the docs that begin so."""
    found = re.search(rf"\n((?: {{4}}.*\n)*? {{4}}{begins}(?:.*\n)(?: {{4}}.*\n)*)", PAGE)
    assert found is not None
    return dedent(found[1])


@dataclass
class Proxy:
    """One that listens on `port`, with TLS and the certificate `chain`."""

    port: int
    chain: Path
    log: Path

    def connect(self) -> ssl.SSLSocket:
        trust = ssl.create_default_context(cafile=str(self.chain))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        return trust.wrap_socket(plain, server_hostname="localhost")

    def send(self, sent: bytes) -> bytes:
        with self.connect() as client:
            with suppress(OSError):
                client.sendall(sent)
            try:
                return read_all(client)
            except ssl.SSLEOFError:
                return b""


def nginx(folder: Path, port: int, door: str, pair: tuple[Path, Path]) -> list[str]:
    text = block("upstream portals").replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("10.0.0.11:8080", door).replace("10.0.0.12:8080", door)
    text = text.replace("/etc/nginx/flurry.pem", str(pair[0])).replace("/etc/nginx/flurry.key", str(pair[1]))
    paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, paths=paths, block=text))
    return ["-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")]


def haproxy(folder: Path, port: int, door: str, pair: tuple[Path, Path]) -> list[str]:
    both = folder / "both.pem"
    both.write_text(pair[0].read_text() + pair[1].read_text())
    text = block("defaults").replace("bind :443", f"bind 127.0.0.1:{port}")
    text = text.replace("/etc/haproxy/flurry.pem", str(both))
    text = text.replace("10.0.0.11:8080", door).replace("10.0.0.12:8080", door)
    file = folder / "haproxy.cfg"
    file.write_text(text)
    return ["-db", "-f", str(file)]


PROXIES = {"nginx": nginx, "haproxy": haproxy}
Start = Callable[[Door], Proxy]


@pytest.fixture(params=PROXIES)
def start(request: pytest.FixtureRequest, pair: tuple[Path, Path], tmp_path: Path) -> Iterator[Start]:
    """Starts one in front of a door."""
    program = shutil.which(request.param, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(f"NOT TESTED: {request.param} is not installed")
    folder = tmp_path / request.param
    folder.mkdir()
    running: list[subprocess.Popen[bytes]] = []

    def run(door: Door) -> Proxy:
        port = free_port()
        words = PROXIES[request.param](folder, port, "{}:{}".format(*door.address), pair)
        proxy = Proxy(port, pair[0], folder / "said.log")
        with proxy.log.open("wb") as log:
            running.append(subprocess.Popen([program, *words], stdout=log, stderr=log))
        wait_until(lambda: listens(port) or running[0].poll() is not None, "the proxy listens", 20)
        assert running[0].poll() is None, proxy.log.read_text()
        return proxy

    yield run
    for process in running:
        process.terminate()
        process.wait(SECONDS)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def door_of(folder: Path, broker: EmbeddedBroker, topic: str, **settings: object) -> Iterator[Door]:
    given = {"portal__forwarded": "true", "portal__headers": "address", **settings}
    with Door(folder, broker, topic, **given) as door:
        yield door


def test_every_capture_passes(
    start: Start, captures: list[Path], tmp_path: Path, broker: EmbeddedBroker, topic: str
) -> None:
    bodies = [path.read_bytes() for path in captures]
    with door_of(tmp_path, broker, topic) as door:
        proxy = start(door)
        fleet = HttpFleet(
            f"127.0.0.1:{proxy.port}", host="data.flurry.com", devices=8, tls_name="localhost", authorities=proxy.chain
        )
        assert fleet.post(bodies) == len(bodies)
        fleet.finish()
        assert fleet.counts() == {**dict.fromkeys(fleet.counts(), 0), "stored": len(bodies)}, proxy.log.read_text()
        answer = proxy.send(request(BODY))
        assert b"\r\nContent-Length: 0\r\n" in answer
        assert b"\r\nConnection: close\r\n" in answer
        assert door.stop() == 0
    assert payloads(broker, topic).keys() == {*bodies, BODY}


def test_agents_of_2010_speak_tls_1_0(start: Start, tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    with door_of(tmp_path, broker, topic) as door:
        proxy = start(door)
        where = ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-ign_eof"]
        words = [*where, "-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"]
        done = subprocess.run(words, input=request(BODY), capture_output=True, timeout=SECONDS, check=False)
        assert b"HTTP/1.1 200 OK" in done.stdout, done.stdout + done.stderr
        assert b"TLSv1\n" in done.stdout


def test_what_is_not_stored_gets_no_status(start: Start, tmp_path: Path) -> None:
    impatient = {"portal__answer_timeout": "500ms", "portal__max_body": "64KiB"}
    with (
        EmbeddedBroker(tmp_path / "broker.json", {"reports": 2}) as broker,
        door_of(tmp_path, broker, "reports", **impatient) as door,
    ):
        proxy = start(door)
        wait_until(lambda: proxy.send(request(BODY)).startswith(b"HTTP/1.1 200 OK\r\n"), "it is stored")
        for wrong in (
            b"POST /aap.do HTTP/1.1\r\nContent Length: 1\r\n\r\nx",
            b"POST /aap.do HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\nx",
            b"POST /aap.do HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
            b"no HTTP at all\r\n\r\n",
            request(b"x" * 100_000),
            request(b"", length=5_000_000),
        ):
            assert proxy.send(wrong) == b"", wrong[:60]
        broker.stop()
        for extra in ((), ("Portal-Accepts: status",)):
            answer = proxy.send(request(BODY, *extra))
            assert b" 200 " not in answer
            assert not extra or answer == b"" or answer.startswith(b"HTTP/1.1 503 ")
            assert extra or answer == b""
        door.stop()
        assert proxy.send(request(BODY)) == b""
