"""The command line: one file a command, loaded only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import click

from flurry_fast.errors import FlurryFastError

# name -> (module, one-line help); the module offers a click command `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "decode": ("flurry_fast.cli.decode", "Print device reports as people or scripts want to read them."),
    "simulate": ("flurry_fast.cli.simulate", "Send the reports of a simulated fleet to Kafka, a portal or a file."),
    "broker": ("flurry_fast.cli.broker", "Run the embedded broker (librdkafka's mock cluster)."),
    "portal": ("flurry_fast.cli.portal", "Take reports over HTTP; answer 200 once Kafka has them."),
    "consume": ("flurry_fast.cli.consume", "Read reports from Kafka; write counters and archive."),
    "counters": ("flurry_fast.cli.counters", "Print an app's counters."),
    "apps": ("flurry_fast.cli.apps", "List the busiest apps."),
    "archive": ("flurry_fast.cli.archive", "List or verify the archive."),
    "audit": ("flurry_fast.cli.audit", "Check every counter block against the archive."),
    "cell": ("flurry_fast.cli.cell", "Show an app's stored blocks of one hour, decoded."),
    "positions": (
        "flurry_fast.cli.positions",
        "Show where the sinks stand; reset the counters; fence a restored store.",
    ),
    "plan": ("flurry_fast.cli.plan", "Show what is counted, compare plans, switch to another one."),
    "gap": ("flurry_fast.cli.gap", "Record that retention removed records before they were read."),
    "stack": ("flurry_fast.cli.stack", "Run real Kafka, HDFS and HBase on this machine."),
    "tables": ("flurry_fast.cli.tables", "Make HBase tables ahead of need, check them, drop old months."),
    "topics": ("flurry_fast.cli.topics", "Make Flurry's topic on a real cluster, or check one."),
    "config": ("flurry_fast.cli.config", "Check, show or write the configuration."),
    "demo": ("flurry_fast.cli.demo", "Watch all of it run for a minute, with kills, and be audited."),
}


class _Commands(click.Group):
    """Imports a command's module when it is used, so that --help stays quick."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As a program: the process ends here. Tests and other callers use `main`."""
        try:
            return super().__call__(*args, **kwargs)
        except SystemExit as end:
            from flurry_fast.cli.leaving import leave

            leave(end.code)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FlurryFastError as error:
            click.echo(f"flurry-fast: {error}", err=True)
            ctx.exit(error.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flurry-fast")
def main() -> None:
    """Exact counters and a Parquet archive from device reports on Kafka."""
