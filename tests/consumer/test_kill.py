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


def records(pipeline: Pipeline) -> int:
    return int(json.loads((pipeline.folder / "status.json").read_text())["records"])


@pytest.mark.timeout(600)
def test_counters_are_exact_after_kills(tmp_path: Path, record_property: pytest.RecordProperty) -> None:
    """Half of the processes die while they are starting or joining, half in the midst of writing."""
    record_property("seed", SEED)
    print(f"FLURRY_FAST_KILL_SEED={SEED}")
    draw = random.Random(SEED)
    pipeline = Pipeline(
        tmp_path,
        partitions=3,
        overrides={
            "counters.flush_age": "50ms",
            "counters.chunk_rows": "7",
            "archive.roll_age": "150ms",
            "consume.batch_messages": "40",
            "kafka.session_timeout": "1s",
            "kafka.instance_id": "only",
        },
    )
    consumer: Consumer | None = None
    busy = 0
    try:
        pipeline.produce(300)
        end = pipeline.keep_producing(120)
        try:
            for number in range(KILLS):
                (tmp_path / "status.json").unlink(missing_ok=True)
                consumer = pipeline.consumer("killed")
                if number % 2:
                    wait_until(lambda: records(pipeline) > 0, "records", consumer=consumer)
                    time.sleep(draw.uniform(0, 0.6))
                    busy += 1
                else:
                    time.sleep(draw.uniform(0.2, 2.5))
                assert consumer.process.poll() is None, consumer.said()[-3000:]
                consumer.kill()
        finally:
            end()
        (tmp_path / "status.json").unlink(missing_ok=True)
        consumer = pipeline.consumer("last")
        wait_until(lambda: pipeline.committed() == pipeline.truth.ends(), "everything committed", consumer=consumer)
        assert consumer.stop() == 0, consumer.said()[-3000:]
        assert busy >= KILLS // 2
        pipeline.assert_exact()
    finally:
        if consumer is not None and consumer.process.poll() is None:
            consumer.kill()
        pipeline.close()
