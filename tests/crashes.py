"""Whose crash it was when native code died."""

from __future__ import annotations


def crashed_in_python(said: str) -> bool:
    """Whether faulthandler's last words name a thread of Python's.

    It writes "Current thread" only of one that has a state of the interpreter; librdkafka's own threads have none.
    """
    return "Current thread" in said.rpartition("Fatal Python error: Segmentation fault")[2]
