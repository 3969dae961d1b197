"""Tables of several regions. Thrift1 can make no such table, so HBase's own tool does, which every installation has."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from flurry_fast.errors import FlurryFastError
from flurry_fast.stores.hbase.tables import FAMILY

TOOL = "org.apache.hadoop.hbase.util.RegionSplitter"
TIMEOUT = 300  # seconds


class SplitFailed(FlurryFastError):
    """A table could not be made with several regions."""


def hbase_command(named: str | None) -> list[str]:
    """How to run a class of HBase: what was named, else HBASE_HOME's, else the one on the PATH. Raises SplitFailed."""
    if named is not None:
        return shlex.split(named)
    home = os.environ.get("HBASE_HOME")
    found = str(Path(home) / "bin" / "hbase") if home else shutil.which("hbase")
    if found is None or not Path(found).is_file():
        raise SplitFailed(
            "Thrift can not make a table of several regions, and there is no `hbase` command here.",
            way_out="Name one with --hbase, set HBASE_HOME, or make the tables in the HBase shell (docs/hbase.md).",
        )
    return [found]


def create_split(command: list[str], table: bytes, regions: int) -> None:
    """Make a table whose regions share the first byte of the row, the salt, evenly. Raises SplitFailed.

    Its family gets HBase's defaults: one version, no TTL, a row Bloom filter, the block cache, no compression.
    """
    line = [*command, TOOL, table.decode(), "UniformSplit", "-c", str(regions), "-f", FAMILY.decode()]
    try:
        ran = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SplitFailed(f"{shlex.join(line)} did not run: {error}.") from None
    if ran.returncode:
        said = [text for text in ran.stderr.splitlines() if "Exception" in text or "ERROR" in text]
        raise SplitFailed(f"{shlex.join(line)} failed: {(said or ['it said nothing'])[0].strip()}.")
