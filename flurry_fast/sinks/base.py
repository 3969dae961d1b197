"""What a sink is: somewhere records become durable, at its own pace, with its own position in every partition.

The loop decodes each batch once, in the engine; a sink never sees a record. It decides when what the engine holds for
it is written, writes that on its worker, and knows up to which offset everything is durable. It knows nothing of
Kafka, of the loop or of other sinks.

Threads. Every method is called on the loop's thread, and only there may a sink call the engine. What may take long
(store calls, files) is a job on the sink's `Worker`; a job is given frozen data and never touches the engine. Only
`locate`, `begin` and `drain` may block, as long as their words say; everything else returns at once.

Failure. A job that raises means *not acknowledged*, whatever it did before it raised: the same frozen data is sent
again after a pause that doubles (`Backoff`), for ever; how long that has gone on is in `status` and turns health red.
Nothing is dropped, skipped or given up silently. Only what can not be retried ends differently: `RegistryMismatch`
and `StoreCorrupt` come out of `poll` and end the process, and what concerns one partition alone is a `Stop`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from tenacity import RetryCallState
from tenacity.wait import wait_exponential, wait_random

from flurry_fast.ports import Clock


class Standing(Protocol):
    """Where a sink stands in a partition: everything below `position` is durable in it."""

    @property
    def position(self) -> int: ...

    @property
    def crc(self) -> int | None:
        """CRC-32C of record position - 1, to notice a log that was cut or replaced; None where nothing is below."""


P = TypeVar("P", bound=Standing)


@dataclass(frozen=True)
class Rewind:
    """The sink needs the partition again from `offset` on (it lost a race, or shed and is well again)."""

    partition: int
    offset: int


@dataclass(frozen=True)
class Stop:
    """The sink takes nothing more of this partition; `reason` is one sentence with the way out. Others go on."""

    partition: int
    reason: str


SinkEvent = Rewind | Stop


@dataclass(frozen=True)
class SinkStatus:
    """What an operator wants to know of a sink. Times are the clock's monotonic seconds."""

    name: str
    in_flight: bool
    unwritten_bytes: int
    oldest_unwritten: float | None  # when the oldest record that is not durable was taken; None: nothing is waiting
    failing_since: float | None  # first failure since the last success
    last_error: str | None
    flushes: int
    failures: int


@dataclass(frozen=True)
class FlushReport:
    """One attempt at writing, for metrics: failures are timed too. `rows` and `bytes` are the attempt's whole size."""

    sink: str
    ok: bool
    seconds: float
    rows: int
    bytes: int


def ignore(_: FlushReport) -> None:
    """Nobody is measuring."""


class Sink(abc.ABC, Generic[P]):
    """One kind of output. `P` is what it keeps as its position."""

    name: ClassVar[str]
    observe: Callable[[FlushReport], None] = staticmethod(ignore)  # told of every attempt, on the loop's thread
    share: ClassVar[float] = 1.0  # of the memory budget: with more than that unwritten, it is written early
    behind: bool = False  # reading is behind the log: what is written later costs less, and nobody waits for it

    @abc.abstractmethod
    def locate(self, partition: int) -> P | None:
        """Where the sink stands, read from where its data is; None if it never began this partition.

        Reads storage (blocks at most its deadline). Claims and changes nothing. Raises StoreError when it can not
        be read, PositionMissing when the sink's data is there but its beginning is not, StoreCorrupt when damaged.
        """

    @abc.abstractmethod
    def origin(self, partition: int) -> int | None:
        """The offset at which the sink's data of this partition begins; None if it never began, or does not know.

        Reads storage, blocks and raises as `locate`.
        """

    @abc.abstractmethod
    def begin(self, partition: int, offset: int) -> P:
        """Begin the partition at `offset`, durably, unless somebody began it already; where it stands then.

        Called before the first record. Preceded inside by the registry read. The offset of the answer counts, not
        the one asked for: of two processes that begin at once, one adopts the other's. Blocks and raises as `locate`.
        """

    @abc.abstractmethod
    def assign(self, partition: int, position: P) -> None:
        """The partition is ours and stands at `position`; the engine has been told already."""

    @abc.abstractmethod
    def poll(self) -> list[SinkEvent]:
        """Collect what the worker finished, start what is due (bytes, rows or age). Never blocks.

        A finished write is acknowledged to the engine here, and only after every part of it was acknowledged.
        Raises RegistryMismatch and StoreCorrupt (end of the process).
        """

    @abc.abstractmethod
    def flush(self) -> None:
        """Write what there is at the next `poll`, due or not (memory is short). No effect while failing."""

    @abc.abstractmethod
    def durable(self, partition: int) -> int | None:
        """Every record below this offset is durable here; None if the partition is not assigned, or stopped."""

    @abc.abstractmethod
    def drain(self, partitions: Collection[int], deadline: float) -> bool:
        """Write everything taken of these partitions; True if all of it is durable, False if not by `deadline`.

        `deadline` is monotonic. Blocks until then at most: the partitions are about to leave, a commit comes next.
        Failures are retried while there is time. Never raises for what `poll` would retry.
        """

    @abc.abstractmethod
    def drop(self, partitions: Collection[int]) -> None:
        """Forget these partitions, written or not; the engine is told by the caller, afterwards.

        A write under way may still land: that is legal.
        """

    @abc.abstractmethod
    def shed(self) -> int:
        """Give back memory by forgetting what is not durable and not in flight; how many bytes.

        For a sink that can not write: it stands at its durable position, takes nothing, and asks for a `Rewind` once
        it can write again. A sink that is well sheds nothing.
        """

    @abc.abstractmethod
    def held_bytes(self) -> int:
        """Bytes that the sink itself holds: frozen, on their way, not counted in the engine's memory any more."""

    @abc.abstractmethod
    def status(self) -> SinkStatus:
        """How it goes."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stop the worker. Waits for nothing: `drain` came before, or a crash is legal."""


class Backoff:
    """When a failed write may be tried again: at once never, then later and later, with jitter, for ever."""

    def __init__(self, clock: Clock, first: float, longest: float) -> None:
        """`first` and `longest` are seconds."""
        self._clock = clock
        self._wait = wait_exponential(multiplier=first, max=longest) + wait_random(0, first)
        self._tries = 0
        self._next = 0.0
        self.failing_since: float | None = None
        self.last_error: str | None = None

    def failed(self, error: BaseException) -> float:
        """Note a failure; the pause (seconds) before `ready` again."""
        now = self._clock.monotonic()
        self._tries += 1
        self.failing_since = now if self.failing_since is None else self.failing_since
        self.last_error = f"{type(error).__name__}: {error}"
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
        state.attempt_number = min(self._tries, 64)
        pause = self._wait(state)
        self._next = now + pause
        return pause

    def succeeded(self) -> None:
        """A write went through: start afresh."""
        self._tries = 0
        self._next = 0.0
        self.failing_since = self.last_error = None

    @property
    def ready(self) -> bool:
        """Whether a try is allowed now."""
        return self._clock.monotonic() >= self._next

    @property
    def next_try(self) -> float:
        """When (monotonic) the next try is allowed; 0.0 if it is now."""
        return self._next
