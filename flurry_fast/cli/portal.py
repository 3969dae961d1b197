"""flurry-fast portal: the HTTP front door, one process or several on one socket."""

from __future__ import annotations

import click

from flurry_fast.config.model import Settings
from flurry_fast.config.options import flag_for, given, settings_options


@click.command()
@flag_for("portal.host", "--host", metavar="ADDRESS", help="Address to listen on.")
@flag_for("portal.port", "--port", metavar="N", help="Port to listen on; 0: any free one.")
@flag_for("portal.certificate", "--certificate", metavar="FILE", help="Chain (PEM): HTTPS in place of HTTP.")
@flag_for("portal.key", "--key", metavar="FILE", help="The certificate's private key (PEM).")
@flag_for("portal.workers", "--workers", metavar="N", help="Run so many processes, and supervise them.")
@flag_for("portal.status_file", "--status-file", metavar="FILE", help="Rewritten each second: state as a JSON line.")
@click.option("--until-eof", is_flag=True, hidden=True, help="Stop when standard input ends: the supervisor is gone.")
@click.option("--listener-fd", type=int, hidden=True, help="The supervisor's socket.")
@settings_options
def command(settings: Settings, until_eof: bool, listener_fd: int | None) -> None:
    """Take device reports over HTTP and put them on Kafka.

    POST /aap.do and /aar.do: 200 means that Kafka has the report. What can not be stored is closed without an answer,
    or answered with a status where the client sent "Portal-Accepts: status". GET /healthz and /readyz.

    Reports go to the topic of the settings, on the embedded broker (flurry-fast broker) or where
    --set kafka.bootstrap=HOST:PORT,... says. Metrics: --set metrics.port=N. "flurry-fast config init" writes down every
    other bound and rate (portal.*) with its meaning.

    Runs until SIGTERM or Ctrl-C, then lets open requests end. With --workers, SIGHUP replaces the processes one by one,
    with the settings as they are then.
    """
    from flurry_fast import logs

    logs.configure(settings.log)
    if settings.portal.workers > 1:
        from flurry_fast.portal.run import supervise

        now = given()
        supervise(settings, now.arguments, now.load)
        return
    from flurry_fast.portal.serve import serve
    from flurry_fast.signals import stop_at_eof, stop_on_signals

    with stop_on_signals() as stop:
        if until_eof:
            stop_at_eof()
        serve(settings, stop, listener_fd)
