"""From a real topic to counters in memory: ours against Python, Java and stream frameworks, on one core.

    python -m bench.pipelines [--stack-dir DIR] [--records N] [--rounds N] [--frameworks] [--only NAME ...]

Client CPU a report, from the first record of an lz4 backlog to the last one counted. A Kafka of --stack-dir is used, or
started for this. All counters are asserted equal before anything is timed.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import java
from bench.child import Child, ChildFailed
from bench.frameworks import FRAMEWORKS, environment
from bench.kernels import NotEqual
from bench.part import Part, parser, run
from bench.rounds import Samples, interleave
from bench.servers import servers
from bench.topic import Backlog, backlog


@dataclass(frozen=True)
class Contender:
    """A row. A `once` contender is a new process a round: frameworks are made to run until they are stopped."""

    name: str
    title: str
    kind: Literal["python", "java", "framework"]
    slow: bool = False

    @property
    def once(self) -> bool:
        return self.kind == "framework"


CONTENDERS = [
    Contender("drain", "drain alone (librdkafka, C)", "python"),
    Contender("memory", "decode + five rollups alone, same batches", "python"),
    Contender("ours", "ours: drain + five rollups", "python"),
    Contender("java_flat", "Java kafka-clients, flat tables", "java"),
    Contender("java_stream", "Java kafka-clients, DataInputStream + HashMap", "java"),
    Contender("python", "confluent-kafka, struct, dicts", "python", slow=True),
    *(Contender(name, title, "framework", slow=True) for name, title in FRAMEWORKS.items()),
]
UNCOUNTED = {"drain"}


def launch(contender: Contender, where: Backlog) -> Child:
    """Its process. Raises JavaMissing, EnvironmentMissing."""
    if contender.kind == "java":
        jars = java.kafka_jars()
        folder = java.compiled(["Contender", "Streaming", "Flat", "Digest", "Pipeline"], jars)
        way = contender.name.removeprefix("java_")
        return Child(contender.name, java.command("Pipeline", folder, way, *where.words, class_path=jars))
    if contender.kind == "framework":
        framework, _, decoder = contender.name.rpartition("_")
        module = f"bench.frameworks.{framework}_job"
        return Child.python(contender.name, module, decoder, *where.words, executable=environment())
    return Child.python(contender.name, "bench.contenders.python_pipeline", contender.name, *where.words)


def one_round(child: Child) -> tuple[float, float, str]:
    """CPU seconds, seconds."""
    child.ask("prepare", "prepared")
    return child.timed("round", "done")


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    rows = [row for row in CONTENDERS if row.name in options.only] if options.only else CONTENDERS
    if not options.frameworks:
        rows = [row for row in rows if row.kind != "framework"]
    with servers(options, "kafka") as addresses:
        assert addresses.kafka is not None
        with backlog(addresses.kafka, options.records) as where, ExitStack() as stack:
            return _measure(options, rows, where, stack)


def _measure(options: argparse.Namespace, rows: list[Contender], where: Backlog, stack: ExitStack) -> Part:
    children: dict[str, Child] = {}
    digests: dict[str, str] = {}
    failed: dict[str, str] = {}
    for row in rows:
        try:
            with ExitStack() as own:
                child = own.enter_context(launch(row, where))
                child.expect("ready")
                one_round(child)
                digests[row.name] = child.ask("digest", "digest")
                if not row.once:
                    children[row.name] = child
                    stack.push(own.pop_all())
        except ChildFailed as error:
            if not row.once:
                raise
            failed[row.name] = str(error)  # a framework that can not run here is a finding
    counted = {name: words for name, words in digests.items() if name not in UNCOUNTED}
    if len(set(counted.values())) > 1 or not all(words.endswith(" 0") for words in digests.values()):
        raise NotEqual(f"The contenders count differently: {digests}.")

    def once(row: Contender) -> tuple[float, float]:
        if not row.once:
            return one_round(children[row.name])[:2]
        with launch(row, where) as child:
            child.expect("ready")
            cpu, wall, _ = one_round(child)
            words = child.ask("digest", "digest")
        if words != digests[row.name]:
            raise NotEqual(f"{row.name} came to other counters the second time: {words}.")
        return cpu, wall

    running = [row for row in rows if row.name in digests]
    ways = {row.name: lambda row=row: once(row) for row in running}  # type: ignore[misc]
    samples = interleave("pipelines", ways, options.rounds, [row.name for row in running if row.slow])
    return _part(options.records, running, samples, failed)


def _part(records: int, rows: list[Contender], samples: dict[str, Samples], failed: dict[str, str]) -> Part:
    least = {name: found.least for name, found in samples.items()}
    figures = [
        {"name": row.name, "title": row.title, **samples[row.name].figures(records)}
        | {"times_ours": least[row.name] / least["ours"] if "ours" in least else None}
        for row in rows
    ]
    ratios = {}
    if {"ours", "drain", "memory"} <= least.keys():
        ratios["topic_to_counters_vs_drain_plus_aggregate"] = least["ours"] / (least["drain"] + least["memory"])
    for name in least.keys() - {"ours", "drain", "memory"}:
        if "ours" in least:
            ratios[f"topic_to_counters_vs_{name}"] = least[name] / least["ours"]
    plugged = [least[name] for name in least if name.endswith("_ours")]
    if plugged and "ours" in least:
        ratios["topic_to_counters_vs_best_framework_with_our_decoder"] = min(plugged) / least["ours"]
    notes = [f"`{name}` did not run: {why}" for name, why in failed.items()]
    return Part("pipelines", {"reports": records, "partitions": 8}, figures, dict(sorted(ratios.items())), notes)


def main() -> None:
    """See the module's words."""
    arguments = parser(__doc__)
    arguments.add_argument("--records", type=int, default=200_000)
    arguments.add_argument("--frameworks", action="store_true", help="Stream frameworks, too.")
    arguments.add_argument("--stack-dir", type=Path, help="A stack that runs; else one is started for this.")
    arguments.add_argument("--only", nargs="+", choices=[row.name for row in CONTENDERS], metavar="NAME")
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()
