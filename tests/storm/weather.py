"""Everything that a storm does to the pipeline: one function a fault, over the seams of `Round`.

A fault returns when what it broke is whole again; how long the pipeline then takes to have everything durable that was
acknowledged by that time is measured by whoever calls it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from faults.proxy import Kind
from storm import cells

if TYPE_CHECKING:
    from storm.round import Round

WRITE_TIMEOUT = 3.0  # counters.write_timeout of the consumers, seconds
SESSION = 3.0  # kafka.session_timeout of classic groups
HIT_SECONDS = 60.0  # until a fault of the proxy must have been met


class Fault(NamedTuple):
    """`what`: in words. `needs`: servers without which it makes no sense."""

    what: str
    do: Callable[[Round], None]
    needs: tuple[str, ...] = ()


def _zombie(round_: Round) -> None:
    consumer = round_.crew.any()
    consumer.send(signal.SIGSTOP)
    round_.pump(round_.session * 1.5 + 1.5)
    consumer.send(signal.SIGCONT)


def _rebalances(round_: Round) -> None:
    for _ in range(4):
        extra = round_.extra_consumer()
        extra.start()
        round_.pump(round_.draw.uniform(0.3, 1.5))
        extra.send(round_.draw.choice([signal.SIGTERM, signal.SIGKILL]))
        round_.wait(lambda: not extra.running, 60, "an extra consumer's end")  # noqa: B023 - called at once


def _spoil(kind: Kind, seconds: float, round_: Round) -> None:
    method = round_.draw.choice([b"mutateRowsTs", b"checkAndPut"])
    fault = round_.proxy.spoil(kind, method, seconds=seconds, keep=9)
    round_.wait(fault.hit.is_set, HIT_SECONDS, f"a call of {method.decode()} that {kind.name} spoils")


def _refuse_writes(round_: Round) -> None:
    """So many in a row that some are second and third attempts."""
    for _ in range(8):
        fault = round_.proxy.spoil(Kind.RESET_BEFORE, b"mutateRowsTs")
        round_.wait(fault.hit.is_set, HIT_SECONDS, "a write that is reset")


def _kill_amid_write(round_: Round) -> None:
    """kill -9 of all, one of whom waits for the reply to a write that never arrived."""
    fault = round_.proxy.spoil(Kind.SWALLOW, b"mutateRowsTs")
    round_.wait(fault.hit.is_set, HIT_SECONDS, "a write that never arrives")
    round_.crew.end_all(signal.SIGKILL)
    round_.crew.start()


def _server(name: str, round_: Round) -> None:
    """kill -9, a while without it, and a start. HBase may die of a DataNode or of the NameNode: see `Servers`."""
    servers = round_.servers
    servers.kill(name)
    round_.pump(round_.draw.uniform(0.5, 4.0))
    servers.give_back(name)
    round_.wait(servers.all_there, 300, f"{name} to start again")


def _broker(round_: Round) -> None:
    brokers = [name for name in round_.servers.names if name.startswith("kafka")]
    _server(round_.draw.choice(brokers), round_)


def _full(round_: Round) -> None:
    """The archive's folder may not grow: HDFS refuses every block, as it does on full disks."""
    round_.hdfs_admin("-setSpaceQuota", "1", round_.archive_folder)
    round_.pump(4.0)
    round_.hdfs_admin("-clrSpaceQuota", round_.archive_folder)


def _offsets(change: str, round_: Round) -> None:
    """An operator has stopped the group, and thinks that its commits are what is counted from."""
    round_.crew.end_all(round_.draw.choice([signal.SIGTERM, signal.SIGKILL]))
    round_.change_commits(change)
    round_.crew.start()


def _restore(round_: Round) -> None:
    """Every second time one process hangs, is forgotten, and goes on where it was when all is back."""
    backup = cells.take(round_.hbase)
    round_.pump(round_.draw.uniform(3.0, 6.0))
    forgotten = round_.crew.any() if round_.draw.random() < 0.5 else None
    if forgotten is not None:
        forgotten.send(signal.SIGSTOP)
    round_.crew.end_all(signal.SIGKILL, but=forgotten)
    cells.put_back(round_.hbase, backup)
    round_.change_commits("deleted")  # they tell of what the tables have lost; only the measurement believes them
    round_.operator("positions", "fence", "--yes")
    if forgotten is not None:
        forgotten.send(signal.SIGCONT)
    round_.crew.start()


FAULTS: dict[str, Fault] = {
    "kill": Fault("`kill -9` of a consumer", lambda round_: round_.crew.kill_one()),
    "zombie": Fault("SIGSTOP of a consumer beyond its session, then SIGCONT", _zombie),
    "rebalances": Fault("four members join and leave within seconds", _rebalances),
    "delay": Fault("a reply of the gateway comes after the time-out", partial(_spoil, Kind.DELAY, WRITE_TIMEOUT * 1.5)),
    "cut": Fault("a reply is cut after its call was carried out", partial(_spoil, Kind.CUT, 0.0)),
    "reset": Fault("a reset instead of a reply", partial(_spoil, Kind.RESET, 0.0)),
    "resets": Fault("eight writes, one after the other, are reset and not carried out", _refuse_writes),
    "half open": Fault("a call vanishes, and nothing is ever said", partial(_spoil, Kind.SWALLOW, 0.0)),
    "mid-write": Fault("`kill -9` of all consumers while a write of one of them is on its way", _kill_amid_write),
    "slow": Fault("a reply comes byte by byte", partial(_spoil, Kind.DRIP, 0.2)),
    "broker": Fault("`kill -9` of one of three brokers; leaders move", _broker, ("kafka2",)),
    "region server": Fault("`kill -9` of the region server, with the master", partial(_server, "hmaster")),
    "gateway": Fault("`kill -9` of the Thrift gateway", partial(_server, "thrift")),
    "DataNode": Fault("`kill -9` of a DataNode, below HBase and the archive", partial(_server, "dn1")),
    "NameNode": Fault("`kill -9` of the NameNode, below HBase and the archive", partial(_server, "nn")),
    "disk full": Fault("the archive may not grow", _full),
    "rewound": Fault("committed offsets set back to 0", partial(_offsets, "rewound")),
    "ahead": Fault("committed offsets moved beyond the log", partial(_offsets, "ahead")),
    "deleted": Fault("committed offsets deleted", partial(_offsets, "deleted")),
    "restore": Fault("all tables put back to a backup, then `positions fence`; a process may hang meanwhile", _restore),
    "recreate": Fault("the topic deleted and made again under consumers", lambda round_: round_.recreate_topic()),
}
