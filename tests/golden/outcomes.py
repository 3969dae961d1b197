"""What the records of the corpus give under a plan: from the engine, and from the independent count.

Kept as JSON with a line for each group of counters, so that a change shows as a difference of those lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa

from flurry_fast._core import Engine, Plan, semantics_version, tzdata_version
from flurry_fast._wire import Batch
from flurry_fast.positions import CountersPosition
from flurry_fast.verify import blocks as values
from flurry_fast.verify.count import BlockKey, Blocks, Count
from flurry_fast.verify.plan import CountedPlan

from ..reference.decoder import decode
from . import corpus
from .corpus import Record

ROOM = Path(__file__).parent
DEFAULT = ROOM.parents[1] / "flurry_fast" / "plans" / "default.toml"
PLANS = {"default": DEFAULT, "everything": ROOM / "everything.toml"}
_ABOUT_ITSELF = ("semantics", "tzdata", "block_format")  # lines of the canonical text that are no settings
_SHOWN = 3

Group = list[Any]  # [key, values]; the key is a list of texts, or "(other)"


class Disagreement(AssertionError):
    """The engine and the independent count differ, or a block is not in its canonical bytes."""


@dataclass(frozen=True)
class Outcome:
    """Counters of all records under one plan, and everything they depend on.

    `settings`: the plan's canonical text. `corpus`: digest of the records. `blocks`: name of a block (partition, API
    key, hour) -> rollup -> groups in the order of their keys, each with its measures in the plan's order.
    """

    semantics_version: int
    tzdata: str
    plan_id: str
    settings: list[str]
    corpus: str
    blocks: dict[str, dict[str, list[Group]]]


def file(plan: str) -> Path:
    """Where the outcome of a plan is kept."""
    return ROOM / f"{plan}.json"


def by_engine(toml: str, records: list[Record]) -> Outcome:
    """What the compiled engine writes: its blocks, read by the independent decoder, which must encode them alike."""
    plan, counted = Plan.parse(toml), CountedPlan.parse(toml)
    engine = Engine(plan, incarnation=1, secret=bytes(16), archive=False)
    for partition, log in groupby(records, lambda record: record.partition):
        engine.assign(partition, log_start=0, counters=CountersPosition(0), archive=None, read_from=0)
        if engine.absorb(_batch(list(log))) is not None:
            raise Disagreement("an engine that begins a log asks for stored cells")
    flush = engine.freeze(None)
    found: Blocks = {}
    for part in flush.parts if flush is not None else ():
        for row, value in zip(pa.array(part.rows).to_pylist(), pa.array(part.values).to_pylist(), strict=True):
            block = values.decode(counted, value)
            api_key, bucket = values.parse_row(row)
            found[part.partition, api_key, bucket] = block.rollups
            if values.encode(counted, block) != value:
                raise Disagreement(f"block {_name((part.partition, api_key, bucket))} is not in its canonical bytes")
    return _outcome(plan, records, found)


def by_count(toml: str, records: list[Record]) -> Outcome:
    """What the independent count says of what the reference decoder reads: plain Python from the bytes on."""
    count = Count(CountedPlan.parse(toml))
    for record in records:
        count.add(
            decode(record.payload)
            | {"partition": record.partition, "offset": record.offset, "timestamp_ms": record.timestamp}
            | {"crc32c": google_crc32c.value(record.payload)}
        )
    return _outcome(Plan.parse(toml), records, count.finish())


def _batch(log: list[Record]) -> Batch:
    return Batch.from_buffers(
        b"".join(record.payload for record in log),
        np.cumsum([0, *(len(record.payload) for record in log)]).astype(np.int64),
        np.array([record.offset for record in log], np.int64),
        np.array([record.timestamp for record in log], np.int64),
        log[0].partition,
    )


def _outcome(plan: Plan, records: list[Record], found: Blocks) -> Outcome:
    lines = [line for line in plan.canonical.splitlines() if line.partition(" ")[0] not in _ABOUT_ITSELF]
    measures = {rollup.name: rollup.measures for rollup in plan.rollups}
    named = {_name(key): found[key] for key in sorted(found)}
    shown = {
        name: {rollup: _groups(block[rollup], measures[rollup]) for rollup in measures if rollup in block}
        for name, block in named.items()
    }
    if len(shown) != len(found):
        raise Disagreement("two blocks have one name")
    return Outcome(semantics_version(), tzdata_version(), f"{plan.id:08x}", lines, corpus.digest(records), shown)


def _name(key: BlockKey) -> str:
    partition, api_key, bucket = key
    hour = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=bucket)
    return f"{partition} {api_key.decode('ascii', 'backslashreplace')} {hour:%Y-%m-%dT%H}Z"


def _groups(groups: dict[Any, dict[str, int]], measures: list[str]) -> list[Group]:
    """Sorted by key, `(other)` last."""
    ordered = sorted(groups.items(), key=lambda group: (isinstance(group[0], str), group[0]))
    return [
        [key if isinstance(key, str) else list(key), [amounts[measure] for measure in measures]]
        for key, amounts in ordered
    ]


# --- the file --------------------------------------------------------------------------------------------------------


def dump(outcome: Outcome) -> str:
    """JSON, a line for each setting and each group."""
    out = ["{"]
    out += [f'"{name}": {_json(getattr(outcome, name))},' for name in ("semantics_version", "tzdata", "plan_id")]
    out += ['"settings": [', _joined(_json(line) for line in outcome.settings), "],"]
    out += [f'"corpus": {_json(outcome.corpus)},', '"blocks": {']
    out.append(_joined(_dump_block(name, block) for name, block in outcome.blocks.items()))
    return "\n".join([*out, "}", "}", ""])


def _dump_block(name: str, block: dict[str, list[Group]]) -> str:
    rollups = (
        f"  {_json(rollup)}: [\n{_joined(f'   {_json(group)}' for group in groups)}]"
        for rollup, groups in block.items()
    )
    return f"{_json(name)}: {{\n{_joined(rollups)}}}"


def _joined(lines: Iterable[str]) -> str:
    return ",\n".join(lines)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(", ", ": "))


def load(text: str) -> Outcome:
    """The outcome that `dump` wrote."""
    return Outcome(**json.loads(text))


# --- comparison ------------------------------------------------------------------------------------------------------


def differences(before: Outcome, now: Outcome) -> Iterator[str]:
    """Every group that differs, as a sentence."""
    for name in sorted(before.blocks.keys() | now.blocks.keys()):
        was, is_now = before.blocks.get(name, {}), now.blocks.get(name, {})
        for rollup in sorted(was.keys() | is_now.keys()):
            left = {_json(key): amounts for key, amounts in was.get(rollup, [])}
            right = {_json(key): amounts for key, amounts in is_now.get(rollup, [])}
            for key in sorted(left.keys() | right.keys()):
                if left.get(key) != right.get(key):
                    yield f"{name}: {rollup} {key} was {left.get(key)}, is {right.get(key)}"


def objection(plan: str, before: Outcome, now: Outcome) -> str | None:
    """Why `now` may not take the place of `before`; None: it may.

    Other settings, another tz database and another corpus may give other counters; the same ones may not, unless the
    semantics have a new version.
    """
    if (before.semantics_version, before.tzdata, before.settings, before.corpus) != (
        now.semantics_version, now.tzdata, now.settings, now.corpus,
    ):  # fmt: skip
        return None
    found = list(differences(before, now))
    if not found:
        return None
    return (
        f"{len(found)} groups of counters changed under plan {plan}, while SEMANTICS_VERSION is still"
        f" {now.semantics_version}: undo the change, or bump SEMANTICS_VERSION (rust/core/src/lib.rs), say in"
        f" CHANGELOG.md what changed, and run `python -m tests.golden`. {'; '.join(found[:_SHOWN])}."
    )


def stale(plan: str, before: Outcome, now: Outcome) -> str | None:
    """What to do where the kept outcome is not today's, one sentence; None: it is."""
    if (refused := objection(plan, before, now)) is not None or before == now:
        return refused
    names = ("semantics_version", "tzdata", "plan_id", "settings", "corpus")
    changed = [name for name in names if getattr(before, name) != getattr(now, name)]
    return (
        f"The golden outcome of plan {plan} was made with another {', '.join(changed)}: run `python -m tests.golden`"
        " and read what `git diff` shows before you commit it."
    )
