"""A disk that can be filled: a tmpfs, which only root may mount. Full: made no larger than what it holds."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 1200 * 2**20  # what a stack wants to be free; it takes a tenth of that
SECONDS = 30


class Disk:
    """`folder` on it; `why_not`: why it is no disk of its own, None where it is."""

    def __init__(self, folder: Path, why_not: str | None) -> None:
        self.folder, self.why_not = folder, why_not

    def fill(self) -> None:
        """To the last page."""
        assert self.why_not is None
        end = time.monotonic() + SECONDS
        while (refused := _mount(self.folder, self._held(), "remount")) is not None:
            assert time.monotonic() < end, refused  # whoever writes to it was faster

    def free(self) -> None:
        """Large again."""
        assert _mount(self.folder, SIZE, "remount") is None

    def _held(self) -> int:
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize


def _mount(folder: Path, size: int, *options: str) -> str | None:
    """None, or why not."""
    words = ["mount", "-t", "tmpfs", "-o", ",".join((*options, f"size={size}")), "tmpfs", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no mount"
    return (done.stderr.strip() or "mount failed") if done.returncode else None


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Mounted on `folder`, which is empty; just the folder, where that may not be."""
    why_not = _mount(folder, SIZE)
    try:
        yield Disk(folder, why_not)
    finally:
        if why_not is None:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
