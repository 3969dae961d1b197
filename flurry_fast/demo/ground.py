"""What a demo runs on: the embedded broker and files in its folder, or real Kafka, HBase and HDFS."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flurry_fast.config.model import Kafka
from flurry_fast.demo.screen import Screen
from flurry_fast.demo.workspace import TOPIC, Workspace
from flurry_fast.errors import FlurryFastError
from flurry_fast.operations import topics
from flurry_fast.stack import Addresses, Stack
from flurry_fast.stack.options import NAMES, PartName


class StackLacks(FlurryFastError):
    """The stack does not have all three parts."""

    exit_code = 2


@dataclass(frozen=True)
class Ground:
    """`kafka`: settings of [kafka] that say where it is, as TOML; `store` and `archive` as in the settings."""

    kafka: Mapping[str, str]
    store: str
    archive: str
    stack: Path | None = None  # the folder of the real servers; None: there are none

    @property
    def embedded(self) -> bool:
        """Whether the broker is a child of the demo."""
        return self.stack is None


def embedded(workspace: Workspace) -> Ground:
    """Everything in the demo's folder."""
    root = workspace.root.resolve()
    file = json.dumps(str(root / workspace.broker_file.name), ensure_ascii=False)  # a JSON string is a TOML string
    return Ground(
        {"broker_file": file, "topic": json.dumps(TOPIC), "librdkafka": '{ "heartbeat.interval.ms" = 500 }'},
        f"sqlite:{root / workspace.store.name}",
        str(root / workspace.archive.name),
    )


def on_stack(folder: Path, partitions: int, screen: Screen) -> Ground:
    """The stack in `folder`, which is started where it does not run; topic, tables and archive of this demo alone.

    Raises StackError, StackLacks, and what making a topic raises.
    """
    stack = Stack.up(folder, progress=_Telling(screen))
    addresses = _all_of(stack.addresses, folder)
    assert addresses.hbase_thrift is not None
    name = f"demo_{secrets.token_hex(3)}"
    kafka = Kafka(bootstrap=addresses.kafka, topic=name)
    topics.create(kafka, topics.Wanted(name, partitions, 1))
    screen.say(f"topic {name}, tables {name}_*, archive in /{name} on the stack in {folder}")
    host, port = addresses.hbase_thrift
    return Ground(
        {"bootstrap": json.dumps(addresses.kafka), "topic": json.dumps(name), "protocol": '"classic"'},
        f"hbase://{host}:{port}/{name}_",
        f"{addresses.hdfs}/{name}",
        folder,
    )


def _all_of(addresses: Addresses, folder: Path) -> Addresses:
    there = {"Kafka": addresses.kafka, "HDFS": addresses.hdfs, "HBase": addresses.hbase_thrift}
    missing = [name for name, address in there.items() if address is None]
    if missing:
        raise StackLacks(
            f"The stack in {folder} has no {' and no '.join(missing)}.",
            way_out="Start one that has all three: flurry-fast stack up --dir ANOTHER, and name it with --stack-dir.",
        )
    return addresses


class _Telling:
    """flurry_fast.stack.Progress as lines of the demo."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def resolving(self, part: PartName, jars: int, of: int, downloaded: int) -> None:
        if jars or downloaded:  # once on a machine
            what = f"{jars} of about {of} jars" if jars else f"{downloaded / 1e6:,.0f} MB downloaded"
            self._screen.phase(f"Real servers: {NAMES[part]}, {what}")

    def resolved(self, part: PartName, jars: int, size: int) -> None: ...

    def launched(self, name: str) -> None: ...

    def waiting(self, part: PartName, reason: str) -> None: ...

    def ready(self, part: PartName, seconds: float) -> None:
        self._screen.say(f"{NAMES[part]} is ready after {seconds:.0f} s")
