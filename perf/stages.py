"""Where the time of a consumer run goes, stage by stage: the production loop, engine, sinks and stores, with a
stopwatch around the calls between them. Nothing is simulated but the devices.

    python -m perf.stages [--reports N] [--partitions N] [--sinks counters,archive]

Reports are put into the embedded broker first (it keeps 5 MiB a partition); then the consumer starts and is timed until
everything is durable. Wall time of stages on different threads overlaps: it says who is waited for. CPU time adds up.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from confluent_kafka import Producer

from flurry_fast import EmbeddedBroker, build_info, logs
from flurry_fast._core import Simulator
from flurry_fast.config.load import load
from flurry_fast.config.model import Settings
from flurry_fast.consumer.source import KafkaSource
from flurry_fast.consumer.start import assemble, load_plan, make_engine, make_sinks
from flurry_fast.consumer.state import LoopState
from flurry_fast.kafka import Cluster
from flurry_fast.ports import SystemClock
from flurry_fast.registry import Registry
from flurry_fast.sinks import archive as archive_sink
from flurry_fast.stores import open_store

PARTITION_BYTES = 4 * 2**20  # of the 5 MiB that the broker keeps


@dataclass
class Stage:
    """What one kind of call took, all of its calls together."""

    calls: int = 0
    wall: float = 0.0
    cpu: float = 0.0


class Stopwatch:
    """Stages by name; the same names may run on several threads."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self.on_loop = 0.0  # CPU seconds of stages that ran on the main thread
        self._lock = threading.Lock()

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Adds the block to a stage."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            with self._lock:
                stage = self.stages.setdefault(name, Stage())
                stage.calls += 1
                stage.wall += wall
                stage.cpu += cpu
                if threading.current_thread() is threading.main_thread():
                    self.on_loop += cpu


class Timed:
    """An object whose named methods are timed; everything else is the object's own."""

    def __init__(self, inner: Any, watch: Stopwatch, stages: dict[str, str]) -> None:
        self._inner, self._watch, self._stages = inner, watch, stages

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return timed(value, self._watch, self._stages[name]) if name in self._stages else value


def timed(function: Callable[..., Any], watch: Stopwatch, stage: str) -> Callable[..., Any]:
    """The function, its calls added to a stage."""

    def call(*arguments: Any, **named: Any) -> Any:
        with watch.time(stage):
            return function(*arguments, **named)

    return call


ENGINE = {
    "absorb": "absorb: decode, fold, archive rows",
    "resume": "resume: fold what waited for a base",
    "seed": "seed: take in stored blocks",
    "freeze": "freeze: blocks as canonical bytes",
    "acknowledge": "acknowledge",
    "drop": "drop: forget a partition that leaves",
    "archive_take": "archive_take: columns of a chunk",
}
STORE = {
    "read": "store: base reads",
    "write": "store: write blocks",
    "put_control": "store: positions",
    "get_control": "store: registry reads",
}
SOURCE = {"drain": "drain: out of librdkafka (waiting included)", "commit": "commit"}


def fill(settings: Settings, reports: int, partitions: int) -> int:
    """Sends simulated reports, round robin; how many fitted."""
    producer = Producer({"bootstrap.servers": _bootstrap(settings), "linger.ms": 5, "compression.type": "none"})
    batch = Simulator(1, apps=20_000).next_batch(reports)
    sent, sizes = 0, [0] * partitions
    for payload, key in zip(batch.payloads(), batch.keys(), strict=True):
        partition = sent % partitions
        if sizes[partition] + len(payload) > PARTITION_BYTES:
            break
        sizes[partition] += len(payload)
        producer.produce(settings.kafka.topic, payload, key, partition=partition)
        sent += 1
        if sent % 1000 == 0:
            producer.poll(0)
    if producer.flush(60):
        raise SystemExit("The embedded broker did not take every report.")
    return sent


@contextmanager
def backlog(reports: int, partitions: int, sinks: str = "counters,archive") -> Iterator[tuple[Settings, int]]:
    """An embedded broker with that many simulated reports, fewer where it can not keep them, and what consumes them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings = load(None, {
            "kafka.broker_file": str(root / "broker.json"),
            "counters.store": f"sqlite:{root / 'counters.sqlite'}",
            "archive.root": str(root / "archive"),
            "counters.flush_age": "1", "archive.roll_age": "2", "consume.sinks": sinks, "log.level": "warning",
        }, {}).settings  # fmt: skip
        logs.configure(settings.log)
        with EmbeddedBroker(root / "broker.json", {settings.kafka.topic: partitions}):
            yield settings, fill(settings, reports, partitions)


def _bootstrap(settings: Settings) -> str:
    from flurry_fast.broker import read_broker_file

    return read_broker_file(settings.kafka.broker_file).bootstrap


@dataclass(frozen=True)
class Run:
    """One run: seconds from the first call to the end, of the clock, of CPU, and of CPU of the loop's thread."""

    reports: int
    wall: float
    cpu: float
    loop: float


def run(settings: Settings, reports: int, watch: Stopwatch) -> Run:
    """Consumes until `reports` are durable everywhere."""
    plan = load_plan(settings.plan)
    cluster = Cluster(settings.kafka)
    identity = cluster.describe()
    store = open_store(settings.counters)
    registry = Registry(store, settings.kafka.topic, cluster.incarnation)
    registration = registry.open(plan.id, plan.toml, identity.partitions)
    clock = SystemClock()
    engine = cast("Any", Timed(make_engine(settings, plan, registration), watch, ENGINE))
    timed_store = cast("Any", Timed(store, watch, STORE))
    sinks = make_sinks(settings, engine, timed_store, registry, registration, clock)
    source = cast("Any", Timed(KafkaSource(settings.kafka), watch, SOURCE))
    durable = 0

    def look(state: LoopState) -> None:
        nonlocal durable
        ends = [p.durable.values() for p in state.partitions.values()]
        durable = sum(min((end or 0 for end in by_sink), default=0) for by_sink in ends)

    consumer = assemble(settings, source, engine, sinks, registry, registration, clock, publish=look)
    wall, cpu, loop = time.perf_counter(), time.process_time(), time.thread_time()
    consumer.run(lambda: durable >= reports)
    done = Run(reports, time.perf_counter() - wall, time.process_time() - cpu, time.thread_time() - loop)
    store.close()
    return done


def report(watch: Stopwatch, done: Run) -> str:
    """The stages as a Markdown table, the costliest first."""
    lines = ["| stage | calls | CPU s | CPU us/report | wall s | share of CPU |", "|---|---|---|---|---|---|"]
    stages = sorted(watch.stages.items(), key=lambda item: -item[1].cpu)
    loop = done.loop - watch.on_loop
    rest = done.cpu - loop - sum(stage.cpu for _, stage in stages)
    rows = [(name, f"{stage.calls:,}", stage.cpu, f"{stage.wall:.2f}") for name, stage in stages]
    rows.append(("the loop's own Python, start and end", "", loop, ""))
    rows.append(("other threads: librdkafka, the sinks' own Python, monitor", "", rest, ""))
    rows.append(("**whole process**", "", done.cpu, f"{done.wall:.2f}"))
    for name, calls, seconds, waited in rows:
        share = f"{seconds / done.cpu:.1%}"
        lines.append(f"| {name} | {calls} | {seconds:.2f} | {seconds / done.reports * 1e6:.2f} | {waited} | {share} |")
    return "\n".join(lines)


def main() -> None:
    """See the module's words."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reports", type=int, default=50_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--sinks", default="counters,archive")
    options = parser.parse_args()
    watch = Stopwatch()
    vars(archive_sink)["publish"] = timed(vars(archive_sink)["publish"], watch, "archive: write, sync and claim a file")
    with backlog(options.reports, options.partitions, options.sinks) as (settings, reports):
        done = run(settings, reports, watch)
    build = build_info()["core"]["profile"]
    print(f"{reports:,} reports in {done.wall:.1f} s; {build} build; sinks: {options.sinks}\n")
    print(report(watch, done))


if __name__ == "__main__":
    main()
