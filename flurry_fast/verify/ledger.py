"""What an audit has finished, in a file, so that one that was interrupted need not begin anew.

Only partitions in which nothing was wrong are kept, each with a digest of what was looked at: its blocks' ends and
bytes, and its files' checksums. One whose digest is another now is audited again, and that is said.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

from flurry_fast import _core
from flurry_fast.errors import FlurryFastError
from flurry_fast.registry import State
from flurry_fast.spans import Range
from flurry_fast.stores.base import CellStore
from flurry_fast.verify.result import Column, PartitionAudit

FORMAT = 1
_STORED = [field.name for field in dataclasses.fields(PartitionAudit) if field.name not in ("column", "note")]


class LedgerRefused(FlurryFastError):
    """The file is of another store, topic, generation or version, or no such file at all."""

    exit_code = 2


class Ledger:
    """The file of one audit; rewritten, atomically, whenever a partition is finished."""

    def __init__(self, path: Path, store: CellStore, topic: str, state: State) -> None:
        """Reads the file if there is one, and begins it otherwise. Raises LedgerRefused."""
        self.path = path
        self._identity = {
            "format": FORMAT,
            "store": store.store_id.hex(),
            "topic": topic,
            "generation": state.generation,
            "revision": state.revision,
            "semantics": _core.semantics_version(),
        }
        self._done: dict[Column, dict[str, Any]] = {}
        if path.exists():
            self._read()
        else:
            self._write()  # now, not after an hour: whether that is possible

    def recall(self, partition: PartitionAudit, seen: str) -> PartitionAudit | None:
        """What was found in a partition, if it looks as it did then; notes in `partition` if it does not."""
        entry = self._done.get(partition.column)
        if entry is None:
            return None
        if entry["seen"] != seen:
            partition.note = f"it has been written since it was audited at {entry['at']}, and was audited again"
            return None
        found = entry["found"] | {"ranges": [Range(*counted) for counted in entry["found"]["ranges"]]}
        return PartitionAudit(partition.column, **found, note=f"as audited at {entry['at']}")

    def keep(self, partition: PartitionAudit, seen: str) -> None:
        """Remember a finished partition, unless something is wrong in it."""
        if partition.findings:
            self._done.pop(partition.column, None)
        else:
            at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
            found = {name: getattr(partition, name) for name in _STORED}
            self._done[partition.column] = {"at": at, "seen": seen, "found": found}
        self._write()

    def _read(self) -> None:
        way_out = "Give another file to begin a new audit."
        try:
            given = json.loads(self.path.read_text(encoding="utf-8"))
            identity = {name: given["audit"][name] for name in self._identity}
            for entry in given["partitions"]:
                self._done[Column(*entry.pop("column"))] = entry
        except OSError as error:
            raise LedgerRefused(f"{self.path} can not be read ({error.strerror}).") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise LedgerRefused(f"{self.path} was not written by an audit.", way_out=way_out) from None
        other = [name for name, value in self._identity.items() if identity[name] != value]
        if other:
            raise LedgerRefused(f"{self.path} is of an audit of another {' and '.join(other)}.", way_out=way_out)

    def _write(self) -> None:
        partitions = [{"column": dataclasses.astuple(column), **entry} for column, entry in self._done.items()]
        text = json.dumps({"audit": self._identity, "partitions": partitions}, indent=1)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            temporary.write_text(text + "\n", encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            raise LedgerRefused(f"{self.path} can not be written ({error.strerror}).") from None
