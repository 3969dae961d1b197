"""Where the archive is, as a person writes it: a folder of this machine, or one on HDFS."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator

HDFS = "hdfs://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_HOW = "write a local folder, hdfs://HOST:PORT/FOLDER or hdfs://NAMESERVICE/FOLDER"


@dataclass(frozen=True)
class HdfsPlace:
    """A folder on HDFS. Without `port`, `host` is a name service of the Hadoop configuration."""

    host: str
    port: int | None
    folder: str

    @property
    def server(self) -> str:
        """As a client is told: hdfs://host:port."""
        return f"{HDFS}{self.host}" if self.port is None else f"{HDFS}{self.host}:{self.port}"

    def __str__(self) -> str:
        return self.server + self.folder


def hdfs_place(root: str) -> HdfsPlace | None:
    """The folder on HDFS that `archive.root` names; None if it is a local one. Raises ValueError."""
    if not root.startswith(HDFS):
        if _SCHEME.match(root):
            raise ValueError(f"{root!r} names no file system there is an archive for, {_HOW}")
        return None
    try:
        parts = urlsplit(root)
        host, port = parts.netloc.rpartition("@")[2].partition(":")[0], parts.port
    except ValueError:
        raise ValueError(f"{root!r} has no port from 1 to 65535, {_HOW}") from None
    if not host or port == 0 or parts.netloc != (host if port is None else f"{host}:{port}"):
        raise ValueError(f"{root!r} names no host, {_HOW}")
    names = parts.path.strip("/").split("/")
    if parts.query or parts.fragment or any(name in ("", ".", "..") or ":" in name for name in names):
        raise ValueError(f"{root!r} names no folder, {_HOW}")
    return HdfsPlace(host, port, "/" + "/".join(names))


def _archive_root(value: object) -> object:
    root = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(root, str):
        return root  # refused as no text
    place = hdfs_place(root)
    return root if place is None else str(place)


ArchiveRoot = Annotated[str, BeforeValidator(_archive_root)]
"""Text: a local path as it was written, or `hdfs://...` without a slash at its end."""
