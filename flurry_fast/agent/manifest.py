"""The manifest: what was truly sent, one JSON line a report, written from the broker's acknowledgements."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

import google_crc32c

from flurry_fast._core import decode_json

_BUFFER = 1 << 18


class ManifestWriter:
    """Appends a line for each acknowledged report, in the order of the acknowledgements.

    A line is the report in the schema of `flurry-fast decode --json` (an unreadable one: ``{"outcome": reason}``)
    plus "key" (text), "partition", "offset", "timestamp_ms" (Kafka's; null for what went to a file), "crc32c" and
    "bytes" (of the whole payload).
    Raises OSError where the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        """Starts `path` anew."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=_BUFFER)
        self.lines = 0

    def write(
        self,
        payload: bytes,
        key: bytes,
        partition: int | None = None,
        offset: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """The line of one report as the broker stored it; of one that no broker saw, without a place in the log."""
        where = {
            "key": key.decode("utf-8", "replace"),
            "partition": partition,
            "offset": offset,
            "timestamp_ms": timestamp_ms,
            "crc32c": google_crc32c.value(payload),
            "bytes": len(payload),
        }
        self._file.write(decode_json(payload)[:-1] + b", " + json.dumps(where).encode()[1:] + b"\n")
        self.lines += 1

    def flush(self) -> None:
        """Let those who follow the file see every line written so far."""
        self._file.flush()

    def close(self) -> None:
        """Every line is in the file afterwards."""
        self._file.close()

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
