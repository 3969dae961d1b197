"""`flurry-fast plan switch` with real processes: killed at many moments, continued by the same command."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest
from crashes import crashed_in_python
from pipeline import ROOT, Consumer, Pipeline, wait_until

KILLS = int(os.environ.get("FLURRY_FAST_KILLS", "8"))
SEED = int(os.environ.get("FLURRY_FAST_KILL_SEED", "0")) or random.SystemRandom().randrange(2**32)
DEFAULT = files("flurry_fast").joinpath("plans/default.toml").read_text()
OTHER = DEFAULT.replace("cap = 1_000", "cap = 3", 1) + (
    '\n[[rollup]]\nname = "zone"\ndimensions = ["time_zone"]\nmeasures = ["sessions"]\n'
)
SETTINGS = {
    "counters.flush_age": "50ms",
    "counters.chunk_rows": "7",
    "archive.roll_age": "150ms",
    "consume.batch_messages": "20",
    "kafka.session_timeout": "1s",
}


class Plans:
    """Two plans as files."""

    def __init__(self, folder: Path) -> None:
        self.paths = [folder / "first.toml", folder / "second.toml"]
        for path, text in zip(self.paths, (DEFAULT, OTHER), strict=True):
            path.write_text(text)


def command(pipeline: Pipeline, *arguments: str | Path) -> subprocess.Popen[str]:
    flags = [item for key, value in pipeline.overrides.items() for item in ("--set", f"{key}={value}")]
    return subprocess.Popen(
        [sys.executable, "-m", "flurry_fast", "plan", *map(str, arguments), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=pipeline.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
    )


def plan(pipeline: Pipeline, *arguments: str | Path, status: int = 0) -> tuple[str, str]:
    """What a command printed, on standard output and error."""
    process = command(pipeline, *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    return out, err


def consume(pipeline: Pipeline, path: Path, name: str) -> Consumer:
    (pipeline.folder / "status.json").unlink(missing_ok=True)
    return pipeline.consumer(name, **{"plan.path": str(path)})


def catch_up(pipeline: Pipeline, path: Path, name: str) -> None:
    """A consumer takes everything there is, and ends in order."""
    consumer = consume(pipeline, path, name)
    ends = pipeline.truth.ends()
    wait_until(lambda: pipeline.committed() == ends, "everything committed", consumer=consumer)
    assert consumer.stop() == 0, consumer.said()[-3000:]


def audit(pipeline: Pipeline) -> None:
    flags = [item for key, value in pipeline.overrides.items() for item in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "flurry_fast", "audit", "--complete", *flags],
        capture_output=True, text=True, check=False, cwd=pipeline.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_switching_and_back(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, partitions=2, overrides=SETTINGS)
    first, second = Plans(tmp_path).paths
    try:
        pipeline.produce(150)
        running = consume(pipeline, first, "first")
        wait_until(lambda: sum(pipeline.committed().values()) > 0, "something committed", consumer=running)
        _, said = plan(pipeline, "switch", second, "--yes", status=1)
        assert "is at work" in said
        assert running.stop() == 0
        pipeline.produce(100)
        out, said = plan(pipeline, "switch", second, "--dry-run", "--json")
        assert not json.loads(out)["opened"]
        assert "zone: counted from the switch on" in said
        _, said = plan(pipeline, "switch", second, status=1)  # nobody is there to say yes
        assert "Nothing was changed" in said
        out, _ = plan(pipeline, "switch", second, "--yes", "--json")
        result = json.loads(out)
        assert result["opened"]
        assert result["from"] == {str(number): end for number, end in pipeline.truth.ends().items()}
        old = consume(pipeline, first, "old")
        assert old.process.wait(60) == 4
        assert "plan show --toml" in old.said()
        pipeline.produce(60)
        catch_up(pipeline, second, "second")
        _, said = plan(pipeline, "switch", second, "--yes")
        assert "open one already" in said
        number = json.loads(plan(pipeline, "diff", first, first, "--json")[0])["before"]
        out, _ = plan(pipeline, "switch", "--hand-over", number, "--yes", "--json")
        assert not json.loads(out)["opened"]
        halfway = consume(pipeline, second, "halfway")
        assert halfway.process.wait(60) == 4
        assert "until that is done nobody counts" in halfway.said()
        pipeline.produce(10)
        plan(pipeline, "switch", first, "--yes")
        pipeline.produce(40)
        catch_up(pipeline, first, "again")
        pipeline.assert_exact()
        audit(pipeline)
        shown = json.loads(plan(pipeline, "show", "--json")[0])
        assert [len(item["spans"]) for item in sorted(shown["plans"], key=lambda item: len(item["spans"]))] == [1, 2]
        assert plan(pipeline, "show", "--toml")[0] == DEFAULT
    finally:
        pipeline.close()


@pytest.mark.timeout(900)
def test_a_switch_that_is_killed_is_finished_by_the_same_command(
    tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    """To and fro between two plans; consumers are killed before, the switch on the way, producers never stop."""
    record_property("seed", SEED)
    print(f"FLURRY_FAST_KILL_SEED={SEED}")
    draw = random.Random(SEED)
    pipeline = Pipeline(tmp_path, partitions=3, overrides=SETTINGS)
    paths = Plans(tmp_path).paths
    killed = switches = 0
    running: list[Consumer | subprocess.Popen[str]] = []
    try:
        pipeline.produce(100)
        catch_up(pipeline, paths[0], "begin")
        end = pipeline.keep_producing(60)
        try:
            while killed < KILLS:
                consumer = consume(pipeline, paths[switches % 2], f"consumer-{switches}")
                running.append(consumer)
                wait_until(lambda: bool(pipeline.committed()), "the consumer reads", consumer=consumer)
                time.sleep(draw.uniform(0, 1))
                consumer.kill()
                target = paths[(switches + 1) % 2]
                while True:
                    switch = command(pipeline, "switch", target, "--yes")
                    running.append(switch)
                    if killed < KILLS and draw.random() < 0.8:
                        try:  # it takes about this long to start and to look for members of the group
                            switch.wait(draw.uniform(0.5, 4.0))
                        except subprocess.TimeoutExpired:
                            switch.kill()
                            killed += 1
                    _, said = switch.communicate(timeout=120)
                    if switch.returncode == 0:
                        break
                    # librdkafka's assignor does not survive what the embedded broker makes of a group now and then
                    # (torture.nursery): one more death, which is legal at any moment.
                    crashed = switch.returncode == -signal.SIGSEGV and not crashed_in_python(said)
                    assert crashed or switch.returncode == -signal.SIGKILL, said
                switches += 1
        finally:
            end()
        catch_up(pipeline, paths[switches % 2], "last")
        record_property("switches", switches)
        pipeline.assert_exact()
        audit(pipeline)
    finally:
        for one in running:
            process = one.process if isinstance(one, Consumer) else one
            if process.poll() is None:
                process.kill()
                process.wait()
        pipeline.close()
