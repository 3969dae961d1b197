"""One portal process: from settings to an orderly end."""

from __future__ import annotations

import logging
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress

import structlog

from flurry_fast._core import Portal as NativePortal
from flurry_fast._wire import Outlet
from flurry_fast.config.model import Settings
from flurry_fast.errors import ConfigError, ConfigProblem, FlurryFastError
from flurry_fast.kafka import Cluster, client_config
from flurry_fast.metrics import serve_pages
from flurry_fast.portal.apps import App, read_apps
from flurry_fast.portal.listener import inherited, listen, shown
from flurry_fast.portal.metrics import PortalMetrics
from flurry_fast.portal.native import native_settings, open_outlet
from flurry_fast.portal.state import PortalState
from flurry_fast.ports import Clock, SystemClock

TURN_SECONDS = 0.1
LOOK_SECONDS = 1.0
ASK_SECONDS = 2.0  # for brokers that are alive to answer
SYSLOG_WARNING, SYSLOG_INFO = 4, 6
OTHER_FILES = 256  # beside connections: brokers, logs, event queues
NOTES = 10  # of librdkafka's, that are logged in a second


class PortalFailed(FlurryFastError):
    """The portal can not go on; started again, it may."""


def serve(settings: Settings, stop: Callable[[], bool], listener_fd: int | None = None) -> None:
    """Take reports until `stop()`, then drain. `listener_fd`: a supervisor's socket, in place of one of our own.

    Raises ConfigError, ListenFailed, TopicMissing, KafkaUnavailable, BrokerNotRunning before anything is accepted, and
    PortalFailed.
    """
    log = structlog.get_logger("flurry_fast.portal")
    apps = read_apps(settings.portal.apps)
    with ExitStack() as stack:
        Cluster(settings.kafka).describe()
        listener = listen(settings.portal) if listener_fd is None else inherited(listener_fd)
        outlet = open_outlet(settings)
        clock = SystemClock()
        state = PortalState(clock, shown(listener), settings.portal.status_file)
        warning = _allow_files(settings.portal.connections)
        if warning is not None:
            log.warning(warning)
        portal = _start(settings, listener, outlet, apps)
        stack.callback(lambda: portal.drain(0))
        if settings.metrics.port:
            stack.callback(serve_pages(settings.metrics, PortalMetrics(state).registry, state.problems))
        state.phase = "running"
        log.info("listening", address=state.status()["address"], tls=settings.portal.certificate is not None)
        watch = _Watch(portal, outlet, state, clock, client_config(settings.kafka)["bootstrap.servers"])
        watch.run(stop)
        state.phase = "draining"
        log.info("draining", open=portal.stats()["open"], pending=portal.stats()["pending"])
        ended = portal.drain(settings.portal.drain_timeout)
        watch.tell()
        state.update(portal.stats(), down=outlet.down, fatal=outlet.fatal)
        state.phase = "ended"
        state.write()
        log.info("ended", stored=state.status()["records"], open=state.status()["open"])
        if state.fatal is not None:
            raise PortalFailed(f"The producer can not go on ({state.fatal}).", way_out="Start the portal again.")
        if not ended:
            log.warning("connections were still open; what they had posted was not acknowledged")


def _allow_files(connections: int) -> str | None:
    """Raises this process's limit of open files as far as it goes; a sentence where that is not enough."""
    wanted = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    return f"portal.connections is {connections}, but only {soft} files may be open (LimitNOFILE, ulimit -n)"


def _start(settings: Settings, listener: socket.socket, outlet: Outlet, apps: dict[bytes, App]) -> NativePortal:
    portal = settings.portal
    try:
        return NativePortal(
            listener.detach(), outlet, native_settings(portal, apps), certificate=portal.certificate, key=portal.key
        )
    except ValueError as error:
        if len(error.args) != 2:
            raise
        path, reason = error.args
        raise ConfigError([ConfigProblem(path, "portal.certificate", reason.rstrip("."))]) from None


class _Watch:
    """The loop of the main thread: says what the native side has to say, and keeps an eye on Kafka."""

    def __init__(self, portal: NativePortal, outlet: Outlet, state: PortalState, clock: Clock, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._portal, self._outlet, self._state, self._clock = portal, outlet, state, clock
        self._log = structlog.get_logger("flurry_fast.portal")
        self._librdkafka = logging.getLogger("flurry_fast.librdkafka")

    def run(self, stop: Callable[[], bool]) -> None:
        """Returns when it is time to end. Raises PortalFailed where nothing is accepted any more."""
        due = self._clock.monotonic()
        while not stop():
            if self._clock.monotonic() >= due:
                due = self._clock.monotonic() + LOOK_SECONDS
                self.look()
                if self._outlet.fatal is not None:
                    return
                if not self._portal.running:
                    raise PortalFailed("The portal's thread has ended.", way_out="Start the portal again.")
            self._clock.sleep(TURN_SECONDS)

    def tell(self) -> None:
        """Log what librdkafka said and what the access log has, since the last time."""
        notes = self._outlet.notes()
        for level, text in notes[:NOTES]:
            severity = (
                logging.DEBUG if level > SYSLOG_INFO else logging.INFO if level > SYSLOG_WARNING else logging.WARNING
            )
            self._librdkafka.log(severity, text)
        if len(notes) > NOTES:
            self._librdkafka.warning("and %d more lines", len(notes) - NOTES)
        for outcome, size, seconds, protocol, address in self._portal.take_log():
            who = {"address": address} if address else {}
            self._log.info("report", outcome=outcome, bytes=size, seconds=round(seconds, 4), protocol=protocol, **who)

    def look(self) -> None:
        """Once a second."""
        self.tell()
        was_down = self._state.down
        down = self._outlet.down and not (self._answers() and self._outlet.ask(ASK_SECONDS) is None)
        if down != was_down:
            self._portal.set_ready(not down)
            if down:
                self._log.error("Kafka can not be reached; nothing is stored or acknowledged until it can")
            else:
                self._log.info("Kafka can be reached again")
        self._state.update(self._portal.stats(), down=down, fatal=self._outlet.fatal)
        self._state.write()

    def _answers(self) -> bool:
        """Whether anybody listens where brokers should. librdkafka 2.16 connects without a pause while it is asked."""
        for broker in self._bootstrap.split(","):
            host, _, port = broker.rpartition("://")[2].rpartition(":")
            with suppress(OSError, ValueError), socket.create_connection((host.strip("[]"), int(port)), timeout=1):
                return True
        return False
