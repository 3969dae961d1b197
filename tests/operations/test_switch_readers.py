"""Readers over two plans: what both count is summed exactly, what one counts has that one's time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flurry_fast import _core, reading
from flurry_fast.verify.count import count_lines
from flurry_fast.verify.plan import CountedPlan
from flurry_fast.verify.truth import compare_with_manifest

from ..verify.logs import INCARNATION, TOPIC, manifest
from .switching import OLD, Installation

HOUR_MS = 3_600_000
SAME_RULES = _core.Plan.parse(
    OLD.toml.replace('measures = ["sessions", "new_users"]', 'measures = ["sessions", "duration"]', 1)
    + '\n[[rollup]]\nname = "zone"\ndimensions = ["time_zone"]\nmeasures = ["sessions"]\n'
)


@pytest.fixture(scope="module")
def there() -> Installation:
    """The old plan to 30, another one with the same rules to 39, the old one to 48, the other one to 57."""
    there = Installation()
    for seed, plan in enumerate((SAME_RULES, OLD, SAME_RULES), 81):
        there.switch(plan)
        there.produce(seed)
        there.consumer(plan).run()
    return there


def test_what_both_count_is_the_sum_as_if_there_had_been_one_plan(there: Installation) -> None:
    whole = count_lines(manifest(there.logs), CountedPlan.parse(OLD.toml)).blocks
    for app in (b"APP1", b"APP2", b"APP3"):
        for rollup in ("app", "event"):
            names = next(item for item in OLD.rollups if item.name == rollup)
            found = reading.counters(there.store, app, rollup)
            expected: Counter[tuple[object, ...]] = Counter()
            for (_, key, bucket), block in whole.items():
                for group, measures in block.get(rollup, {}).items() if key == app else ():
                    for measure, value in measures.items():
                        expected[bucket, group, measure] += value
            got: Counter[tuple[object, ...]] = Counter()
            for row in found.to_pylist():
                group = tuple(row[name] if row[name] != reading.UNKNOWN else "" for name in names.dimensions)
                for measure in names.measures:
                    got[int(row["hour"].timestamp() * 1000) // HOUR_MS, group, measure] += row[measure]
            assert got == expected
            assert got.total() > 0


def test_a_rollup_of_one_plan_has_the_time_of_that_plan(there: Installation) -> None:
    ranges = {number: [(30, 39), (48, None)] for number in there.logs}
    blocks = count_lines(manifest(there.logs), CountedPlan.parse(SAME_RULES.toml), ranges=ranges).blocks
    expected = sum(
        group["sessions"]
        for (_, key, _), block in blocks.items()
        if key == b"APP1"
        for group in block.get("zone", {}).values()
    )
    found = reading.counters(there.store, b"APP1", "zone")
    assert sum(found.column("sessions").to_pylist()) == expected > 0


def test_a_measure_that_one_contributor_lacks_is_null_not_less(there: Installation) -> None:
    found = reading.counters(there.store, b"APP1", "country")
    assert {"new_users", "duration"} < set(found.column_names)
    assert None not in found.column("sessions").to_pylist()
    both = [row for row in found.to_pylist() if row["new_users"] is not None and row["duration"] is not None]
    assert both == []


def test_the_manifest_is_compared_with_every_plan(there: Installation, tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_text("".join(line + "\n" for line in manifest(there.logs)))
    compared = compare_with_manifest(there.store, TOPIC, path, incarnation=INCARNATION)
    assert compared.differences == []
    assert (compared.exact, compared.other_cells) == (True, 0)
    cells = sum(batch.num_rows for table in there.store.tables() for batch in there.store.scan(table))
    assert compared.blocks == cells
    more = {number: [*log, log[0]] for number, log in there.logs.items()}
    path.write_text("".join(line + "\n" for line in manifest(more)))
    assert not compare_with_manifest(there.store, TOPIC, path).exact
