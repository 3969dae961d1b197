"""One thing that a live server should have otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["refused", "exactness", "unknown", "advice"]
"""refused: the consumer does not start. exactness: what is promised does not hold with it. unknown: it could not be
asked. advice: speed, or what survives which failure."""

BREAKS: tuple[Level, ...] = ("refused", "exactness", "unknown")


@dataclass(frozen=True)
class Finding:
    """`subject`: what was looked at (`topic reports`). `command`: what changes it, to be copied; None: see `why`."""

    level: Level
    subject: str
    setting: str
    found: str
    wanted: str
    why: str
    command: str | None = None

    @property
    def breaks(self) -> bool:
        """Whether it must be put right before the counters can be relied on."""
        return self.level in BREAKS

    def as_object(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def broken(findings: Iterable[Finding]) -> bool:
    """Whether any of them is more than advice."""
    return any(finding.breaks for finding in findings)


def unknown(subject: str, why: str) -> Finding:
    """What could not be asked."""
    return Finding("unknown", subject, "", "not known", "an answer", why)
