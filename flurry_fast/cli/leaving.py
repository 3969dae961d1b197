"""How a command ends when the archive is on HDFS."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any

UNFLUSHED = 120  # what Python exits with where standard output can not be written any more


def leave(code: Any) -> None:
    """End the process at once with the status of a SystemExit, if HDFS was used; else do nothing.

    pyarrow's threads may still let go of a Python file that they have read from, and calls that were given up
    (archive/deadline.py) may come back, while the interpreter takes itself apart. It ends such threads where they
    stand, which C++ and Rust answer with an abort ("terminate called without an active exception"): after all work was
    done, and with a status as if it had failed. So whatever is to be done at exit is done here, and then nothing.
    """
    if "hdfs_native" not in sys.modules:
        return
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    status = code or 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or UNFLUSHED
    os._exit(status)
