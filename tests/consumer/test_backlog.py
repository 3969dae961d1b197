"""Behind the log or not: by batches that come full, for a while."""

from clocks import ManualClock

from flurry_fast.config.model import Consume
from flurry_fast.consumer.backlog import SETTLED, Backlog


def test_only_full_batches_in_a_row_mean_behind() -> None:
    clock = ManualClock()
    settings = Consume(batch_messages=100, batch_bytes=2**16)
    backlog = Backlog(settings, clock)
    assert not backlog.note(100, 5_000)
    clock.sleep(SETTLED - 0.1)
    assert not backlog.note(100, 5_000)
    clock.sleep(0.2)
    assert backlog.note(100, 5_000)
    assert backlog.note(7, 2**15), "full by bytes"
    assert not backlog.note(99, 5_000), "one batch that is not full"
    clock.sleep(SETTLED + 1)
    assert not backlog.note(100, 5_000), "begins anew"
    assert not backlog.note(0, 0)
