"""The archive's folder, on local files or on HDFS."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flurry_fast.archive.files import open_files
from flurry_fast.archive.filesystem import FileSystemRefused
from flurry_fast.cluster.findings import Finding, Level
from flurry_fast.config.model import Archive, Settings
from flurry_fast.config.places import hdfs_place
from flurry_fast.errors import StoreUnavailable

ROOM = 0.05


def archive(settings: Settings) -> list[Finding]:
    """Whether files can be made there, and whether there is room."""
    if "archive" not in settings.consume.sinks:
        return []
    if hdfs_place(settings.archive.root) is not None:
        return _claims(settings.archive)
    return _local(settings.archive.root)


def _claims(archive: Archive) -> list[Finding]:
    """Tries the claim that the archive rests on, in its folder: with it, writing, renaming and removing."""
    try:
        open_files(archive).check()
    except (FileSystemRefused, StoreUnavailable) as error:
        level: Level = "exactness" if isinstance(error, FileSystemRefused) else "refused"
        subject = f"archive {archive.root}"
        why = (
            "a name that two files can have loses or doubles records" if level == "exactness" else "no file can be made"
        )
        return [Finding(level, subject, "archive.root", str(error), "a folder where files can be made", why)]
    return []


def _local(root: str) -> list[Finding]:
    absolute = Path(root).absolute()
    subject = f"archive {root}"
    place = next(folder for folder in (absolute, *absolute.parents) if folder.exists())
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
