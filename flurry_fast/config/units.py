"""Byte sizes ("64MiB") and durations ("10s") as a person writes them, and back."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_BYTES = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "tb": 10**12}
_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_SECONDS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")


def _split(text: str, units: dict[str, Any], example: str) -> tuple[float, Any]:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2].lower() not in units:
        raise ValueError(f"{text!r} is not understood, write it like {example}")
    return float(match[1].replace("_", "")), units[match[2].lower()]


def parse_bytes(value: object) -> object:
    """A number of bytes from `"64MiB"`, `"1.5 GB"` or an integer. Raises ValueError."""
    if not isinstance(value, str):
        return value
    number, unit = _split(value, _BYTES, '"64MiB"')
    return round(number * unit)


def parse_duration(value: object) -> object:
    """Seconds from `"250ms"`, `"10s"`, `"5min"` or a number. Raises ValueError."""
    if not isinstance(value, str):
        return value
    number, unit = _split(value, _SECONDS, '"10s" or "250ms"')
    return number * float(unit)


def format_bytes(value: int) -> str:
    """The shortest exact way to write it: 67108864 -> 64MiB."""
    for name in ("TiB", "GiB", "MiB", "KiB"):
        size = _BYTES[name.lower()]
        if value and value % size == 0:
            return f"{value // size}{name}"
    return str(value)


def format_duration(value: float) -> str:
    """The shortest exact way to write it: 600.0 -> 10min."""
    for name in ("d", "h", "min", "s", "ms"):
        count = value / _SECONDS[name]
        if count >= 1 and abs(count - round(count)) < 1e-9:
            return f"{round(count)}{name}"
    return f"{value}s"


ByteSize = Annotated[int, BeforeValidator(parse_bytes)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
