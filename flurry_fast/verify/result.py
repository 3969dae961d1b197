"""What an audit finds, who watches it, and who remembers what was found before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flurry_fast.spans import Range


@dataclass(frozen=True, order=True)
class Column:
    """Whose contribution: one partition of one topic incarnation under one plan."""

    plan: int
    incarnation: int
    partition: int

    def __str__(self) -> str:
        return f"partition {self.partition} (plan {self.plan:08x}, incarnation {self.incarnation:08x})"


@dataclass(frozen=True, slots=True)
class Cell:
    """A block's cell as it was read; of the value only a digest is kept."""

    table: str
    end: int
    digest: bytes


@dataclass
class PartitionAudit:
    """The result for one column. Offsets are absolute; `findings` are sentences, each one thing that is wrong."""

    column: Column
    position: int
    ranges: list[Range] = field(default_factory=list)  # what its plan counted, or is counting, of the partition
    archive_end: int | None = None
    files: int = 0
    records: int = 0  # folded
    to_fold: int = 0
    blocks: int = 0
    compared: int = 0
    ahead: int = 0  # blocks whose end the archive has not reached yet
    behind_gap: int = 0  # blocks that cannot be compared, because offsets were lost and recorded as lost
    dropped: int = 0  # blocks that archived records belong to, whose month was dropped
    other_rules: int = 0  # blocks that another version counted by other rules: this one can not count them again
    unchecked: int = 0  # records below the counters' position that are not archived yet
    findings: list[str] = field(default_factory=list)
    note: str = ""  # of an audit that was resumed: whether this is what was found before

    @property
    def begin(self) -> int:
        """The first offset that was counted."""
        return self.ranges[0].start


@dataclass
class Audit:
    """The whole result."""

    topic: str
    generation: int
    partitions: list[PartitionAudit] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)  # of no partition in particular
    other_cells: int = 0  # of other topics: not looked at

    @property
    def blocks(self) -> int:
        """Blocks whose bytes were compared."""
        return sum(partition.compared for partition in self.partitions)

    @property
    def records(self) -> int:
        """Archived records that were folded."""
        return sum(partition.records for partition in self.partitions)

    def problems(self, *, complete: bool = False) -> list[str]:
        """Every finding; comparing nothing is one. `complete`: so is every block and record that was not compared,
        as it should be after the last flush."""
        found = [*self.findings]
        for partition in self.partitions:
            found += [f"{partition.column}: {finding}" for finding in partition.findings]
            if complete and (partition.ahead or partition.unchecked):
                found.append(
                    f"{partition.column}: {partition.ahead} blocks and {partition.unchecked} records are ahead of the"
                    " archive"
                )
        if not self.blocks:
            found.append("nothing could be compared: no stored block ends where the archive has come to")
        return found


class Progress(Protocol):
    """Who watches an audit. `cli.progress` shows it to people."""

    def planned(self, partitions: Sequence[PartitionAudit], /) -> None:
        """These will be looked at, `to_fold` records of each. Said of all at first, then of each as its turn comes."""

    def folded(self, partition: PartitionAudit, records: int, /) -> None:
        """So many records more."""

    def finished(self, partition: PartitionAudit, /) -> None:
        """All there is to say of this one is known."""


class Silence:
    """Nobody watches."""

    def planned(self, partitions: Sequence[PartitionAudit], /) -> None:
        """Nobody watches."""

    def folded(self, partition: PartitionAudit, records: int, /) -> None:
        """Nobody watches."""

    def finished(self, partition: PartitionAudit, /) -> None:
        """Nobody watches."""


class Memory(Protocol):
    """What earlier runs of the same audit have finished. `verify.ledger` keeps it in a file."""

    def recall(self, partition: PartitionAudit, seen: str, /) -> PartitionAudit | None:
        """What was found in a partition when it looked exactly as it does now; `seen` is a digest of how it looks."""

    def keep(self, partition: PartitionAudit, seen: str, /) -> None:
        """It is finished."""


class Oblivion:
    """An audit that begins anew."""

    def recall(self, partition: PartitionAudit, seen: str, /) -> PartitionAudit | None:  # noqa: ARG002
        """Nothing was finished."""
        return None

    def keep(self, partition: PartitionAudit, seen: str, /) -> None:
        """It is forgotten."""
