"""flurry-fast plan show|diff|switch: what is counted, what another plan would change, and changing it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from flurry_fast import logs
from flurry_fast._core import Plan
from flurry_fast.cli.operating import Desk, consent, consent_options, counted, desk, opened
from flurry_fast.cli.plan_view import as_object, differences_object, print_plans
from flurry_fast.cli.switch_progress import SwitchProgress
from flurry_fast.config.model import PlanFile, Settings
from flurry_fast.config.options import settings_options
from flurry_fast.consumer.source import KafkaSource
from flurry_fast.consumer.start import StopSignals, load_plan
from flurry_fast.errors import FlurryFastError
from flurry_fast.operations.bounded import run_to
from flurry_fast.operations.differences import differences
from flurry_fast.operations.switch import Outlook, Seams, Target, abort, look, switch
from flurry_fast.ports import SystemClock
from flurry_fast.registry import Registration, Registry, State, plans
from flurry_fast.stores.base import CellStore

OPEN = "open"


class PlanUnknown(FlurryFastError):
    """No such plan is registered, and no such file is there."""

    exit_code = 2


def _no_broker() -> int:
    raise NotImplementedError("nothing is asked of a broker here")


@click.group()
def command() -> None:
    """Show what is counted, compare plans, and switch to another one."""


# --- show ------------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("plan", default=OPEN, metavar="[PLAN]")
@click.option("--toml", "as_toml", is_flag=True, help="The plan's text and nothing else: a file for plan.path.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, all plans in it.")
@settings_options
def show(settings: Settings, plan: str, as_toml: bool, as_json: bool) -> None:
    """Print the open plan, or PLAN (an id, a file, or `open`); and when and where each plan counted.

    Works without a broker.
    """
    with opened(settings) as store:
        registry = Registry(store, settings.kafka.topic, _no_broker)
        chosen = _find(plan, store, registry)
        if as_toml:
            click.echo(chosen.toml, nl=not chosen.toml.endswith("\n"))
        elif as_json:
            click.echo(json.dumps(as_object(store, registry, chosen)))
        else:
            print_plans(store, registry, chosen, everything=plan == OPEN)


def _find(name: str, store: CellStore, registry: Registry) -> Plan:
    """A plan by id, file, or `open`. Raises PlanUnknown, ConfigError."""
    known = plans(store)
    number = None
    if name == OPEN:
        state = registry.state()
        if state is None:
            raise PlanUnknown("Nothing was counted for this topic yet.", way_out="Run `flurry-fast consume` first.")
        number = state.plan
    elif len(name) == 8 and not Path(name).exists() and set(name.lower()) <= set("0123456789abcdef"):
        number = int(name, 16)
    if number in known:
        return Plan.registered(known[number], number)
    if number is not None or not Path(name).exists():
        ids = ", ".join(f"{plan:08x}" for plan in known) or "none"
        raise PlanUnknown(f"There is no plan {name}.", way_out=f"Name a file, `open`, or one of these ids: {ids}.")
    return load_plan(PlanFile(path=Path(name)))


# --- diff ------------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
def diff(settings: Settings, before: str, after: str, as_json: bool) -> None:
    """Print what is different from plan A to plan B, and what that means for readers.

    A and B are ids of registered plans, files, or `open`. Works without a broker; for two files, without a store.
    """
    if all(Path(name).exists() for name in (before, after)):
        first, second = (load_plan(PlanFile(path=Path(name))) for name in (before, after))
    else:
        with opened(settings) as store:
            registry = Registry(store, settings.kafka.topic, _no_broker)
            first, second = (_find(name, store, registry) for name in (before, after))
    found = differences(first, second)
    if as_json:
        click.echo(json.dumps(differences_object(found)))
    else:
        click.echo(f"From plan {found.before:08x} to plan {found.after:08x}:")
        for sentence in found.meaning():
            click.echo(f"  {sentence}")


# --- switch ----------------------------------------------------------------------------------------------------------


def _plan_id(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 16)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not the id of a plan, eight hexadecimal digits") from None


@command.command("switch")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--abort", "take_back", is_flag=True, help="Take back a switch that is under way; no FILE then.")
@click.option(
    "--hand-over",
    metavar="ID",
    callback=_plan_id,
    help="Do all but open plan ID, which another version of flurry_fast will do; no FILE then.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@consent_options
@settings_options
def switch_command(
    settings: Settings,
    file: Path | None,
    take_back: bool,
    hand_over: int | None,
    as_json: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Let the open plan count to where the log ends now, and the plan in FILE from there on.

    Stop the consumers first; start them with plan.path = FILE afterwards. Interrupted anywhere, even by kill -9, it is
    finished by the same command, or taken back with --abort.
    """
    if sum([file is not None, take_back, hand_over is not None]) != 1:
        raise click.UsageError("Give exactly one of FILE, --abort and --hand-over.")
    if take_back:
        _abort(settings, as_json=as_json, dry_run=dry_run, yes=yes)
        return
    logs.configure(settings.log.model_copy(update={"level": "warning"}))
    plan = load_plan(PlanFile(path=file)) if file is not None else None
    target = Target(hand_over or 0, None) if plan is None else Target(plan.id, plan.toml)
    with desk(settings) as place:
        outlook = look(place.store, place.registry, target)
        _announce(place, outlook, target)
        if dry_run or outlook.open:
            click.echo("Nothing was changed.", err=True)
            state = outlook.state
        else:
            place.refuse_if_active()
            consent(f"Switch topic {settings.kafka.topic} to plan {target.plan:08x}?", yes=yes)
            with StopSignals() as stop, SwitchProgress(outlook.positions) as progress:
                state = switch(_seams(place, stop, progress), target)
        ends = look(place.store, place.registry, target).ends if state.closing else _last_ends(place.registry, state)
    if as_json:
        click.echo(json.dumps(_result(state, target, ends)))
    elif state.plan == target.plan and not outlook.open:
        click.echo(f"Done: plan {state.plan:08x} is open. Start the consumers with plan.path = {file}.")
    elif target.toml is None and not dry_run:
        click.echo(f"Done: plan {state.plan:08x} stands at its end. Open plan {target.plan:08x} with the new version.")


def _abort(settings: Settings, *, as_json: bool, dry_run: bool, yes: bool) -> None:
    with opened(settings) as store:
        registry = Registry(store, settings.kafka.topic, _no_broker)
        state = registry.state()
        if state is not None and state.closing is not None and not dry_run:
            consent(f"Take back the switch to plan {state.closing:08x}, and open {state.plan:08x} again?", yes=yes)
        if state is None or not dry_run or state.closing is None:
            state = abort(registry, _now_ms)
    if as_json:
        click.echo(json.dumps({"plan": f"{state.plan:08x}", "opened": not dry_run, "revision": state.revision}))
    elif dry_run:
        click.echo(f"Plan {state.plan:08x} would be open again. Nothing was changed.", err=True)
    else:
        click.echo(f"Done: plan {state.plan:08x} is open again. Start the consumers with it.")


def _announce(place: Desk, outlook: Outlook, target: Target) -> None:
    """What would be done, and what it means, on standard error."""
    old = outlook.state.plan
    if outlook.open:
        click.echo(f"Plan {old:08x} is the open one already.", err=True)
        return
    if target.toml is not None:
        for sentence in differences(_find(OPEN, place.store, place.registry), Plan.parse(target.toml)).meaning():
            click.echo(f"  {sentence}", err=True)
    if outlook.under_way:
        click.echo(f"The switch from {old:08x} to {target.plan:08x} was begun already.", err=True)
    ends = outlook.ends or {number: place.log.bounds(number).end for number in outlook.positions}
    left = sum(max(0, end - outlook.positions[number]) for number, end in ends.items())
    click.echo(
        f"Plan {old:08x} has {counted(left, 'record')} left to count, in {counted(len(ends), 'partition')};"
        f" plan {target.plan:08x} goes on from there.",
        err=True,
    )


def _seams(place: Desk, stop: Callable[[], bool], progress: SwitchProgress) -> Seams:
    def run(plan: Plan, registration: Registration, ends: Mapping[int, int]) -> None:
        source = KafkaSource(place.settings.kafka)
        progress.begin(ends)
        run_to(
            place.settings,
            plan,
            source,
            place.store,
            place.registry,
            registration,
            ends,
            SystemClock(),
            stop=stop,
            publish=progress.publish,
        )

    return Seams(place.store, place.registry, lambda number: place.log.bounds(number).end, run, _now_ms, progress.tell)


def _now_ms() -> int:
    return round(time.time() * 1000)


def _last_ends(registry: Registry, state: State) -> dict[int, int]:
    """Where the plan before the open one ended."""
    found = registry.plan_ends()
    of_state = [ends for (revision, _), ends in found.items() if revision == state.revision - 1]
    return of_state[-1] if of_state else {}


def _result(state: State, target: Target, ends: Mapping[int, int]) -> dict[str, Any]:
    return {
        "plan": f"{target.plan:08x}",
        "opened": state.plan == target.plan and state.closing is None,
        "revision": state.revision,
        "from": {str(number): end for number, end in sorted(ends.items())},
    }
