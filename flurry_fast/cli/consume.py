"""flurry-fast consume: one process of the Data Log Consumer."""

from __future__ import annotations

import click

from flurry_fast.config.model import Settings
from flurry_fast.config.options import flag_for, settings_options


@click.command()
@flag_for("consume.sinks", "--sinks", metavar="LIST", help="counters, archive, or both (comma-separated).")
@flag_for("consume.status_file", "--status-file", metavar="FILE", help="Rewritten each second: state as a JSON line.")
@settings_options
def command(settings: Settings) -> None:
    """Read reports from Kafka; write exact counters and the raw archive.

    Runs until SIGTERM or Ctrl-C, then writes what it has, commits and leaves the group.
    """
    from flurry_fast import logs
    from flurry_fast.consumer.start import StopSignals, consume

    logs.configure(settings.log)
    with StopSignals() as stop:
        consume(settings, stop)
