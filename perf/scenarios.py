"""What can be recorded: small, named pieces of work over simulated reports, the same on every machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

Work = Callable[[], object]


@dataclass(frozen=True)
class Scenario:
    """`prepare(reports, stack)` is not recorded and gives what is; what must be closed afterwards goes on the stack.

    `rounds`: how often the work is done in a recording, None where it can be done only once.
    """

    name: str
    title: str
    reports: int
    rounds: int | None
    prepare: Callable[[int, ExitStack], Work]


def _decode(reports: int, _: ExitStack) -> Work:
    from bench.corpus import make_corpus
    from flurry_fast._core import decode_batch

    batches = make_corpus(reports).batches
    return lambda: [decode_batch(batch) for batch in batches]


def _counting(plan_name: str) -> Callable[[int, ExitStack], Work]:
    def prepare(reports: int, _: ExitStack) -> Work:
        from bench import native
        from bench.corpus import make_corpus

        plan, corpus = native.load_plan(plan_name), make_corpus(reports)
        return lambda: native.absorb(native.new_engine(plan), corpus)

    return prepare


def _archive(reports: int, stack: ExitStack) -> Work:
    from bench import native
    from bench.corpus import make_corpus

    corpus, plan = make_corpus(reports), native.load_plan("five")
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "archive.parquet"

    def work() -> int:
        engine = native.new_engine(plan, counters=False, archive=True)
        native.absorb(engine, corpus)
        return native.write_parquet(native.take_archive(engine), path)

    return work


def _consume(reports: int, stack: ExitStack) -> Work:
    from perf import stages

    settings, sent = stack.enter_context(stages.backlog(reports, partitions=max(16, -(-reports // 2500))))
    if sent < reports:
        raise SystemExit(f"The embedded broker keeps only {sent:,} of {reports:,} reports.")
    return lambda: stages.run(settings, sent, stages.Stopwatch())


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("decode", "decode and validate; nothing is kept", 100_000, 50, _decode),
        Scenario("five", "decode and count five rollups, into empty tables", 100_000, 12, _counting("five")),
        Scenario("default", "decode and count the default plan, into empty tables", 100_000, 5, _counting("default")),
        Scenario("archive", "decode, gather columns, write one Parquet file", 100_000, 8, _archive),
        Scenario(
            "consume",
            "the production consumer: loop, engine, both sinks, SQLite, Parquet, embedded broker",
            100_000,
            None,
            _consume,
        ),
    )
}
