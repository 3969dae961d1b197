"""The store that a reading command looks at: that of the settings, or `--store`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from flurry_fast.config.model import Counters, Settings
from flurry_fast.config.options import settings_options
from flurry_fast.errors import ConfigError, ConfigProblem
from flurry_fast.stores import open_store


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--store`, `--config` and `--set`; it receives `store: CellStore`, open, and closed after it."""

    @click.option("--store", "named", metavar="STORE", help="Cell store, like sqlite:data/counters.sqlite.")
    @settings_options
    @functools.wraps(command)
    def wrapped(*args: Any, named: str | None, settings: Settings, **kwargs: Any) -> Any:
        store = open_store(_chosen(settings.counters, named), create=False)
        try:
            return command(*args, store=store, **kwargs)
        finally:
            store.close()

    return wrapped


def _chosen(settings: Counters, named: str | None) -> Counters:
    if named is None:
        return settings
    try:
        return Counters.model_validate(settings.model_dump() | {"store": named})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError([ConfigProblem("--store", "", reason)]) from None
