"""`flurry-fast portal --workers N`: one socket, several processes, replaced one by one without a refused connection."""

from __future__ import annotations

import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog

from flurry_fast.config.model import Settings
from flurry_fast.errors import ConfigError, ConfigProblem, FlurryFastError
from flurry_fast.metrics import serve_pages
from flurry_fast.portal.apps import read_apps
from flurry_fast.portal.listener import listen, shown
from flurry_fast.ports import SystemClock
from flurry_fast.workers.process import Process, WorkerProcess
from flurry_fast.workers.run import flags, handling
from flurry_fast.workers.summary import Summary
from flurry_fast.workers.supervisor import Supervisor
from flurry_fast.workers.team import HIGHEST_PORT, Member

END_SECONDS = 10.0  # beyond the drain


def supervise(settings: Settings, arguments: Sequence[str], reload: Callable[[], Settings]) -> None:
    """Run the workers until SIGTERM or SIGINT; SIGHUP replaces them one by one, with the settings as they are then.

    Raises ConfigError and ListenFailed before anything is started, WorkersStopped, WorkersKilled.
    """
    log = structlog.get_logger("flurry_fast.workers")
    read_apps(settings.portal.apps)  # what every worker would refuse is refused once
    clock = SystemClock()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flurry-fast-")))
        team = portal_team(settings, folder, people=sys.stderr.isatty())
        listener = stack.enter_context(listen(settings.portal))

        def start(member: Member) -> Process:
            return WorkerProcess(
                member.name,
                ["--listener-fd", str(listener.fileno()), *arguments, *flags(member.overrides)],
                member.status_file,
                command="portal",
                pass_fds=[listener.fileno()],
            )

        def may_restart() -> bool:
            try:
                read_apps(reload().portal.apps)
            except FlurryFastError as refused:
                log.error("no rolling restart, the settings are refused", reason=str(refused))  # noqa: TRY400
                return False
            return True

        end_seconds = settings.portal.drain_timeout + END_SECONDS
        supervisor = Supervisor(team, start, clock, end_seconds=end_seconds, may_restart=may_restart)
        summary = Summary(supervisor, clock, settings.portal.status_file)
        if settings.metrics.port:
            stack.callback(serve_pages(settings.metrics, summary.registry, summary.problems))
        log.info("supervising", workers=[member.name for member in team], address=shown(listener))
        with handling(
            {signal.SIGTERM: supervisor.stop, signal.SIGINT: supervisor.stop, signal.SIGHUP: supervisor.restart}
        ):
            supervisor.run(summary.write)


def portal_team(settings: Settings, folder: Path, *, people: bool) -> list[Member]:
    """The workers of `settings.portal.workers`; as `workers.team.make_team`."""
    count, port, asked = settings.portal.workers, settings.metrics.port, settings.portal.status_file
    if port and port + count > HIGHEST_PORT:
        raise ConfigError(
            [ConfigProblem("settings", "metrics.port", f"{count} workers need as many ports above {port}")]
        )
    team = []
    for number in range(1, count + 1):
        status = asked.with_name(f"{asked.stem}-{number}{asked.suffix}") if asked else folder / f"worker-{number}.json"
        overrides = {"portal.workers": "1", "portal.status_file": str(status)}
        if port:
            overrides["metrics.port"] = str(port + number)
        if settings.log.format == "auto" and people:
            overrides["log.format"] = "console"
        team.append(Member(number, f"{socket.gethostname()}-portal-{number}", status, overrides))
    return team
