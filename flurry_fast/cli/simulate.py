"""flurry-fast simulate: the reports of a simulated fleet, to Kafka or to a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flurry_fast.agent.http import HttpJob
from flurry_fast.agent.job import DEFAULT_REPORTS, FileJob, Job, KafkaJob, Summary
from flurry_fast.agent.run import Bounds
from flurry_fast.agent.simulator import DEFAULT_RATE, FleetSettings, parse_protocols, parse_start, show_start
from flurry_fast.agent.watch import Several, StatusFile
from flurry_fast.cli.meter import Meter
from flurry_fast.config.model import Settings
from flurry_fast.config.options import settings_options
from flurry_fast.config.units import parse_bytes
from flurry_fast.signals import stop_on_signals

Command = Callable[..., Any]

FILE = click.Path(dir_okay=False, path_type=Path)
FILE_OR_DASH = click.Path(dir_okay=False, path_type=Path, allow_dash=True)
PEM = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
SHARE = click.FloatRange(0, 1)
RATE = click.IntRange(1, 10_000_000)


def _parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A click callback; what `parse` refuses with ValueError is a usage error."""

    def callback(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def _all_of(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several click options as one decorator."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


# Which reports: together they decide every byte.
_fleet_options = _all_of(
    click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=1, show_default=True),
    click.option(
        "--start",
        default="now",
        show_default=True,
        callback=_parsed(parse_start),
        metavar="TIME",
        help="Virtual time of the first report: ISO 8601, ms since the epoch, or now.",
    ),
    click.option("--apps", type=click.IntRange(1, 400_000), default=400_000, show_default=True),
    click.option("--devices", type=click.IntRange(1, 10**10), default=10_000_000, show_default=True),
    click.option(
        "--protocols",
        callback=_parsed(parse_protocols),
        metavar="MIX",
        help="Agent protocols and weights, like 26:50,22:30  [default: a mix as in 2013]",
    ),
    click.option("--malformed", type=SHARE, default=0.0, show_default=True, help="Share of damaged reports."),
    click.option("--hostile", type=SHARE, default=0.0, show_default=True, help="Share that means harm."),
    click.option("--captures", type=FOLDER, metavar="DIR", help="First send the captures (*.bin) below DIR."),
)


# Where they go, and who is waited for.
_target_options = _all_of(
    click.option(
        "--out",
        type=FILE_OR_DASH,
        metavar="FILE",
        help="Write to FILE instead of Kafka, each report after its length (u32, big-endian); - for stdout.",
    ),
    click.option("--http", metavar="URL", help="Post to a portal at http(s)://HOST:PORT instead, as real agents do."),
    click.option(
        "--ca",
        "authorities",
        type=PEM,
        metavar="FILE",
        help="Authorities (PEM) that an https portal's certificate is held against  [default: the system's]",
    ),
    click.option("--insecure", is_flag=True, help="Take any certificate of an https portal."),
    click.option(
        "--connections",
        type=click.IntRange(1, 100_000),
        default=256,
        show_default=True,
        help="Devices that post to the portal at the same time.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        help="Threads that these devices are shared out to; one is as much as one processor.",
    ),
    click.option(
        "--resends",
        type=click.IntRange(0),
        default=3,
        show_default=True,
        help="How often a device comes back to the portal with what was not stored.",
    ),
    click.option(
        "--resend-wait",
        type=click.FloatRange(0),
        default=1.0,
        show_default=True,
        metavar="SECONDS",
        help="After so long.",
    ),
    click.option("--keep-alive", is_flag=True, help="Use connections to the portal again, as no agent does."),
    click.option("--broker", type=FILE, metavar="FILE", help="Embedded broker  [default: kafka.broker_file]"),
    click.option("--bootstrap", metavar="HOST:PORT,...", help="Brokers  [default: kafka.bootstrap]"),
    click.option("--topic", help="Topic  [default: kafka.topic]"),
    click.option("--manifest", type=FILE, metavar="FILE", help="What was sent (and acknowledged), a JSON line each."),
    click.option(
        "--throttle-group",
        metavar="GROUP",
        help="Send no faster than GROUP commits  [default: kafka.group, for the embedded broker; nobody, with --http]",
    ),
    click.option(
        "--throttle-bytes",
        default="2MiB",
        show_default=True,
        callback=_parsed(parse_bytes),
        metavar="SIZE",
        help="Most bytes that a partition may hold uncommitted.",
    ),
    click.option("--no-throttle", is_flag=True, help="Wait for nobody, even if the broker forgets reports."),
)


@click.command()
@click.option("--reports", type=click.IntRange(1), help=f"Stop after so many  [default: {DEFAULT_REPORTS:,}]")
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Stop after so long.")
@click.option("--rate", type=RATE, help="Reports a second  [default: as fast as it goes]")
@_fleet_options
@_target_options
@click.option("--status-file", type=FILE, metavar="FILE", help="Keep how far it is in FILE, as one JSON line.")
@click.option("--progress/--no-progress", default=None, help="Show a progress bar  [default: on a terminal]")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object that says what was sent.")
@settings_options
def command(
    settings: Settings,
    reports: int | None,
    duration: float | None,
    rate: int | None,
    start: int,
    protocols: dict[int, int] | None,
    status_file: Path | None,
    progress: bool | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Send the reports of a simulated fleet to Kafka, to a portal or to a file."""
    names = ("seed", "apps", "devices", "malformed", "hostile")
    fleet = FleetSettings(start_ms=start, rate=rate or DEFAULT_RATE, **{name: options[name] for name in names})
    if protocols:
        fleet = fleet.with_protocols(protocols)
    total = reports or (None if duration else DEFAULT_REPORTS)
    job = _job(settings, fleet, Bounds(total, duration, rate), options)
    shown = sys.stderr.isatty() if progress is None else progress
    with stop_on_signals() as stopped, Meter(job.total, shown=shown) as meter:
        summary = job.run(stopped, Several([meter, StatusFile(status_file)]) if status_file else meter)
    if as_json:
        click.echo(json.dumps(summary.as_dict()), err=str(options["out"]) == "-")
    else:
        click.echo(_sentences(summary, fleet), err=True)
    summary.check()


def _job(settings: Settings, fleet: FleetSettings, bounds: Bounds, options: dict[str, Any]) -> Job:
    if options["out"] is not None:
        for name in ("broker", "bootstrap", "topic", "throttle_group", "no_throttle"):
            if options[name]:
                raise click.UsageError(f"--{name.replace('_', '-')} and --out exclude each other: it is about Kafka.")
        if options["http"]:
            raise click.UsageError("--http and --out exclude each other.")
        return FileJob(fleet, options["captures"], bounds, options["out"], options["manifest"])
    if options["http"] is not None:
        for name in ("broker", "bootstrap", "topic", "no_throttle"):
            if options[name]:
                raise click.UsageError(
                    f"--{name.replace('_', '-')} and --http exclude each other: the portal knows Kafka."
                )
        if options["authorities"] and options["insecure"]:
            raise click.UsageError("--ca and --insecure exclude each other.")
        names = (
            *("authorities", "insecure", "manifest", "connections", "threads", "resends", "resend_wait"),
            *("keep_alive", "throttle_group", "throttle_bytes"),
        )
        return HttpJob(
            fleet,
            options["captures"],
            bounds,
            options["http"],
            kafka=settings.kafka,
            **{name if name != "connections" else "devices": options[name] for name in names},
        )
    if options["broker"] and options["bootstrap"]:
        raise click.UsageError("--broker and --bootstrap exclude each other.")
    if options["no_throttle"] and options["throttle_group"]:
        raise click.UsageError("--no-throttle and --throttle-group exclude each other.")
    changes: dict[str, Any] = {"topic": options["topic"]} if options["topic"] else {}
    if options["broker"]:
        changes |= {"broker_file": options["broker"], "bootstrap": None}
    if options["bootstrap"]:
        changes |= {"bootstrap": options["bootstrap"]}
    kafka = settings.kafka.model_copy(update=changes)
    group = options["throttle_group"] or (None if kafka.bootstrap or options["no_throttle"] else kafka.group)
    return KafkaJob(fleet, options["captures"], bounds, kafka, options["manifest"], group, options["throttle_bytes"])


def _sentences(summary: Summary, fleet: FleetSettings) -> str:
    progress = summary.progress
    lines = [
        f"{progress.reports:,} reports ({progress.payload_bytes / 1e6:,.1f} MB) in {progress.seconds:.1f} s, "
        f"{progress.rate:,.0f} a second{', interrupted' if summary.interrupted else ''}."
    ]
    if summary.deliveries is not None:
        lines.append(f"{summary.deliveries.acked:,} are acknowledged, {summary.deliveries.failed:,} failed.")
    lines.append(f"The same reports again: --seed {fleet.seed} --start {show_start(fleet.start_ms)}")
    if summary.http is not None:
        seen, latency = summary.http, summary.http["latency_seconds"]
        lines.append(
            f"Posts were repeated {seen['repeats']:,} times at once and {seen['resends']:,} times later; answers took "
            + ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in latency.items())
            + "."
        )
    return "\n".join(lines)
