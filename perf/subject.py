"""The process that is recorded: ``python -m perf.subject SCENARIO REPORTS ROUNDS [FILE PACKAGES]``.

It prepares, prints ``ready``, does all rounds for each line ``run`` that it is sent and answers ``done``: a tool is
attached between the two, and sees no imports and no making of reports. With FILE, memray (found in the folder
PACKAGES) records the rounds from inside.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext

from perf.scenarios import SCENARIOS

PR_SET_PTRACER = 0x59616D61  # prctl(2); Yama lets only parents look otherwise, and a tool is a sibling
ANYBODY = ctypes.c_ulong(-1)


def main() -> None:
    """See the module's words."""
    name, reports, rounds, *memray = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)
    with ExitStack() as stack:
        work = SCENARIOS[name].prepare(int(reports), stack)
        print("ready", flush=True)
        for line in sys.stdin:
            assert line == "run\n", line
            with _tracker(memray):
                for _ in range(int(rounds)):
                    work()
            print("done", flush=True)


def _tracker(memray: list[str]) -> AbstractContextManager[object]:
    if not memray:
        return nullcontext()
    path, packages = memray
    sys.path.append(packages)  # last: what the scenario imports stays what it is
    from memray import Tracker

    tracker: AbstractContextManager[object] = Tracker(path, native_traces=True)
    return tracker


if __name__ == "__main__":
    main()
