"""What a server and a part of the stack are, whichever product they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flurry_fast.stack.options import PartName


class NotReady(Exception):
    """A probe's answer: not yet, and why, in a few words."""


Probe = Callable[[], None]  # raises NotReady, or whatever the call failed with


@dataclass(frozen=True)
class Server:
    """One process.

    `command` starts it, `preparation` (if any) must have run once before, and makes `prepared` of nothing. `answers` is
    a real call that says whether this process works, whatever the others do. `says` is in its log once it has started.
    `memory` is what it takes at most in ordinary use, in MiB.
    """

    name: str
    part: PartName
    command: tuple[str, ...]
    ports: Mapping[str, int]
    memory: int
    answers: Probe
    preparation: tuple[str, ...] | None = None
    prepared: Path | None = None
    says: bytes | None = None


@dataclass(frozen=True)
class Part:
    """Servers that are of use together only: `usable` is the real call that says so.

    `files` are their configuration; `after` names the part that must be usable before these are started.
    """

    name: PartName
    servers: tuple[Server, ...]
    files: Mapping[Path, str]
    usable: Probe
    after: PartName | None = None
