"""What one may ask of a demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoOptions:
    """Options of `flurry-fast demo`; cli/demo.py says what each means."""

    root: Path
    seconds: float = 35.0
    kills: int = 2
    rate: int = 1500
    seed: int = 1
    apps: int = 2000
    partitions: int = 4
    captures: Path | None = None
    live: bool = True
    stack: Path | None = None  # folder of the real servers to run on; None: the embedded broker, SQLite, local files

    @property
    def reports(self) -> int:
        """Simulated reports of the whole run."""
        return max(1, round(self.rate * self.seconds))
