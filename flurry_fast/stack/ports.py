"""Which port is whose: all of them follow from one base, so that stacks can stand beside each other."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass

HOST = "127.0.0.1"
SPAN = 900  # ports from the base on that a stack may use
_CANDIDATES = range(20_000, 31_000, SPAN)  # below what Linux gives to outgoing connections


@dataclass(frozen=True)
class Ports:
    """The ports of a stack with that base; the last digits are those of each server's own default where they fit."""

    base: int

    def broker(self, number: int) -> int:
        """Kafka clients; `number` from 1."""
        return self.base + 100 * (number - 1) + 92

    def controller(self, number: int) -> int:
        """KRaft."""
        return self.base + 100 * (number - 1) + 93

    @property
    def namenode(self) -> int:
        """File system calls."""
        return self.base + 20

    @property
    def namenode_http(self) -> int:
        """WebHDFS and JMX."""
        return self.base + 870

    def datanode(self, number: int) -> dict[str, int]:
        """Of DataNode `number` (from 1), by the word that its property `dfs.datanode.WORD` has."""
        return {
            "address": self.base + 856 + 10 * number,
            "http.address": self.base + 854 + 10 * number,
            "ipc.address": self.base + 857 + 10 * number,
        }

    @property
    def zookeeper(self) -> int:
        """HBase's own ZooKeeper, inside the HMaster's process."""
        return self.base + 181

    @property
    def master(self) -> int:
        """HBase's master."""
        return self.base + 600

    @property
    def region_server(self) -> int:
        """HBase's region server, inside the HMaster's process."""
        return self.base + 620

    @property
    def thrift(self) -> int:
        """The Thrift gateway."""
        return self.base + 90


def is_free(port: int) -> bool:
    """Whether a server could listen there now (what only waits for its last packets is no hindrance)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_base() -> int:
    """A base whose ports are all free now, drawn at random so that two who look at once hardly meet.

    Raises OSError if there is none.
    """
    candidates = list(_CANDIDATES)
    random.shuffle(candidates)
    for base in candidates:
        if all(is_free(port) for port in range(base, base + SPAN)):
            return base
    raise OSError("no range of free ports")
