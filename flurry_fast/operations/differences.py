"""What is different between two plans, and what that means for whoever reads counters after a switch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from flurry_fast._core import Plan, Rollup


@dataclass(frozen=True)
class Change:
    """One rollup that both plans have. None, or empty: no difference."""

    rollup: str
    cap: tuple[int, int] | None = None
    dimensions: tuple[list[str], list[str]] | None = None
    measures_added: list[str] = field(default_factory=list)
    measures_removed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Differences:
    """From one plan to another. `settings`: name -> both values, as text; rules (semantics, tz database, block format)
    are among them where both are known. `reordered`: the rollups, or a rollup's measures, come in another order."""

    before: int
    after: int
    settings: dict[str, tuple[str, str]] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    reordered: bool = False
    other_rules: bool = False  # one of them was counted by another version, whose rules are not known here

    @property
    def same(self) -> bool:
        """Whether they are one plan."""
        return self.before == self.after

    def meaning(self) -> Iterator[str]:
        """What it means for readers, a sentence each."""
        if self.same:
            yield "They are the same plan."
            return
        if self.other_rules:
            yield "One of them was counted by the rules of another version of flurry_fast: see its changelog."
        yield from map(_of_setting, self.settings.items())
        if self.added:
            yield f"{_list(self.added)}: counted from the switch on, empty before."
        if self.removed:
            yield f"{_list(self.removed)}: ends with the switch; what was counted stays."
        for change in self.changed:
            yield from _of_rollup(change)
        if self.reordered:
            yield "The rest differs in order only, which changes how blocks are stored and no number."


def differences(before: Plan, after: Plan) -> Differences:
    """All that is different."""
    old, new = _rollups(before), _rollups(after)
    changes = [_change(old[name], new[name]) for name in old if name in new]
    changed = [change for change in changes if change != Change(change.rollup)]
    mine, theirs = _settings(before), _settings(after)
    settings = {
        name: (mine.get(name, "none"), theirs.get(name, "none"))
        for name in mine | theirs
        if mine.get(name) != theirs.get(name)
    }
    added, removed = [name for name in new if name not in old], [name for name in old if name not in new]
    other_rules = not (before.current and after.current) and before.id != after.id
    nothing = not (changed or settings or added or removed or other_rules)
    return Differences(
        before.id,
        after.id,
        settings=settings,
        added=added,
        removed=removed,
        changed=changed,
        reordered=nothing and before.id != after.id,
        other_rules=other_rules,
    )


def _rollups(plan: Plan) -> dict[str, Rollup]:
    return {rollup.name: rollup for rollup in plan.rollups}


def _settings(plan: Plan) -> dict[str, str]:
    lines = (line.partition(" = ") for line in plan.canonical.splitlines())
    return {name: value for name, _, value in lines if not name.startswith("rollup.")}


def _change(old: Rollup, new: Rollup) -> Change:
    return Change(
        old.name,
        cap=None if old.cap == new.cap else (old.cap, new.cap),
        dimensions=None if old.dimensions == new.dimensions else (old.dimensions, new.dimensions),
        measures_added=[name for name in new.measures if name not in old.measures],
        measures_removed=[name for name in old.measures if name not in new.measures],
    )


def _of_setting(setting: tuple[str, tuple[str, str]]) -> str:
    name, (old, new) = setting
    meaning = {
        "time": "sessions far from their receive time may count in another hour than before",
        "limits": "large numbers of single reports are cut elsewhere",
        "dedup": "other reports are taken for repeated ones",
        "tzdata": "local hours follow other rules",
        "semantics": "what a report adds is decided by other rules",
        "block_format": "blocks are stored in another way",
    }
    return f"{name} is {new} instead of {old}: {meaning.get(name.partition('.')[0], 'counts differ')}."


def _of_rollup(change: Change) -> Iterator[str]:
    if change.dimensions is not None:
        old, new = (", ".join(names) or "none" for names in change.dimensions)
        yield (
            f"{change.rollup}: dimensions {new} instead of {old}; readers could not sum them, so a switch is refused:"
            " give it another name."
        )
    if change.cap is not None:
        old_cap, new_cap = change.cap
        yield (
            f"{change.rollup}: {new_cap:,} groups a block have a line of their own instead of {old_cap:,}; sums with"
            " (other) stay exact."
        )
    for names, when in ((change.measures_added, "began"), (change.measures_removed, "ended")):
        if names:
            yield f"{change.rollup}: {_list(names)} {when} with the switch; empty in sums that need both plans."


def _list(names: list[str]) -> str:
    return ", ".join(names)
