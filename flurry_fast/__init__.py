"""Exact counters and a Parquet archive from device reports on Kafka."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flurry_fast._core import UnreadableReport, decode_json
    from flurry_fast.about import build_info
    from flurry_fast.broker import EmbeddedBroker
    from flurry_fast.config import ConfigError, Settings, load_settings
    from flurry_fast.errors import FlurryFastError
    from flurry_fast.reading import apps, counters, rollups
    from flurry_fast.stores import open_store

__all__ = [
    "ConfigError",
    "EmbeddedBroker",
    "FlurryFastError",
    "Settings",
    "UnreadableReport",
    "apps",
    "build_info",
    "counters",
    "decode_json",
    "load_settings",
    "open_store",
    "rollups",
]

# Loaded when first used: a command that prints help should not wait for Arrow.
_HOMES = {
    "ConfigError": "errors",
    "EmbeddedBroker": "broker",
    "FlurryFastError": "errors",
    "Settings": "config",
    "UnreadableReport": "_core",
    "apps": "reading",
    "build_info": "about",
    "counters": "reading",
    "decode_json": "_core",
    "load_settings": "config",
    "open_store": "stores",
    "rollups": "reading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
