"""The demo's folder: fresh each time, and nothing in it is deleted that the demo did not make."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from flurry_fast.errors import FlurryFastError

TOPIC = "reports"
MARKER = ".flurry-fast-demo"
# Everything a demo makes in its folder. Nothing else is ever deleted.
MADE = (
    "flurry-fast.toml",
    "broker.json",
    "counters.sqlite",
    "counters.sqlite-wal",
    "counters.sqlite-shm",
    "archive",
    "manifest.jsonl",
    "manifest.complete",
    "portal.json",
    "consumer.json",
    "simulator.json",
    "verdict.json",
    "throughput.png",
    "apps.png",
    "logs",
)


class DemoFolderRefused(FlurryFastError):
    """The folder holds something that no demo made, or cannot be used."""

    exit_code = 2


@dataclass(frozen=True)
class Workspace:
    """Paths of one demo's folder."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "flurry-fast.toml"

    @property
    def broker_file(self) -> Path:
        return self.root / "broker.json"

    @property
    def store(self) -> Path:
        return self.root / "counters.sqlite"

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def manifest(self) -> Path:
        """What was answered with 200, and where Kafka has it, one JSON line a report."""
        return self.root / "manifest.jsonl"

    @property
    def manifest_complete(self) -> Path:
        """There once nothing is appended to the manifest any more."""
        return self.root / "manifest.complete"

    @property
    def portal_status(self) -> Path:
        return self.root / "portal.json"

    @property
    def consumer_status(self) -> Path:
        return self.root / "consumer.json"

    @property
    def simulator_status(self) -> Path:
        return self.root / "simulator.json"

    @property
    def charts(self) -> tuple[Path, Path]:
        """Reports a second and lag over time; the busiest apps."""
        return self.root / "throughput.png", self.root / "apps.png"

    @property
    def verdict(self) -> Path:
        return self.root / "verdict.json"

    def log(self, name: str) -> Path:
        """Where the child of that name writes what it says."""
        return self.root / "logs" / f"{name}.log"


def prepare(root: Path) -> Workspace:
    """An empty workspace at `root`; what an earlier demo left there is deleted.

    Raises DemoFolderRefused if `root` has files but no demo's marker, or cannot be written.
    """
    marker = root / MARKER
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not marker.exists() and any(root.iterdir()):
            raise DemoFolderRefused(f"{root} holds files that no demo made.", way_out="Name another folder with --dir.")
        marker.touch()
        for name in MADE:
            path = root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (root / "logs").mkdir()
    except OSError as error:
        raise DemoFolderRefused(
            f"The demo's folder {root} cannot be used: {error.strerror}.", way_out="Name another with --dir."
        ) from error
    return Workspace(root)
