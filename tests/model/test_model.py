"""The model itself: its oracle is the independent count, its schedules replay, its failures shrink."""

from __future__ import annotations

import random

import pytest

from flurry_fast.sinks.counters import CountersSink, Snapshot
from flurry_fast.verify import blocks
from flurry_fast.verify.blocks import Block
from flurry_fast.verify.count import Count
from model.draw import Draw
from model.log import Log
from model.oracle import Oracle
from model.records import NOW_MS, PLANS, POOL, TICK_MS, names
from model.runner import attempt, replay
from model.scenarios import SCENARIOS
from model.shrink import shrink


@pytest.mark.parametrize("plan", range(4))
def test_the_oracle_gives_the_bytes_of_the_independent_count(plan: int) -> None:
    draw = random.Random(plan)
    log, count = Log(), Count(PLANS[plan].counted)
    for offset in range(60):
        place = draw.randrange(len(POOL))
        log.append(place, NOW_MS + draw.randrange(12) * TICK_MS)
        count.add({**POOL[place].decoded, "partition": 0, "offset": offset, "timestamp_ms": log.times[-1]})
    oracle = Oracle(plan, log)
    for (_, key, bucket), groups in count.finish().items():
        block = Block(log.end, PLANS[plan].plan.id, log.crcs[-1], groups)
        assert oracle.value(names(key, bucket), log.end) == blocks.encode(PLANS[plan].counted, block)
    assert len(oracle.blocks) == len(count.blocks)


def test_a_block_below_an_offset_is_the_count_of_what_is_below() -> None:
    log = Log()
    for place in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9) * 2:
        log.append(place, NOW_MS)
    oracle = Oracle(0, log)
    oracle.extend()
    whole = {name: oracle.value(name, log.end) for name in oracle.blocks}
    for end in (13, 5, 20, 9):  # not only upwards
        below = Oracle(0, log.cut(end))
        below.extend()
        for name in oracle.blocks:
            assert oracle.value(name, end) == below.value(name, end)
    assert whole == {name: oracle.value(name, log.end) for name in oracle.blocks}


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_a_schedule_is_its_choices(scenario: str) -> None:
    outcome = attempt(Draw(11), scenario, 11, trace=True)
    again = replay(outcome.choices, scenario, trace=True)
    assert outcome.violation is None
    assert again.violation is None
    assert (again.trace, again.happened, again.made) == (outcome.trace, outcome.happened, outcome.made)


def test_no_choices_at_all_are_a_schedule() -> None:
    assert replay([], "base").violation is None


def _position_first(sink: CountersSink, snapshot: Snapshot) -> None:
    for partition, position in snapshot.positions:
        sink._positions.put(partition, position)
    _PUSH(sink, snapshot)


def _failure_is_success(sink: CountersSink, snapshot: Snapshot) -> None:
    try:
        _PUSH(sink, snapshot)
    except Exception:
        for partition, position in snapshot.positions[snapshot.positions_done :]:
            sink._positions.put(partition, position)


_PUSH = CountersSink._push


@pytest.mark.parametrize("bug", [_position_first, _failure_is_success])
def test_a_bug_is_noticed_and_shrinks_to_a_short_schedule(bug: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountersSink, "_push", bug)
    failed = next(outcome for seed in range(200) if (outcome := attempt(Draw(seed), "base", seed)).violation)
    short = shrink(failed, "base", rounds=300)
    assert short.violation is not None
    assert failed.violation is not None
    assert short.violation.check == failed.violation.check
    assert len(short.choices) < 0.8 * len(failed.choices)
    assert short.trace
