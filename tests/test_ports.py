"""Workers: one job at a time, in order; a job's error is its own; one that hangs hangs nobody else."""

from __future__ import annotations

import threading

import pytest

from flurry_fast import ports
from flurry_fast.ports import Crew, InlineCrew, InlineWorker, SystemClock, ThreadCrew, ThreadWorker, Worker


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


@pytest.mark.parametrize("crew", [InlineCrew(), ThreadCrew("test", 1), ThreadCrew("test", 4), ThreadCrew("test", 99)])
def test_a_crew_does_all_there_is_and_begins_nothing_after_a_failure(crew: Crew) -> None:
    done: set[int] = set()
    assert crew.each([]) == []
    assert crew.each([lambda i=i: done.add(i) for i in range(50)]) == []
    assert done == set(range(50))

    def fail() -> None:
        raise ValueError("bad luck")

    done.clear()
    errors = crew.each([fail] + [lambda i=i: done.add(i) for i in range(10_000)])
    assert [str(error) for error in errors] == ["bad luck"]
    assert len(done) < 10_000


def test_a_crew_works_at_once_and_tells_every_error() -> None:
    gate = threading.Barrier(3)

    def fail(number: int) -> None:
        gate.wait(60)  # all three are under way
        raise ValueError(str(number))

    errors = ThreadCrew("test", 3).each([lambda n=n: fail(n) for n in range(3)])
    assert sorted(str(error) for error in errors) == ["0", "1", "2"]


def test_what_ends_the_process_comes_out_of_a_crew() -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    for crew in (InlineCrew(), ThreadCrew("test", 2)):
        with pytest.raises(Killed):
            crew.each([kill, lambda: None])
