"""kill -9 at random moments, again and again; at the end every counter and every archived offset is right."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest
from pipeline import Consumer, Pipeline, wait_until

KILLS = int(os.environ.get("FLURRY_FAST_KILLS", "24"))
SEED = int(os.environ.get("FLURRY_FAST_KILL_SEED", "0")) or random.SystemRandom().randrange(2**32)
SETTINGS = {
    "counters.flush_age": "50ms",
    "counters.chunk_rows": "7",
    "archive.roll_age": "150ms",
    "consume.batch_messages": "40",
    "kafka.session_timeout": "1s",
}


class Member:
    """A consumer that is killed and started again, under one name."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        self.pipeline, self.name = pipeline, name
        self.status = pipeline.folder / f"{name}.json"
        self.consumer = self.start()

    def start(self) -> Consumer:
        self.status.unlink(missing_ok=True)
        own = {"kafka.instance_id": self.name, "consume.status_file": str(self.status)}
        self.consumer = self.pipeline.consumer(self.name, **own)
        return self.consumer

    def is_working(self) -> bool:
        status = json.loads(self.status.read_text())
        return bool(status["flushes"] and status["archive_files"])

    def kill(self) -> None:
        assert self.consumer.process.poll() is None, self.consumer.said()[-3000:]
        self.consumer.kill()


@pytest.mark.timeout(900)
def test_counters_are_exact_after_kills(tmp_path: Path, record_property: pytest.RecordProperty) -> None:
    """Two processes share the topic; half of the deaths come anywhere (starting, joining), half amid writes."""
    record_property("seed", SEED)
    print(f"FLURRY_FAST_KILL_SEED={SEED}")
    draw = random.Random(SEED)
    pipeline = Pipeline(tmp_path, partitions=4, overrides=SETTINGS)
    members: list[Member] = []
    try:
        pipeline.produce(300)
        members += [Member(pipeline, "one"), Member(pipeline, "two")]
        end = pipeline.keep_producing(100)
        try:
            for number in range(KILLS):
                member = draw.choice(members)
                if number % 2:
                    wait_until(member.is_working, f"{member.name} writes", consumer=member.consumer)
                    time.sleep(draw.uniform(0, 0.5))
                else:
                    time.sleep(draw.uniform(0.1, 2.0))
                member.kill()
                member.start()
        finally:
            end()
        for member in members:
            member.kill()
        last = Member(pipeline, "last")
        members.append(last)
        (tmp_path / "status.json").symlink_to(last.status)
        wait_until(
            lambda: pipeline.committed() == pipeline.truth.ends(), "everything committed", consumer=last.consumer
        )
        assert last.consumer.stop() == 0, last.consumer.said()[-3000:]
        pipeline.assert_exact()
    finally:
        for member in members:
            if member.consumer.process.poll() is None:
                member.consumer.kill()
        pipeline.close()
