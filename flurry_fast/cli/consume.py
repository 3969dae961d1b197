"""flurry-fast consume: one process of the Data Log Consumer, or several on one host."""

from __future__ import annotations

import click

from flurry_fast.config.model import Settings
from flurry_fast.config.options import flag_for, given, settings_options


@click.command()
@flag_for("consume.sinks", "--sinks", metavar="LIST", help="counters, archive, or both (comma-separated).")
@flag_for("consume.workers", "--workers", metavar="N", help="Run so many processes, and supervise them.")
@flag_for("consume.status_file", "--status-file", metavar="FILE", help="Rewritten each second: state as a JSON line.")
@click.option("--until-eof", is_flag=True, hidden=True, help="Stop when standard input ends: the supervisor is gone.")
@settings_options
def command(settings: Settings, until_eof: bool) -> None:
    """Read reports from Kafka; write exact counters and the raw archive.

    Runs until SIGTERM or Ctrl-C, then writes what it has, commits and leaves the group. With --workers, SIGHUP
    replaces the processes one by one, with the settings as they are then.
    """
    from flurry_fast import logs

    logs.configure(settings.log)
    if settings.consume.workers > 1:
        from flurry_fast.workers.run import supervise

        now = given()
        supervise(settings, now.arguments, now.load)
        return
    from flurry_fast.consumer.start import StopSignals, consume
    from flurry_fast.signals import stop_at_eof

    with StopSignals() as stop:
        if until_eof:
            stop_at_eof()
        consume(settings, stop)
