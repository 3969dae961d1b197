"""How the workers of one host are called and set up: names, status files, ports, arguments."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flurry_fast.config.model import Settings
from flurry_fast.errors import ConfigError, ConfigProblem

HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Member:
    """Worker `number` (from 1). `overrides` are its own settings, by dotted key, over what was given to all."""

    number: int
    name: str
    status_file: Path
    overrides: Mapping[str, str]


def make_team(settings: Settings, folder: Path, *, people: bool) -> list[Member]:
    """The workers of `settings.consume.workers`. `folder`: for status files where none is asked for. `people`: logs
    are read on a terminal. Raises ConfigError where they do not have ports enough."""
    count, prefix = settings.consume.workers, settings.kafka.instance_id or socket.gethostname()
    port = settings.metrics.port
    if port and port + count > HIGHEST_PORT:
        raise ConfigError(
            [ConfigProblem("settings", "metrics.port", f"{count} workers need as many ports above {port}")]
        )
    return [_member(settings, number, prefix, folder, people=people) for number in range(1, count + 1)]


def status_file(settings: Settings, number: int, folder: Path) -> Path:
    """`status.json` of all becomes `status-2.json` of worker 2."""
    asked = settings.consume.status_file
    if asked is None:
        return folder / f"worker-{number}.json"
    return asked.with_name(f"{asked.stem}-{number}{asked.suffix}")


def memory_warning(settings: Settings) -> str | None:
    """A sentence where the budgets of all workers together are more than the machine has."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    wanted = settings.consume.workers * settings.consume.memory
    if wanted <= machine:
        return None
    gib = 2**30
    return (
        f"{settings.consume.workers} workers may take {wanted / gib:.1f} GiB (consume.memory is for each of them), the"
        f" machine has {machine / gib:.1f} GiB"
    )


def _member(settings: Settings, number: int, prefix: str, folder: Path, *, people: bool) -> Member:
    name, status = f"{prefix}-{number}", status_file(settings, number, folder)
    overrides = {
        "consume.workers": "1",
        "consume.status_file": str(status),
        "kafka.instance_id": name,
    }
    if settings.metrics.port:
        overrides["metrics.port"] = str(settings.metrics.port + number)
    if settings.log.format == "auto" and people:
        overrides["log.format"] = "console"
    return Member(number, name, status, overrides)
