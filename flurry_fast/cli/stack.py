"""`flurry-fast stack`: real Kafka, HDFS and HBase for development and tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, get_args

import click

from flurry_fast.cli.stack_progress import StackProgress
from flurry_fast.cli.stack_view import as_object, print_addresses, print_status, shown
from flurry_fast.stack import Stack, StackOptions, take_down
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.jars import CACHE_VARIABLE
from flurry_fast.stack.options import DEFAULT_BASE_PORT, PartName
from flurry_fast.stack.processes import tail
from flurry_fast.stack.stack import UP_SECONDS

DIR_VARIABLE = "FLURRY_FAST_STACK_DIR"
SIGNALS = ("KILL", "STOP", "CONT", "TERM")
_FOLLOW_SECONDS = 0.2


def _dir_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--dir", "root", type=click.Path(file_okay=False, path_type=Path), default=Path("data/stack"),
        show_default=True, envvar=DIR_VARIABLE, show_envvar=True, help="Folder of the stack.",
    )(command)  # fmt: skip


def _cache_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--cache", type=click.Path(file_okay=False, path_type=Path), envvar=CACHE_VARIABLE, show_envvar=True,
        metavar="FOLDER", help="Where jars are kept for all stacks. Default: flurry_fast/jars in the user's cache.",
    )(command)  # fmt: skip


def _properties(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> dict[str, dict[str, str]] | None:
    extra: dict[str, dict[str, str]] = {}
    for text in texts:
        part, colon, pair = text.partition(":")
        key, equals, value = pair.partition("=")
        if part not in get_args(PartName) or not (colon and equals and key):
            raise click.BadParameter(f"{text!r} is not kafka:KEY=VALUE, hdfs:KEY=VALUE or hbase:KEY=VALUE")
        extra.setdefault(part, {})[key] = value
    return extra or None


@click.group()
def command() -> None:
    """Run real Kafka, HDFS and HBase on this machine, on loopback, without containers.

    Needs Java 17 to 22 and, the first time, Maven; about 2.5 GiB of memory. The servers go on when the command ends.
    Their names: kafka1 (to kafka3), nn and dn1, dn2 (HDFS), hmaster and thrift (HBase).
    """


@command.command()
@_dir_option
@click.option("--base-port", type=int, metavar="PORT", help=f"Ports count from here. Default: {DEFAULT_BASE_PORT}.")
@click.option("--brokers", type=click.Choice([1, 3]), help="Kafka brokers. Default: 1.")
@click.option("--datanodes", type=click.IntRange(1, 3), help="HDFS DataNodes. Default: 2.")
@click.option("--kafka/--no-kafka", default=None, help="With or without Kafka.")
@click.option("--hdfs/--no-hdfs", default=None, help="With or without HDFS.")
@click.option("--hbase/--no-hbase", default=None, help="With or without HBase.")
@click.option("--hbase-root", type=click.Choice(["hdfs", "file"]), help="Where HBase keeps its files. Default: hdfs.")
@click.option("--quick/--no-quick", default=None, help="JVMs start sooner and are slow under load: for tests.")
@click.option(
    "--set", "extra", multiple=True, metavar="PART:KEY=VALUE", callback=_properties,
    help="A property of kafka, hdfs or hbase, as in hbase:hbase.client.retries.number=2; may be given again.",
)  # fmt: skip
@click.option("--fresh", is_flag=True, help="Stop what runs there, and begin with empty data.")
@click.option("--timeout", type=click.FloatRange(min=1), default=UP_SECONDS, show_default=True, help="Seconds to wait.")
@_cache_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object: addresses, settings, servers.")
@click.option("--until-eof", is_flag=True, hidden=True, help="Take it down, with its data, when standard input ends.")
def up(
    root: Path, cache: Path | None, fresh: bool, timeout: float, as_json: bool, until_eof: bool, **given: Any
) -> None:
    """Start the stack and wait until all of it can be used; then print where it is.

    What runs already is left alone, what is missing is started. Options that are not given are those of the last time.
    If it fails or is interrupted, what it started is stopped again.
    """
    given["hbase_on"] = given.pop("hbase_root")
    recorded = None if fresh else Folder(root).recorded()
    chosen = {name: value for name, value in given.items() if value is not None}
    options = (recorded or StackOptions()).changed(**chosen)
    signal.signal(signal.SIGTERM, _leave)
    begin = time.monotonic()
    try:
        with StackProgress() as progress:
            stack = Stack.up(root, options, fresh=fresh, cache=cache, seconds=timeout, progress=progress)
        if as_json:
            click.echo(json.dumps(as_object(stack, stack.status()) | {"launched": stack.launched}))
        else:
            click.echo(_what_was_done(stack, time.monotonic() - begin))
            print_addresses(stack)
        if until_eof:
            sys.stdout.flush()
            while os.read(0, 4096):
                pass
    finally:
        if until_eof:
            take_down(root, wipe=True)


def _leave(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _what_was_done(stack: Stack, seconds: float) -> str:
    where = shown(stack.folder.root)
    if not stack.launched:
        return f"The stack in {where} is up already."
    if len(stack.launched) < len(stack.names):
        return f"The stack in {where} is up: {', '.join(stack.launched)} had to be started ({seconds:.0f} s)."
    return f"The stack in {where} is up ({seconds:.0f} s)."


@command.command()
@_dir_option
@click.option("--wipe", is_flag=True, help="Remove its data, logs and configuration, too.")
def down(root: Path, wipe: bool) -> None:
    """Stop all servers: SIGTERM, after 20 s SIGKILL. Data stays unless --wipe is given."""
    names = take_down(root, wipe=wipe)
    done = f"Stopped {', '.join(names)}." if names else f"No stack runs in {shown(root)}."
    click.echo(f"{done} Its data is gone." if wipe else done)


@command.command()
@_dir_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object: addresses, settings, servers.")
def status(root: Path, as_json: bool) -> None:
    """Ask every server how it is; exit 1 unless all of them are well."""
    stack = Stack.at(root)
    found = stack.status()
    if as_json:
        click.echo(json.dumps(as_object(stack, found)))
    else:
        print_status(found)
        if found.ok:
            click.echo()
            print_addresses(stack)
    if not found.ok:
        sys.exit(1)


@command.command()
@click.argument("name")
@click.option("-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="How many last lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@_dir_option
def logs(name: str, lines: int, follow: bool, root: Path) -> None:
    """Print the end of server NAME's log."""
    stack = Stack.at(root)
    stack.pid(name)  # refuses unknown names
    path = stack.folder.log_of(name)
    if not path.exists():
        click.echo(f"{name} has not written anything yet.", err=True)
        return
    with suppress(KeyboardInterrupt), path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        click.echo(tail(path, lines))
        while follow:
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.flush()
            time.sleep(_FOLLOW_SECONDS)


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--signal", "name_of_signal", type=click.Choice(SIGNALS), default="KILL", show_default=True, help="Which."
)
@_dir_option
def kill(names: tuple[str, ...], name_of_signal: str, root: Path) -> None:
    """Hurt servers: kill -9, or another signal; `all` is every one that runs."""
    stack = Stack.at(root)
    for name in _expanded(stack, names, running=True):
        stack.kill(name, signal.Signals[f"SIG{name_of_signal}"])
        click.echo(f"{name} has got SIG{name_of_signal}.")


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--timeout", type=click.FloatRange(min=1), default=UP_SECONDS, show_default=True, help="Seconds to wait.")
@_cache_option
@_dir_option
def start(names: tuple[str, ...], timeout: float, cache: Path | None, root: Path) -> None:
    """Start servers again, with the same data, and wait until they can be used; `all` is every one."""
    stack = Stack.at(root, cache=cache)
    wanted = _expanded(stack, names, running=False)
    with StackProgress() as progress:
        launched = stack.start(*wanted, seconds=timeout, progress=progress)
    for name in wanted:
        click.echo(f"{name} {'has been started' if name in launched else 'ran already'}.")


def _expanded(stack: Stack, names: tuple[str, ...], *, running: bool) -> list[str]:
    wanted = stack.names if "all" in names else names
    pids = {name: stack.pid(name) for name in wanted}  # refuses unknown names, before anything is done
    return [name for name in pids if "all" not in names or not running or pids[name] is not None]
