"""Runs Python over the build with seeded bugs and fail points (`make trials`), in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build/trials"


def environment(*paths: Path) -> dict[str, str]:
    """An environment in which `flurry_fast` is the build with the switches; `paths` are importable beside it.

    Skips the test that asks where there is no such build, but never in `make test`, which makes one.
    """
    if not any((BUILD / "flurry_fast").glob("_core.*.so")):
        pytest.skip("the build with seeded bugs and fail points is missing: make trials")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (BUILD, *paths)))}


def run(arguments: Sequence[str], *paths: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -P arguments...` over that build; its output as text. The exit status is the caller's to judge."""
    merged: Mapping[str, str] = environment(*paths) | variables
    return subprocess.run([sys.executable, "-P", *arguments], env=merged, text=True, capture_output=True, check=False)
