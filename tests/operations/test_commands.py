"""The commands, with real processes around the embedded broker."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.files import open_files
from flurry_fast.archive.verify import survey
from flurry_fast.cli import main
from flurry_fast.registry import Registry, plans
from flurry_fast.stores.sqlite import SqliteStore
from flurry_fast.verify.compare import compare_store

from ..consumer.pipeline import Pipeline, wait_until
from ..verify.logs import Consumer
from .installation import LOGS, PLAN


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path, partitions=2)
    yield made
    made.close()


def run(pipeline: Pipeline, *arguments: str, typed: str | None = None) -> Result:
    flags = [item for key, value in pipeline.overrides.items() for item in ("--set", f"{key}={value}")]
    return CliRunner().invoke(main, [*arguments, *flags], input=typed)


def shown(pipeline: Pipeline) -> list[dict[str, object]]:
    result = run(pipeline, "positions", "show", "--json")
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def consume_all(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer()
    wait_until(lambda: pipeline.committed() == pipeline.truth.ends(), "everything committed", consumer=consumer)
    assert consumer.stop() == 0


def test_show_and_reset(pipeline: Pipeline) -> None:
    refused = run(pipeline, "positions", "show")
    assert refused.exit_code == 1
    pipeline.produce(200)
    ends = pipeline.truth.ends()
    consumer = pipeline.consumer()
    wait_until(lambda: pipeline.committed() == ends, "everything committed", consumer=consumer)

    busy = run(pipeline, "positions", "reset", "--to-offset", "10", "--yes")
    assert (busy.exit_code, "is at work" in busy.stderr) == (1, True), busy.stderr
    pipeline.produce(20)  # only a member that has its partitions back commits these
    ends = pipeline.truth.ends()
    wait_until(lambda: pipeline.committed() == ends, "it goes on", consumer=consumer)
    assert consumer.stop() == 0

    before = shown(pipeline)
    assert [item["log"] for item in before] == [{"start": 0, "end": ends[number]} for number in (0, 1)]
    assert [item["committed"] for item in before] == [{"offset": ends[number], "ours": True} for number in (0, 1)]
    assert [(item["lag"], item["read_again"], item["problems"]) for item in before] == [(0, 0, [])] * 2

    up = run(pipeline, "positions", "reset", "--shift-by", "1", "--yes")
    assert (up.exit_code, "upwards" in up.stderr) == (1, True), up.stderr
    dry = run(pipeline, "positions", "reset", "--to-offset", "10", "--dry-run")
    assert dry.exit_code == 0
    assert f"partition 0: counters from {ends[0]} down to 10; {ends[0] - 10} records will be read again." in dry.stdout
    no = run(pipeline, "positions", "reset", "--to-offset", "10", typed="n\n")
    assert (no.exit_code, "Nothing was changed." in no.stderr) == (1, True)
    assert shown(pipeline) == before

    done = run(pipeline, "positions", "reset", "--to-offset", "10", "--partition", "1", typed="y\n")
    assert done.exit_code == 0, done.stderr
    after = shown(pipeline)
    assert [item["reads_from"] for item in after] == [ends[0], 10]
    assert [item["read_again"] for item in after] == [0, ends[1] - 10]
    assert {item["generation"] for item in before} == {0}
    assert after[0]["generation"] == after[1]["generation"] != 0
    pipeline.produce(50)
    consume_all(pipeline)
    pipeline.assert_exact()

    pipeline.close()
    blind = run(pipeline, "positions", "show")
    assert blind.exit_code == 0
    assert f"{pipeline.truth.ends()[0]:,}" in blind.stdout
    assert "Not known (" in blind.stderr


def test_a_gap_is_recorded_and_counting_goes_on(pipeline: Pipeline) -> None:
    pipeline.produce(100)
    consume_all(pipeline)
    assert "nothing to record" in run(pipeline, "gap", "record").stdout
    counted = pipeline.truth.ends()
    pipeline.produce(60)  # retention will have taken these
    draw = random.Random(3)
    pipeline.produce(0, bodies=[draw.randbytes(300_000) for _ in range(60)])  # 5 MiB a partition is what is kept
    consumer = pipeline.consumer("stopped")
    wait_until(lambda: "flurry-fast gap record" in consumer.said(), "it says what to do", consumer=consumer)
    assert consumer.stop() == 0
    shows = shown(pipeline)
    starts = {number: shows[number]["log"]["start"] for number in (0, 1)}  # type: ignore[index]
    assert all(starts[number] > counted[number] for number in (0, 1))
    assert all("flurry-fast gap record" in str(item["problems"]) for item in shows)

    dry = run(pipeline, "gap", "record", "--dry-run")
    assert f"counters lose {starts[0] - counted[0]} records ({counted[0]} to {starts[0] - 1})" in dry.stdout
    assert run(pipeline, "gap", "ls", "--json").stdout == ""
    done = run(pipeline, "gap", "record", "--yes", "--reason", "the disk was full")
    assert (done.exit_code, "Recorded." in done.stdout) == (0, True), done.stderr
    listed = [json.loads(line) for line in run(pipeline, "gap", "ls", "--json").stdout.splitlines()]
    assert [(gap["partition"], gap["start"], gap["end"], gap["reason"]) for gap in listed] == [
        (number, counted[number], starts[number], "the disk was full") for number in (0, 1)
    ]
    assert "lower bounds" in run(pipeline, "gap", "ls").stdout

    consume_all(pipeline)
    store = pipeline.store()
    plan_id, plan = next(iter(plans(store).items()))
    incarnation = pipeline.broker.file.incarnation
    lost = {(number, offset) for number in (0, 1) for offset in range(counted[number], starts[number])}
    compared = compare_store(store, pipeline.truth.count(plan, lost), plan_id=plan_id, incarnation=incarnation)
    assert compared.exact, compared.differences[:3]
    store.close()
    files = open_files(pipeline.settings().archive)
    for number in (0, 1):
        found = survey(Chain(files, "reports", incarnation, number))
        assert (found.findings, found.gap_offsets) == ([], starts[number] - counted[number])
    assert "nothing to record" in run(pipeline, "gap", "record", "--yes").stdout
    totals = [json.loads(line) for line in run(pipeline, "apps", "--format", "json").stdout.splitlines()]
    assert {line["lower_bound"] for line in totals} == {"records lost"}
    audited = run(pipeline, "audit", "--complete")
    assert "lie behind a recorded gap, and are not compared" in audited.stdout, audited.stderr


def test_a_restored_store_is_fenced_before_it_is_put_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "restored.sqlite"
    store = SqliteStore(path)
    Consumer(PLAN, LOGS, store).run()
    place = ("--set", f"counters.store=sqlite:{path}")

    def fence(*flags: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(main, ["positions", "fence", *flags, *place], input=typed)

    registry = Registry(store, "reports", lambda: 0)
    before = registry.state()
    assert "Generation 0 of sqlite:" in fence("--dry-run").stdout
    assert (fence(typed="n\n").exit_code, fence(typed="").exit_code) == (1, 1)
    assert registry.state() == before
    done = fence(typed="y\n")
    after = registry.state()
    assert after is not None
    assert after.generation > 0
    assert f"generation {after.generation} is in force" in done.stdout
    shown = CliRunner().invoke(main, ["positions", "show", "--offline", "--json", *place])
    assert {json.loads(line)["generation"] for line in shown.stdout.splitlines()} == {after.generation}
    registry.replace(after, dataclasses.replace(after, closing=7))
    shown = CliRunner().invoke(main, ["positions", "show", "--offline", *place])
    assert f"being switched from plan {PLAN.id:08x} to 00000007" in shown.stderr
    other = CliRunner().invoke(main, ["positions", "fence", "--yes", *place, "--set", "kafka.topic=other"])
    assert (other.exit_code, "nothing to fence" in other.stderr) == (1, True)
    store.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("positions", "reset"), "exactly one of"),
        (("positions", "reset", "--to-earliest", "--to-offset", "3"), "exactly one of"),
        (("positions", "reset", "--to-offset", "-3"), "--to-offset"),
        (("positions", "reset", "--by-duration", "soon"), "write it like"),
        (("positions", "reset", "--to-datetime", "soon"), "is no date"),
        (("gap", "record", "--partition", "x"), "--partition"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert words in result.stderr
