"""The embedded broker: librdkafka's mock cluster in a process of its own, so that clients can die around it.

For the demo and tests. It speaks the real protocol, but keeps nothing: at most 5 MiB or 100,000 message sets a
partition, in memory, gone when it stops. Its file says where it is, and which incarnation of its topics it holds.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import Producer

from flurry_fast import _wire
from flurry_fast.errors import FlurryFastError
from flurry_fast.signals import stop_at_eof

RETENTION = "5 MiB or 100,000 message sets a partition"
_STOP = (signal.SIGTERM, signal.SIGINT)


class BrokerNotRunning(FlurryFastError):
    """There is no broker file, it is not one, or nobody is behind it."""


class BrokerAlreadyRunning(FlurryFastError):
    """Another broker owns the file and is alive."""


@dataclass(frozen=True)
class BrokerFile:
    """broker.json: the addresses (host:port, comma-separated), who serves them, and topic -> partitions."""

    bootstrap: str
    incarnation: int
    topics: Mapping[str, int]
    pid: int

    def is_alive(self) -> bool:
        """Whether that process is there and its port answers: a pid alone may have been given to another."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        host, _, port = self.bootstrap.split(",")[0].rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=2):
                return True
        except OSError:
            return False


def read_broker_file(path: Path) -> BrokerFile:
    """What the broker wrote. Raises BrokerNotRunning where there is no such file, or something else in it."""
    way_out = "Start one with: flurry-fast broker (or set kafka.bootstrap to real brokers)."
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        topics = {str(name): int(partitions) for name, partitions in given["topics"].items()}
        return BrokerFile(str(given["bootstrap"]), int(given["incarnation"]), topics, int(given["pid"]))
    except FileNotFoundError:
        raise BrokerNotRunning(f"No embedded broker is running: there is no {path}.", way_out=way_out) from None
    except OSError as error:
        raise BrokerNotRunning(f"{path} can not be read ({error.strerror}).", way_out=way_out) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BrokerNotRunning(f"{path} was not written by flurry-fast broker.", way_out=way_out) from None


def serve(path: Path, topics: Mapping[str, int], ready: Callable[[BrokerFile], None], *, until_eof: bool) -> None:
    """Be the broker until SIGTERM or SIGINT (or, with `until_eof`, until standard input ends: the parent is gone).

    Writes `path`, calls `ready`, blocks, removes `path`. Only in the main thread. Raises BrokerAlreadyRunning.
    """
    # librdkafka's threads inherit the mask, so the signals wait for sigwait alone.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    try:
        _refuse_second(path)
        cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 3})
        _wire.mock_rebalance_delay(cluster, 0)
        for topic, partitions in topics.items():
            _wire.mock_create_topic(cluster, topic, partitions)
        bootstrap = _wire.mock_bootstrap(cluster)
        mine = BrokerFile(bootstrap, secrets.randbelow(2**32 - 1) + 1, dict(topics), os.getpid())
        _publish(path, mine)
        try:
            ready(mine)
            if until_eof:
                stop_at_eof()
            signal.sigwait(_STOP)
        finally:
            _withdraw(path, mine)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _refuse_second(path: Path) -> None:
    try:
        other = read_broker_file(path)
    except BrokerNotRunning:
        if path.exists() and path.stat().st_size:
            raise  # somebody's file of another kind: not ours to replace
        path.unlink(missing_ok=True)
        return
    if other.is_alive():
        raise BrokerAlreadyRunning(
            f"A broker (process {other.pid}) is running at {other.bootstrap} already, {path} says.",
            way_out="Use it, stop it, or give another --file.",
        )
    path.unlink(missing_ok=True)


def _publish(path: Path, mine: BrokerFile) -> None:
    """Whole or not at all, and never over another's: of two that start at once, one is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(asdict(mine)) + "\n", encoding="utf-8")
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise BrokerAlreadyRunning(f"Another broker took {path} just now.", way_out="Use it.") from None
    finally:
        temporary.unlink()


def _withdraw(path: Path, mine: BrokerFile) -> None:
    with suppress(BrokerNotRunning):
        if read_broker_file(path) == mine:
            path.unlink(missing_ok=True)


class EmbeddedBroker:
    """A broker process of our own; it ends with this object's `stop` or, at the latest, with this process.

    `with EmbeddedBroker(path, {"reports": 4}) as broker: broker.file.bootstrap`.
    """

    def __init__(self, path: Path, topics: Mapping[str, int]) -> None:
        """Starts it and waits until it serves. Raises BrokerNotRunning with what it said if it does not."""
        arguments = [item for name, count in topics.items() for item in ("--topic", f"{name}:{count}")]
        root = str(Path(__file__).resolve().parents[1])
        search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "flurry_fast",
                "broker",
                "--file",
                str(path),
                "--json",
                "--until-eof",
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": search},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()  # one line once it serves; nothing if it ended before
        if not line:
            _, said = self._process.communicate()
            raise BrokerNotRunning(f"The embedded broker did not start: {said.strip()}")
        self.path = path
        self.file = read_broker_file(path)

    @property
    def pid(self) -> int:
        """Of the broker's process."""
        return self._process.pid

    def stop(self) -> None:
        """Ends the process; what it held is gone. A second call does nothing."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> EmbeddedBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
