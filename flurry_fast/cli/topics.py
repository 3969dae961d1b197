"""flurry-fast topics create|check: the topic of the settings, on a real cluster."""

from __future__ import annotations

from collections.abc import Callable

import click

from flurry_fast.config.model import Settings
from flurry_fast.config.options import settings_options
from flurry_fast.config.units import parse_bytes, parse_duration


@click.group()
def command() -> None:
    """Make the topic as exactness and speed want it, or compare one with that."""


@command.command()
@click.option(
    "--partitions", type=click.IntRange(1, 100_000), default=400, show_default=True, help="Never changed later."
)
@click.option(
    "--replication", type=click.IntRange(1, 10), default=3, show_default=True, help="Replicas of a partition."
)
@click.option(
    "--min-insync",
    type=click.IntRange(1, 10),
    metavar="N",
    help="Replicas that acknowledge. Default: 2, or all there are.",
)
@click.option("--retention", metavar="DURATION", default="7d", show_default=True, help="How long records are kept.")
@click.option("--retention-bytes", metavar="SIZE", help="How much of a partition is kept. Default: any.")
@click.option(
    "--setting", "more", multiple=True, metavar="KEY=VALUE", help="Another setting of Kafka; may be given again."
)
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
@settings_options
def create(
    settings: Settings,
    partitions: int,
    replication: int,
    min_insync: int | None,
    retention: str,
    retention_bytes: str | None,
    more: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Make the topic kafka.topic, with settings that keep counters exact (docs/tuning.md says why each).

    A small cluster: --partitions 12 --replication 1.
    """
    from flurry_fast.operations import topics

    changed = {"retention.ms": str(round(1000 * _number("--retention", parse_duration, retention)))}
    if retention_bytes is not None:
        changed["retention.bytes"] = str(round(_number("--retention-bytes", parse_bytes, retention_bytes)))
    for pair in more:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE, like segment.bytes=1000000", param_hint="--setting")
        changed[key.strip()] = value
    wanted = topics.Wanted(settings.kafka.topic, partitions, replication, min_insync, changed)
    if not dry_run:
        topics.create(settings.kafka, wanted)
    verb = "Would make" if dry_run else "Made"
    click.echo(f"{verb} topic {wanted.name}: {partitions} partitions, {replication} replicas.")
    for key, value in sorted(wanted.config().items()):
        click.echo(f"  {key}={value}")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
def check(settings: Settings, as_json: bool) -> None:
    """Compare the topic and its brokers with what exactness and speed need, and say what to change.

    Exit status 1 where something breaks exactness or can not be asked, 0 where there is only advice.
    """
    from flurry_fast.cli.findings_view import report
    from flurry_fast.cluster.checks import look

    if report(look(settings, ("brokers", "topic", "registry")), as_json=as_json):
        raise click.exceptions.Exit(1)


def _number(option: str, parse: Callable[[object], object], text: str) -> float:
    try:
        return float(str(parse(text)))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None
