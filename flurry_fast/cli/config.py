"""flurry-fast config check|show|init: what is in force, where it came from, and a file to start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from flurry_fast.config.document import sections, show_value, template
from flurry_fast.config.load import DEFAULT_FILE, Loaded
from flurry_fast.config.model import is_secret
from flurry_fast.config.options import loaded_options
from flurry_fast.errors import ConfigError, ConfigProblem

MASK = "********"


@click.group()
def command() -> None:
    """Check, show or write the configuration."""


@command.command()
@click.option("--cluster", is_flag=True, help="Look at the live cluster, topic, group, store and archive, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@loaded_options
def check(loaded: Loaded, cluster: bool, as_json: bool) -> None:
    """Say whether the settings are valid; exit 2 with every problem if not.

    With --cluster also what the servers should have otherwise, and the command that changes it; exit 1 where something
    breaks exactness or can not be asked, 0 where there is only advice. Nothing is changed.
    """
    _check_files(loaded)
    count = sum(not origin.startswith("default") for origin in loaded.origins.values())
    if not as_json:
        click.echo(f"The configuration is valid: {count} setting{'s' * (count != 1)} changed, the rest are defaults.")
    elif not cluster:
        click.echo(json.dumps({"ok": True, "changed": count}))
    if not cluster:
        return
    from flurry_fast.cli.findings_view import report
    from flurry_fast.cluster.checks import look

    if report(look(loaded.settings), as_json=as_json):
        raise click.exceptions.Exit(1)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: key -> value and origin.")
@loaded_options
def show(loaded: Loaded, as_json: bool) -> None:
    """Print every effective setting and where it came from. Secrets are masked."""
    rows = list(_rows(loaded))
    if as_json:
        click.echo(json.dumps({key: {"value": plain, "origin": origin} for key, plain, _, origin in rows}, indent=2))
        return
    width = max(len(f"{key} = {text}") for key, _, text, _ in rows if len(text) < 40)
    for key, _, text, origin in rows:
        click.echo(f"{f'{key} = {text}':<{width}}  # {origin}")


@command.command()
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_FILE)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def init(path: Path, force: bool) -> None:
    """Write a commented settings file (default: flurry-fast.toml, which commands find by themselves)."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise ConfigError([ConfigProblem(str(path), "", "exists already, --force overwrites it")]) from None
    except OSError as error:
        raise ConfigError([ConfigProblem(str(path), "", f"can not be written ({error.strerror})")]) from None
    click.echo(f"Wrote {path}.")


def _rows(loaded: Loaded) -> Any:
    for section, _, model in sections():
        values = getattr(loaded.settings, section)
        for name, field in model.model_fields.items():
            key, value = f"{section}.{name}", getattr(values, name)
            if isinstance(value, dict) and value:
                for inner, item in value.items():
                    yield _row(loaded, f"{key}.{inner}", field, item)
            else:
                yield _row(loaded, key, field, value)


def _row(loaded: Loaded, key: str, field: Any, value: Any) -> tuple[str, Any, str, str]:
    if is_secret(key):
        return key, MASK, MASK, loaded.origins.get(key, "default")
    plain: Any = value if isinstance(value, (int, float, dict, type(None))) else str(value)
    if isinstance(value, tuple):
        plain = list(value)
    return key, plain, show_value(field, value), loaded.origins.get(key, "default")


def _check_files(loaded: Loaded) -> None:
    """What can be told without starting anything: that named files are there."""
    plan = loaded.settings.plan.path
    named = {"plan.path": plan} if plan else {}
    named |= {f"kafka.secret_files.{name}": path for name, path in loaded.settings.kafka.secret_files.items()}
    problems = [
        ConfigProblem(loaded.origins.get(key, "default"), key, f"there is no file {path}")
        for key, path in named.items()
        if not path.is_file()
    ]
    if problems:
        raise ConfigError(problems)
