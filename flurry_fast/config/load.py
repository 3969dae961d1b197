"""One TOML file, then the environment, then flags; later ones win. Every refusal names its place, key and reason."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from flurry_fast.config.model import Settings
from flurry_fast.errors import ConfigError, ConfigProblem

ENV_PREFIX = "FLURRY_FAST_"
ENV_FILE = "FLURRY_FAST_CONFIG"
DEFAULT_FILE = Path("flurry-fast.toml")
EMBEDDED_AGES = (("counters", "flush_age"), ("archive", "roll_age"))
EMBEDDED_AGE = 2.0  # seconds
TABLES = {("kafka", "librdkafka"), ("kafka", "secret_files")}  # free-form: their keys are librdkafka's names


@dataclass(frozen=True)
class Loaded:
    """The settings and, by dotted key, where each value that is not a default came from."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(path: Path | None, overrides: Mapping[str, str] | None = None) -> Settings:
    """Settings from `path` (None: $FLURRY_FAST_CONFIG, ./flurry-fast.toml if there is one), environment and overrides.

    `overrides` maps dotted keys ("kafka.topic") to text, as --set does. Raises ConfigError with every problem found.
    """
    return load(path, overrides or {}, os.environ).settings


def load(path: Path | None, overrides: Mapping[str, str], environ: Mapping[str, str]) -> Loaded:
    """As `load_settings`, with the environment given and the origins kept."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[ConfigProblem] = []
    path = path or (Path(environ[ENV_FILE]) if environ.get(ENV_FILE) else None)
    if path is None and DEFAULT_FILE.is_file():
        path = DEFAULT_FILE
    if path is not None:
        _merge(values, origins, _read(path), str(path))
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and "__" in name:
            _set(values, origins, problems, _env_key(name), environ[name], f"environment variable {name}")
    for key, text in overrides.items():
        _set(values, origins, problems, tuple(key.split(".")), text, f"--set {key}")
    if problems:
        raise ConfigError(problems)
    try:
        return _for_embedded_broker(Loaded(Settings.model_validate(values), origins))
    except ValidationError as error:
        raise ConfigError(_explain(error, origins, str(path) if path else "settings")) from None


def _for_embedded_broker(loaded: Loaded) -> Loaded:
    """It keeps 5 MiB a partition until that is committed: ages that suit a cluster would make every producer wait."""
    settings, origins = loaded.settings, dict(loaded.origins)
    if settings.kafka.bootstrap is not None:
        return loaded
    for section, key in EMBEDDED_AGES:
        part = getattr(settings, section)
        if key not in part.model_fields_set:
            settings = settings.model_copy(update={section: part.model_copy(update={key: EMBEDDED_AGE})})
            origins[f"{section}.{key}"] = "default for the embedded broker"
    return Loaded(settings, origins)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([ConfigProblem(str(path), "", f"can not be read ({error.strerror})")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([ConfigProblem(str(path), "", f"is not TOML: {error}")]) from None


def _merge(values: dict[str, Any], origins: dict[str, str], new: Mapping[str, Any], source: str, at: str = "") -> None:
    for key, value in new.items():
        dotted = f"{at}{key}"
        if isinstance(value, dict):
            inner = values.setdefault(key, {})
            _merge(inner, origins, _flatten(value) if at and _is_table(dotted) else value, source, dotted + ".")
        else:
            values[key] = value
            origins[dotted] = source


def _is_table(dotted: str) -> bool:
    return tuple(dotted.split(".")) in TABLES


def _flatten(table: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """TOML reads `sasl.username = 1` as nested tables; librdkafka's names have dots in them."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flatten(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return flat


def _env_key(name: str) -> tuple[str, ...]:
    parts = tuple(part.lower() for part in name.removeprefix(ENV_PREFIX).split("__"))
    if parts[:2] in TABLES and len(parts) > 2:
        return (*parts[:2], ".".join(parts[2:]).replace("_", "."))
    return parts


def _set(
    values: dict[str, Any],
    origins: dict[str, str],
    problems: list[ConfigProblem],
    key: tuple[str, ...],
    text: str,
    source: str,
) -> None:
    if key[:2] in TABLES and len(key) > 2:
        key = (*key[:2], ".".join(key[2:]))
        values.setdefault(key[0], {}).setdefault(key[1], {})[key[2]] = text
    elif len(key) != 2 or not all(key):
        problems.append(ConfigProblem(source, "", "a setting is named section.key, like kafka.topic"))
        return
    else:
        values.setdefault(key[0], {})[key[1]] = _from_text(key, text)
    origins[".".join(key)] = source


def _from_text(key: tuple[str, ...], text: str) -> Any:
    section = Settings.model_fields.get(key[0])
    model = section.annotation if section else None
    field = model.model_fields.get(key[1]) if isinstance(model, type) and issubclass(model, BaseModel) else None
    if field is None:
        return text
    if isinstance(field.get_default(call_default_factory=True), tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return None if text == "" and field.default is None else text


def _explain(error: ValidationError, origins: Mapping[str, str], fallback: str) -> list[ConfigProblem]:
    problems: dict[str, ConfigProblem] = {}
    for item in error.errors():
        path = [str(part) for part in item["loc"] if not _is_union_tag(part)]
        key = ".".join(path)
        if item["type"] == "extra_forbidden":
            reason = _unknown(path)
        elif item["type"] == "model_type":
            reason = "is a section, not a value"
        else:
            reason = item["msg"].removeprefix("Value error, ").rstrip(".").replace("Input should", "should")
        source = _source(key, reason, origins) or fallback
        problems.setdefault(key, ConfigProblem(source, key, reason))  # a union reports once per member
    return list(problems.values())


def _source(key: str, reason: str, origins: Mapping[str, str]) -> str | None:
    """Where `key` was set: itself, else something in it (what the reason names, if anything), else what it is in."""
    inner = sorted((k for k in origins if k.startswith(key + ".")), key=lambda k: k[len(key) + 1 :] not in reason)
    outer = [k for k in origins if key.startswith(k + ".")]
    return next((origins[k] for k in (key, *inner, *outer) if k in origins), None)


def _is_union_tag(part: int | str) -> bool:
    return part in ("str", "int", "float", "bool") or (isinstance(part, str) and part.startswith("function-"))


def _unknown(path: list[str]) -> str:
    model: Any = Settings
    for part in path[:-1]:
        model = model.model_fields[part].annotation
    names = list(model.model_fields)
    close = difflib.get_close_matches(path[-1], names, n=1)
    return "unknown setting" + (f", did you mean {close[0]}" if close else f" (there are {', '.join(names)})")
