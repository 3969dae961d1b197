"""Passes on what a worker says, each line with the worker's name."""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import IO

SENTENCE = "flurry-fast: "  # begins what a command says when it can not go on
_lock = threading.Lock()


class Relay:
    """Reads a worker's output until it ends, on a thread of its own."""

    def __init__(self, name: str, output: IO[bytes], write: Callable[[str], None] | None = None) -> None:
        """`write` is given whole lines (default: standard error)."""
        self._name, self._output = name, output
        self._write = write or _to_stderr
        self._tail: deque[str] = deque(maxlen=20)
        self._thread = threading.Thread(target=self._run, name=f"flurry-fast-relay-{name}", daemon=True)
        self._thread.start()

    def reason(self) -> str:
        """The sentence with which it ended, else its last line; waits for the end of its output."""
        self._thread.join(timeout=5)
        said = list(self._tail)
        for line in reversed(said):
            if line.startswith(SENTENCE):
                return line.removeprefix(SENTENCE)
        return said[-1] if said else "it said nothing"

    def _run(self) -> None:
        for raw in self._output:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self._tail.append(line)
            self._write(marked(line, self._name) + "\n")
        self._output.close()


def marked(line: str, name: str) -> str:
    """A JSON line gets a field `worker`, any other begins with the name."""
    if line.startswith("{"):
        try:
            return json.dumps({**json.loads(line), "worker": name}, sort_keys=True)
        except ValueError:
            pass
    return f"[{name}] {line}"


def _to_stderr(text: str) -> None:
    with _lock:
        sys.stderr.write(text)
        sys.stderr.flush()
