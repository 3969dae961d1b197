"""The registry of API keys: which there are, how much they may post, and over how many partitions they are spread."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flurry_fast.errors import ConfigError, ConfigProblem

SQLITE = "sqlite:"
MOST_SHARDS = 10_000
KEYS = ("rate", "burst", "shards")


@dataclass(frozen=True)
class App:
    """One API key. `rate`: reports a second of its own in place of portal.key_rate, with `burst`; `shards`: k of
    docs/exactness.md, over how many message keys its devices are spread."""

    rate: float | None = None
    burst: float | None = None
    shards: int = 1


def read_apps(source: str | None) -> dict[bytes, App]:
    """The apps of a TOML file or of `sqlite:PATH`, by API key. Raises ConfigError."""
    if source is None:
        return {}
    try:
        if source.startswith(SQLITE):
            return _checked(_from_sqlite(Path(source.removeprefix(SQLITE))), source)
        return _checked(_from_toml(Path(source)), source)
    except OSError as error:
        raise _refused(source, f"can not be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refused(source, f"is not TOML: {error}") from None
    except sqlite3.Error as error:
        raise _refused(source, f"can not be asked: {error}") from None


def _from_toml(path: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    apps = found.pop("apps", None)
    if not isinstance(apps, dict) or found:
        raise _refused(str(path), 'holds one table, [apps], with lines like "API KEY" = { rate = 50 }')
    for key, given in apps.items():
        if not isinstance(given, dict) or set(given) - set(KEYS):
            raise _refused(str(path), f"{key!r}: an app has {', '.join(KEYS)} and nothing else")
        yield key, given


def _from_sqlite(path: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        for key, *values in connection.execute("SELECT api_key, rate, burst, shards FROM apps"):
            yield str(key), {name: value for name, value in zip(KEYS, values, strict=True) if value is not None}


def _checked(given: Iterable[tuple[str, Mapping[str, Any]]], source: str) -> dict[bytes, App]:
    apps = {}
    for key, values in given:
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int if name == "shards" else (int, float)):
                raise _refused(source, f"{key!r}: {name} is not a number")
            if not 0 < value <= (MOST_SHARDS if name == "shards" else 1e12):
                raise _refused(source, f"{key!r}: {name} is out of range")
        if "burst" in values and "rate" not in values:
            raise _refused(source, f"{key!r}: burst without rate")
        encoded = key.encode()
        if not 1 <= len(encoded) <= 255:
            raise _refused(source, f"{key!r}: API keys have 1 to 255 bytes")
        apps[encoded] = App(**values)
    return apps


def _refused(source: str, reason: str) -> ConfigError:
    return ConfigError([ConfigProblem(source, "portal.apps", reason)])
