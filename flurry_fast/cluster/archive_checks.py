"""The archive's folder, where it is on local files."""

from __future__ import annotations

import os
import shutil

from flurry_fast.cluster.findings import Finding
from flurry_fast.config.model import Settings

ROOM = 0.05


def archive(settings: Settings) -> list[Finding]:
    """Whether files can be made there, and whether there is room."""
    if "archive" not in settings.consume.sinks:
        return []
    root = settings.archive.root.absolute()
    subject = f"archive {settings.archive.root}"
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return [
            Finding(
                "refused", subject, "archive.root", f"{place} can not be written to", "a folder", "no file can be made"
            )
        ]
    usage = shutil.disk_usage(place)
    if usage.free < usage.total * ROOM:
        percent = f"{100 * usage.free / usage.total:.0f} %"
        why = "a full disk stops the archive, and with it the commit"
        return [Finding("advice", subject, "free", percent, f"{ROOM:.0%}", why)]
    return []
