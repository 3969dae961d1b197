"""Workers: one job at a time, in order; a job's error is its own; one that hangs hangs nobody else."""

from __future__ import annotations

import threading

import pytest

from flurry_fast import ports
from flurry_fast.ports import InlineWorker, SystemClock, ThreadWorker, Worker


@pytest.mark.parametrize("worker", [InlineWorker(), ThreadWorker("test")])
def test_jobs_run_in_order_and_raise_when_asked(worker: Worker) -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("bad luck")

    jobs = [worker.submit(lambda i=i: done.append(i)) for i in range(5)]
    failing = worker.submit(fail)
    last = worker.submit(lambda: "last")
    assert last.result(timeout=10) == "last"
    assert done == list(range(5))
    assert all(job.done() for job in jobs)
    with pytest.raises(ValueError, match="bad luck"):
        failing.result()
    worker.close()


def test_waiting_ends_and_closing_ends_although_a_job_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "CLOSE_SECONDS", 0.01)
    worker, release = ThreadWorker("hanging"), threading.Event()
    job = worker.submit(lambda: release.wait(60))
    with pytest.raises(TimeoutError):
        job.result(timeout=0.01)
    worker.close()
    assert not job.done()
    release.set()
    assert job.result(timeout=10)


def test_the_clock_is_the_machines() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.001)
    assert clock.monotonic() > before
    assert clock.time() > 1_700_000_000
