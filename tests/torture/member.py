"""A consumer under torture, as the driver sees it: killed and started again under one name."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torture.mailbox import Mailbox
from torture.nursery import Nursery, Process


class Member:
    """A member of the consumer group; its mailbox outlives its processes."""

    def __init__(self, nursery: Nursery, folder: Path, name: str, settings: Mapping[str, str], bug: str | None) -> None:
        self.name = name
        self._nursery, self._bug = nursery, bug
        self._log, self._page = folder / f"{name}.log", folder / f"{name}.mailbox"
        own = {**settings, "kafka.instance_id": name, "consume.status_file": str(folder / f"{name}.json")}
        self._arguments = ["consume", *(item for key, value in own.items() for item in ("--set", f"{key}={value}"))]
        self.mailbox = Mailbox(self._page)
        self.process: Process | None = None
        self._assigned = self._batches = 0
        self.starts = 0

    @property
    def running(self) -> bool:
        """Also while it is stopped."""
        return self.process is not None and self.process.exit_code is None

    @property
    def owns(self) -> bool:
        """Whether this process was given partitions."""
        return self.running and self.mailbox.passed("assignment.assign.after") > self._assigned

    @property
    def works(self) -> bool:
        """Whether this process has taken records."""
        return self.running and self.mailbox.passed("loop.batch.after") > self._batches

    def start(self) -> None:
        self._assigned = self.mailbox.passed("assignment.assign.after")
        self._batches = self.mailbox.passed("loop.batch.after")
        more: dict[str, Any] = {"mailbox": str(self._page), "bug": self._bug}
        self.process = self._nursery.start(self.name, self._arguments, self._log, **more)
        self.starts += 1

    def order(self, steps: list[dict[str, Any]], **more: Any) -> int:
        """Give an order (see `Injector`); its number."""
        return self.mailbox.give({"steps": steps, **more})

    def send(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send(number)

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.exit_code

    @property
    def crashed(self) -> bool:
        """See `Process`: a crash that is not ours, and legal as any other."""
        return self.process is not None and self.process.crashed

    def said(self, lines: int = 15) -> str:
        return "" if self.process is None else self.process.tail(lines)
