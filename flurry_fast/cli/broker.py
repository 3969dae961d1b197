"""`flurry-fast broker`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from flurry_fast.broker import RETENTION, BrokerFile, serve
from flurry_fast.config import Settings
from flurry_fast.config.options import flag_for, settings_options

MAX_PARTITIONS = 1000


@click.command()
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="NAME[:PARTITIONS]",
    help="A topic to create; may be given again. Default: kafka.topic of the settings.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1, MAX_PARTITIONS),
    default=8,
    show_default=True,
    help="Of each topic that does not say it itself.",
)
@flag_for(
    "kafka.broker_file",
    "--file",
    metavar="FILE",
    help="Where to write the address; consumers and simulators read it. Default: kafka.broker_file of the settings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the file's content, one line, instead of a sentence.")
@click.option("--until-eof", is_flag=True, hidden=True, help="Stop when standard input ends (for a parent process).")
@settings_options
def command(topics: tuple[str, ...], partitions: int, as_json: bool, until_eof: bool, settings: Settings) -> None:
    """Run the embedded broker until SIGTERM or Ctrl-C.

    It is librdkafka's mock cluster: the real protocol, in memory only. It keeps at most 5 MiB or 100,000 message sets
    a partition and forgets everything when it stops.
    """
    path = settings.kafka.broker_file
    wanted = dict(_topic(text, partitions) for text in topics or (settings.kafka.topic,))

    def ready(broker: BrokerFile) -> None:
        if as_json:
            click.echo(json.dumps(asdict(broker)))
        else:
            names = ", ".join(f"{name} ({count} partitions)" for name, count in broker.topics.items())
            click.echo(f"Broker at {broker.bootstrap}, written to {path}. Topics: {names}.")
            click.echo(f"It keeps {RETENTION}, in memory. Stop it with Ctrl-C.")

    serve(path, wanted, ready, until_eof=until_eof)


def _topic(text: str, partitions: int) -> tuple[str, int]:
    name, colon, count = text.partition(":")
    try:
        number = int(count) if colon else partitions
    except ValueError:
        number = 0
    if not name or not 1 <= number <= MAX_PARTITIONS:
        raise click.BadParameter(f"{text!r} is no NAME:PARTITIONS (1 to {MAX_PARTITIONS})", param_hint="--topic")
    return name, number
