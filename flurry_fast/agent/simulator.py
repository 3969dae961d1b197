"""What is sent, in which order: first captured reports if any, then those of a simulated fleet."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from flurry_fast._core import PROTOCOL_MIX, SimulatedBatch, Simulator, message_key
from flurry_fast.errors import FlurryFastError

# Virtual reports a second where no rate is asked for: about what Flurry received in November 2013.
DEFAULT_RATE = 20_000


class FleetRefused(FlurryFastError):
    """The fleet cannot be what was asked for: a setting out of range, a text that does not parse, no captures."""

    exit_code = 2


@dataclass(frozen=True)
class FleetSettings:
    """What decides the bytes of a run; the same settings give the same reports (docs/simulator.md).

    `start_ms` is the virtual time of the first simulated report, ms since the epoch; it advances by 1000/`rate` ms
    a report. `protocols` maps protocol to weight; `malformed` and `hostile` are shares, 0 to 1.
    """

    seed: int = 1
    apps: int = 400_000
    devices: int = 10_000_000
    start_ms: int = 0
    rate: int = DEFAULT_RATE
    protocols: dict[int, int] = field(default_factory=lambda: dict(PROTOCOL_MIX))
    malformed: float = 0.0
    hostile: float = 0.0

    def with_protocols(self, protocols: dict[int, int]) -> FleetSettings:
        """The same with another mix."""
        return replace(self, protocols=protocols)


class Chunk:
    """Some reports and their Kafka message keys, one of each a report.

    `batch`: the same as it was made, for those that need no object of Python's for each report; None for captures.
    """

    def __init__(self, keys: list[bytes], payloads: list[bytes]) -> None:
        self.batch: SimulatedBatch | None = None
        self.keys, self.payloads = keys, payloads

    @classmethod
    def of(cls, batch: SimulatedBatch) -> Chunk:
        """Keys and payloads become objects when somebody asks for them."""
        chunk = cls.__new__(cls)
        chunk.batch = batch
        return chunk

    @cached_property
    def keys(self) -> list[bytes]:
        """Message keys."""
        assert self.batch is not None
        return self.batch.keys()

    @cached_property
    def payloads(self) -> list[bytes]:
        """Reports."""
        assert self.batch is not None
        return self.batch.payloads()

    def __len__(self) -> int:
        """Number of reports."""
        return len(self.payloads if self.batch is None else self.batch)

    def size(self, reports: int) -> int:
        """Sum of the lengths of the first `reports`."""
        if self.batch is not None:
            return self.batch.payload_offsets[reports]
        return sum(map(len, self.payloads[:reports]))


class Fleet:
    """The reports of a run, taken in chunks of any size; how it is cut changes nothing.

    Raises FleetRefused for settings out of range.
    """

    def __init__(self, settings: FleetSettings, captures: Path | None = None) -> None:
        try:
            self._simulator = Simulator(
                settings.seed,
                apps=settings.apps,
                devices=settings.devices,
                start_ms=settings.start_ms,
                rate=settings.rate,
                protocols=settings.protocols,
                malformed=settings.malformed,
                hostile=settings.hostile,
            )
        except (ValueError, OverflowError) as error:
            raise FleetRefused(f"No such fleet: {error}.") from None
        self._captures = captured(captures) if captures else []
        self.captures = len(self._captures)

    def take(self, reports: int) -> Chunk:
        """The next `reports` reports; captures first, never mixed with others in a chunk, which may then be shorter."""
        if self._captures:
            payloads, self._captures = self._captures[:reports], self._captures[reports:]
            return Chunk([message_key(payload) for payload in payloads], payloads)
        return Chunk.of(self._simulator.next_batch(reports))


def captured(folder: Path) -> list[bytes]:
    """The bodies of the .bin files below `folder`, by path. Raises FleetRefused if there is none."""
    try:
        bodies = [path.read_bytes() for path in sorted(folder.rglob("*.bin"))]
    except OSError as error:
        raise FleetRefused(f"{error.filename} can not be read ({error.strerror}).") from None
    if not bodies:
        raise FleetRefused(f"There is no captured report (*.bin) below {folder}.")
    return bodies


def parse_protocols(text: str) -> dict[int, int]:
    """`26` or `26:50,22:30,8`: protocol and weight (1 where none is given). Raises ValueError with the reason."""
    mix: dict[int, int] = {}
    for part in text.split(","):
        protocol, _, weight = part.strip().partition(":")
        if not protocol.isdecimal() or not (weight or "1").isdecimal():
            raise ValueError(f"{part.strip()!r} is not PROTOCOL or PROTOCOL:WEIGHT, like 26:50,22:30")
        if int(protocol) not in PROTOCOL_MIX:
            raise ValueError(f"there is no agent protocol {protocol}, only {', '.join(map(str, PROTOCOL_MIX))}")
        mix[int(protocol)] = int(weight or 1)
    return mix


def parse_start(text: str) -> int:
    """`now` (to the second), ms since the epoch, or ISO 8601 (UTC where no zone is given) -> ms. Raises ValueError."""
    if text == "now":
        return int(time.time()) * 1000
    if text.isdecimal() and len(text) > 4:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither now, nor milliseconds, nor a time like 2013-11-20T12:00:00Z") from None
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def show_start(start_ms: int) -> str:
    """As `--start` takes it again."""
    moment = datetime.fromtimestamp(start_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if start_ms % 1000 else "seconds").replace("+00:00", "Z")
