"""`--config FILE` and `--set KEY=VALUE` for a click command."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from flurry_fast.config.load import Loaded, load
from flurry_fast.config.model import Settings

FLAGS = "flurry_fast.config.options.flags"
GIVEN = "flurry_fast.config.options.given"


@dataclass(frozen=True)
class Given:
    """What the command line says of the settings: for a command that starts others with the same ones."""

    config_file: Path | None
    overrides: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        """The same, as flags."""
        config = ["--config", str(self.config_file)] if self.config_file is not None else []
        return config + [item for key, value in self.overrides.items() for item in ("--set", f"{key}={value}")]

    def load(self) -> Settings:
        """The settings as file and environment are now. Raises ConfigError."""
        return load(self.config_file, self.overrides, os.environ).settings


def given() -> Given:
    """What was given to the command that runs."""
    found: Given = click.get_current_context().meta[GIVEN]
    return found


def _overrides(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    overrides = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE, like kafka.topic=reports")
        overrides[key.strip()] = value
    return overrides


def loaded_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `settings_options`, but passes `loaded: Loaded` (settings with the origin of each value)."""

    @click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Settings in TOML.")
    @click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", callback=_overrides, help="Override one setting."
    )
    @functools.wraps(command)
    def wrapped(*args: Any, config_file: Path | None, overrides: dict[str, str], **kwargs: Any) -> Any:
        meta = click.get_current_context().meta
        overrides = overrides | meta.get(FLAGS, {})
        meta[GIVEN] = Given(config_file, overrides)
        return command(*args, loaded=load(config_file, overrides, os.environ), **kwargs)

    return wrapped


def flag_for(key: str, *declarations: str, **attributes: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A flag of its own for one setting, beside --set (put it above `settings_options`); it wins over --set."""

    def remember(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.meta.setdefault(FLAGS, {})[key] = value

    return click.option(*declarations, callback=remember, expose_value=False, **attributes)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config` and `--set`; it receives `settings: Settings`. A refusal exits with 2."""

    @functools.wraps(command)
    def unpack(*args: Any, loaded: Loaded, **kwargs: Any) -> Any:
        return command(*args, settings=loaded.settings, **kwargs)

    return loaded_options(unpack)
