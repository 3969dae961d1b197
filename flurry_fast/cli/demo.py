"""`flurry-fast demo`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from rich.console import Console

from flurry_fast.demo.options import DemoOptions

DEFAULTS = DemoOptions(Path("demo-run"))


@click.command()
@click.option(
    "--dir",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULTS.root,
    show_default=True,
    help="Folder of the demo; what an earlier one left there is replaced.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=DEFAULTS.seconds,
    show_default=True,
    help="How long the simulated devices send.",
)
@click.option(
    "--kills",
    type=click.IntRange(0, 100),
    default=DEFAULTS.kills,
    show_default=True,
    help="How often the consumer is killed with kill -9.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 1_000_000),
    default=DEFAULTS.rate,
    show_default=True,
    help="Reports a second. The independent count at the end is plain Python: about 2,000/s a processor.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=DEFAULTS.seed, show_default=True, help="Of the simulated fleet."
)
@click.option(
    "--apps",
    type=click.IntRange(1, 400_000),
    default=DEFAULTS.apps,
    show_default=True,
    help="Apps of the simulated fleet.",
)
@click.option(
    "--partitions", type=click.IntRange(1, 256), default=DEFAULTS.partitions, show_default=True, help="Of the topic."
)
@click.option(
    "--captures",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Real reports (*/*.bin), sent first. Default: tests/captures of the checkout, if there is one.",
)
@click.option("--stack", "on_stack", is_flag=True, help="On real Kafka, HBase and HDFS; needs Java and Maven.")
@click.option(
    "--stack-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/stack"),
    show_default=True,
    envvar="FLURRY_FAST_STACK_DIR",
    show_envvar=True,
    help="With --stack: the servers' folder. Those that do not run are started, and go on afterwards.",
)
@click.option("--no-live", is_flag=True, help="Progress lines instead of a live view (as without a terminal).")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the verdict there too.",
)
def command(
    root: Path,
    seconds: float,
    kills: int,
    rate: int,
    seed: int,
    apps: int,
    partitions: int,
    captures: Path | None,
    on_stack: bool,
    stack_dir: Path,
    no_live: bool,
    json_file: Path | None,
) -> None:
    """Watch all of it run for about a minute, be killed, and be exact.

    Broker, portal, consumer and simulated devices, which post to the portal, run as processes of their own; the
    consumer is killed with kill -9 on the way. Then every counter is compared with an independent count of what was
    sent. Exits with 1 if one is not exact. With --stack, broker, counters and archive are real Kafka, HBase and HDFS
    (flurry-fast stack).
    """
    # Here, so that `flurry-fast demo --help` is quick.
    from flurry_fast.demo.perform import find_captures, next_steps, perform
    from flurry_fast.demo.screen import LiveScreen, PlainScreen

    found = find_captures(captures)
    options = DemoOptions(
        root, seconds, kills, rate, seed, apps, partitions, found, stack=stack_dir if on_stack else None
    )
    console = Console()
    live = console.is_terminal and not no_live
    with LiveScreen(console) if live else PlainScreen() as screen:
        if found is None:
            screen.say("No captures of real reports here (an installed package has none): simulated devices only.")
        workspace, verdict, busiest = perform(options, screen)
    if json_file is not None:
        verdict.save(json_file)
    click.echo()
    for number, sentence in enumerate(verdict.sentences()):
        click.secho(sentence, fg=("green" if verdict.exact else "red") if number == 0 else None, bold=number == 0)
    click.echo("\nWhere to look next:")
    click.echo(f"  {' and '.join(str(chart) for chart in workspace.charts)}")
    for words, shows in next_steps(workspace, busiest, options.stack):
        click.echo(f"  # {shows}\n  {shlex.join(words)}")
    if not verdict.exact:
        raise SystemExit(1)
