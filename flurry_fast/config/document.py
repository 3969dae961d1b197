"""The settings as people read them: a reference page, and a TOML file to start from. Both come from the models."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flurry_fast.config.model import Settings
from flurry_fast.config.units import format_bytes, format_duration

BOUNDS = {annotated_types.Ge: ("ge", "≥"), annotated_types.Gt: ("gt", ">"), annotated_types.Le: ("le", "≤")}
BOUNDS[annotated_types.Lt] = ("lt", "<")


REFERENCE_HEAD = """# Configuration

Generated from the settings (`python -m flurry_fast.config.document > docs/configuration.md`): edit them there.

Settings come from one TOML file, then the environment, then flags; later ones win. The file is `--config FILE`, else
`$FLURRY_FAST_CONFIG`, else `./flurry-fast.toml` if there is one. A variable is named `FLURRY_FAST_SECTION__KEY`
(`FLURRY_FAST_KAFKA__TOPIC=reports`), a flag `--set section.key=value`; lists are comma-separated there. Sizes are
written like `64MiB`, durations like `10s` or `250ms`. An unknown key or a bad value is refused before anything starts.
`flurry-fast config check` says whether all is well, `config show` what is in force and where it came from,
`config init` writes a file to start from.

Whatever is set in `kafka.librdkafka` goes to librdkafka as it is: `FLURRY_FAST_KAFKA__LIBRDKAFKA__SASL_USERNAME` or
`--set kafka.librdkafka.sasl.username=...`. Passwords belong in `kafka.secret_files` or the environment."""


@dataclass(frozen=True)
class Entry:
    """One setting: `key` is dotted, `kind` what may be written, `bounds` in words ("" if none), `default` as shown."""

    key: str
    kind: str
    bounds: str
    default: str
    description: str


def sections() -> Iterator[tuple[str, str, type[BaseModel]]]:
    """(name, what it is about, model) of each section."""
    for name, field in Settings.model_fields.items():
        model = typing.cast("type[BaseModel]", field.annotation)
        yield name, (model.__doc__ or "").strip(), model


def entries(section: str, model: type[BaseModel]) -> Iterator[Entry]:
    """The settings of one section, in the order of the model."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        yield Entry(
            key=f"{section}.{name}",
            kind=_kind(field),
            bounds=_bounds(field),
            default=show_value(field, default),
            description=field.description or "",
        )


def unit_of(field: FieldInfo) -> str:
    """`bytes`, `seconds`, or nothing for a plain number or text."""
    extra = field.json_schema_extra
    return str(extra["unit"]) if isinstance(extra, dict) and "unit" in extra else ""


def show_value(field: FieldInfo, value: Any) -> str:
    """A value as one would write it in TOML; unset is `unset`."""
    if value is None:
        return "unset"
    if unit_of(field) == "bytes":
        return f'"{format_bytes(value)}"'
    if unit_of(field) == "seconds":
        return f'"{format_duration(value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, Path)):
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {show_value(FieldInfo(), item)}' for key, item in value.items()) + "}"
    return str(value)


def reference() -> str:
    """docs/configuration.md."""
    lines = [REFERENCE_HEAD]
    for name, about, model in sections():
        lines += ["", f"## `[{name}]`", "", about, "", "| key | value | default | what it is |", "|---|---|---|---|"]
        for entry in entries(name, model):
            kind = f"{entry.kind}, {entry.bounds}" if entry.bounds else entry.kind
            default = "unset" if entry.default == "unset" else f"`{entry.default}`"
            lines.append(f"| `{entry.key}` | {kind} | {default} | {entry.description} |")
    return "\n".join(lines) + "\n"


def template() -> str:
    """A TOML file with every setting commented out at its default."""
    lines = ["# flurry-fast settings (docs/configuration.md). Every line is a default: uncomment what you change.", ""]
    for name, about, model in sections():
        lines += [f"# {about}", f"[{name}]"]
        for entry in entries(name, model):
            kind = f"{entry.kind}, {entry.bounds}" if entry.bounds else entry.kind
            lines.append(f"# {entry.description} ({kind})")
            key = entry.key.partition(".")[2]
            lines.append(f"# {key} =" if entry.default == "unset" else f"# {key} = {entry.default}")
        lines.append("")
    return "\n".join(lines)


def _kind(field: FieldInfo) -> str:
    unit = unit_of(field)
    if unit:
        return {"bytes": "size", "seconds": "duration"}[unit]
    annotation = field.annotation
    args = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if origin is tuple:
        return "list of " + " ".join(f"`{name}`" for name in typing.get_args(args[0]))
    if origin is dict:
        return "table"
    if origin in (typing.Union, types.UnionType) and len(args) == 1:
        annotation = args[0]
    return {str: "text", Path: "path", int: "number", float: "number", bool: "true or false"}.get(
        typing.cast("type", annotation), "text"
    )


def _bounds(field: FieldInfo) -> str:
    words = []
    for constraint in field.metadata:
        if type(constraint) in BOUNDS:
            attribute, sign = BOUNDS[type(constraint)]
            limit = getattr(constraint, attribute)
            text = show_value(field, limit).strip('"') if limit else "0"
            words.append(f"{sign} {text}")
    return ", ".join(words)


if __name__ == "__main__":
    print(reference(), end="")
