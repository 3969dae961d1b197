"""What commands that look at, or change, the control table have in common: where to look, whom to ask, when to stop."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.files import open_files
from flurry_fast.config.model import Settings
from flurry_fast.kafka import Cluster
from flurry_fast.operations import group
from flurry_fast.operations.log import KafkaLog
from flurry_fast.operations.ports import Chains
from flurry_fast.registry import Registry
from flurry_fast.stores import CellStore, open_store


@dataclass(frozen=True)
class Desk:
    """Store, archive and log of one topic, open."""

    settings: Settings
    store: CellStore
    registry: Registry
    chains: Chains
    log: KafkaLog
    partitions: int

    def refuse_if_active(self) -> None:
        """Raises GroupActive while consumers of the settings' group are at work."""
        click.echo(f"Looking whether group {self.settings.kafka.group} is at work ...", err=True)
        group.look(self.settings.kafka, self.partitions).refuse_if_active()


@contextmanager
def desk(settings: Settings) -> Iterator[Desk]:
    """Opens what an operation needs; all of it is closed after. Raises StoreError, KafkaUnavailable, TopicMissing."""
    with opened(settings) as store:
        cluster = Cluster(settings.kafka)
        identity = cluster.describe()
        registry = Registry(store, settings.kafka.topic, cluster.incarnation)
        with KafkaLog(settings.kafka) as log:
            yield Desk(settings, store, registry, chains(settings), log, identity.partitions)


@contextmanager
def opened(settings: Settings) -> Iterator[CellStore]:
    """The store of the settings, which must be there; closed after. Raises StoreError."""
    store = open_store(settings.counters, create=False)
    try:
        yield store
    finally:
        store.close()


def chains(settings: Settings) -> Chains:
    """The archive of the settings' topic."""
    files = open_files(settings.archive)
    return lambda incarnation, partition: Chain(files, settings.kafka.topic, incarnation, partition)


def partition_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--partition`, once or more; it receives `partitions: tuple[int, ...]`, empty for all."""
    return click.option(
        "--partition", "partitions", type=click.IntRange(min=0), multiple=True, metavar="N",
        help="Only this partition; may be given again. Default: all.",
    )(command)  # fmt: skip


def consent_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--dry-run` and `--yes`; it receives `dry_run: bool` and `yes: bool`."""
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(command)


def consent(question: str, *, yes: bool) -> None:
    """Ask, unless `yes`. Ends the command with status 1 where the answer is no, or nobody is there to ask."""
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(1)


def when(ms: int | None) -> str:
    """A time of Kafka for people, in UTC."""
    if ms is None or ms < 0:
        return "unknown"
    try:
        return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"


def counted(number: int, noun: str) -> str:
    """`1 record`, `2,000 records`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
