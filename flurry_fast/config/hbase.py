"""What `hbase://HOST:PORT/PREFIX` says. Light: settings are checked before anything heavy is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass

SCHEME = "hbase://"
PORT = 9090
PREFIX = "flurry_"
_HOST = r"\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)"
_NAME = r"(?:[A-Za-z0-9_]+:)?(?:[A-Za-z0-9_][A-Za-z0-9_.-]*)?"
_ADDRESS = re.compile(rf"{SCHEME}(?:{_HOST})(?::(?P<port>[0-9]{{1,5}}))?(?:/(?P<prefix>{_NAME}))?")


@dataclass(frozen=True)
class HBaseAddress:
    """A Thrift1 gateway, and how the tables of one store begin: `PREFIXcontrol`, `PREFIXcounters_201311`.

    `prefix` may name a namespace, which must exist: `analytics:` or `analytics:flurry_`.
    """

    host: str
    port: int = PORT
    prefix: str = PREFIX

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}{host}:{self.port}/{self.prefix}"


def parse_hbase(text: str) -> HBaseAddress:
    """Raises ValueError, with one sentence, for anything else than `hbase://HOST[:PORT][/PREFIX]`."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not hbase://HOST[:PORT][/PREFIX], where PREFIX begins the tables' names")
    port = int(match["port"] or PORT)
    if not 0 < port < 65536:
        raise ValueError(f"{text!r} has no possible port")
    return HBaseAddress(match["v6"] or match["host"], port, match["prefix"] or PREFIX)
