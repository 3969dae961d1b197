"""Calls under a deadline: answers come out, hanging ones are left behind, and not too many of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flurry_fast.archive.deadline import Deadline, DeadlineExceeded, TooManyAbandoned


def test_answers_and_errors_come_out() -> None:
    deadline = Deadline("test", 60)
    assert deadline.call(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        deadline.call(lambda: 1 // 0)
    with pytest.raises(KeyboardInterrupt):  # no Exception, as a panic of native code is none
        deadline.call(lambda: (_ for _ in ()).throw(KeyboardInterrupt))


def test_threads_are_used_again() -> None:
    deadline = Deadline("test", 60)
    assert len({deadline.call(threading.get_ident) for _ in range(20)}) == 1
    assert deadline.call(lambda: threading.current_thread().daemon)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda n: deadline.call(lambda: n), range(200))) == list(range(200))


def test_what_hangs_is_left_behind_and_counted_until_it_comes_back() -> None:
    deadline, release = Deadline("test", 0.02, most=2), threading.Event()
    late: list[int] = []

    def hang() -> None:
        release.wait(60)
        late.append(1)

    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            deadline.call(hang)
    assert deadline.abandoned == 2
    with pytest.raises(TooManyAbandoned):
        deadline.call(lambda: late.append(2))
    release.set()
    for _ in range(6_000):
        if deadline.abandoned == 0:
            break
        threading.Event().wait(0.01)
    assert deadline.abandoned == 0
    assert late == [1, 1], "what was given up happened, what was refused did not"
    assert Deadline("test", 60).call(lambda: "again") == "again"
