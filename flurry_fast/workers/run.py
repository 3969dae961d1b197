"""`flurry-fast consume --workers N`: from settings to supervised processes."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import structlog

from flurry_fast.config.model import Settings
from flurry_fast.consumer.start import DRAIN_SHARE, load_plan
from flurry_fast.errors import FlurryFastError
from flurry_fast.metrics import serve_pages
from flurry_fast.ports import SystemClock
from flurry_fast.workers.process import Process, WorkerProcess
from flurry_fast.workers.summary import Summary
from flurry_fast.workers.supervisor import Supervisor
from flurry_fast.workers.team import Member, make_team, memory_warning

END_SECONDS = 60.0  # beyond the drain: the last flush's deadline, a commit, leaving the group


def supervise(settings: Settings, arguments: Sequence[str], reload: Callable[[], Settings]) -> None:
    """Run the workers until SIGTERM or SIGINT. `arguments` are the command line's settings, passed on to each of them;
    `reload` reads the settings anew, before a rolling restart (SIGHUP).

    Raises ConfigError before anything is started, WorkersStopped, WorkersKilled.
    """
    log = structlog.get_logger("flurry_fast.workers")
    load_plan(settings.plan)  # what every worker would refuse is refused once
    clock = SystemClock()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flurry-fast-")))
        team = make_team(settings, folder, people=sys.stderr.isatty())
        warning = memory_warning(settings)
        if warning is not None:
            log.warning(warning)

        def start(member: Member) -> Process:
            return WorkerProcess(member.name, [*arguments, *flags(member.overrides)], member.status_file)

        drain = settings.consume.drain_timeout or settings.kafka.session_timeout / DRAIN_SHARE
        end_seconds = drain + settings.counters.write_timeout + END_SECONDS

        def may_restart() -> bool:
            try:
                load_plan(reload().plan)
            except FlurryFastError as refused:
                reason = str(refused)
            else:
                return True
            log.error("no rolling restart, the settings are refused", reason=reason)
            return False

        supervisor = Supervisor(team, start, clock, end_seconds=end_seconds, may_restart=may_restart)
        summary = Summary(supervisor, clock, settings.consume.status_file)
        if settings.metrics.port:
            stack.callback(serve_pages(settings.metrics, summary.registry, summary.problems))
        log.info("supervising", workers=[member.name for member in team], memory_each=settings.consume.memory)
        with handling(
            {signal.SIGTERM: supervisor.stop, signal.SIGINT: supervisor.stop, signal.SIGHUP: supervisor.restart}
        ):
            supervisor.run(summary.write)


def flags(overrides: Mapping[str, str]) -> list[str]:
    """Settings as `--set` flags."""
    return [item for key, value in overrides.items() for item in ("--set", f"{key}={value}")]


@contextmanager
def handling(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Signals call these functions, between two instructions of the main thread; as before when the block is left."""

    def handle(number: int, _frame: Any) -> None:
        handlers[signal.Signals(number)]()

    before = {number: signal.signal(number, handle) for number in handlers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
