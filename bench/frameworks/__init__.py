"""Stream frameworks doing the same job, in an environment of their own (requirements/frameworks.lock).

With `python` they count with our fastest plain-Python decoder (contenders/python_struct.py), with `ours` they hand
their records to our engine.
"""

from __future__ import annotations

import os
from pathlib import Path

from flurry_fast.errors import FlurryFastError

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "FLURRY_FAST_FRAMEWORKS"  # another environment's Python
PYTHON = ROOT / "build/frameworks/bin/python"
FRAMEWORKS = {
    f"{name}_{decoder}": f"{title}, {words}"
    for name, title in (("bytewax", "Bytewax"), ("quix", "Quix Streams"), ("faust", "Faust"), ("spark", "PySpark"))
    for decoder, words in (("python", "Python decoder"), ("ours", "our decoder plugged in"))
}


class EnvironmentMissing(FlurryFastError):
    """The frameworks are not installed."""


def environment() -> str:
    """The Python that has them. Raises EnvironmentMissing."""
    python = Path(os.environ.get(VARIABLE, PYTHON))
    if not python.exists():
        raise EnvironmentMissing(f"{python} is missing.", way_out="Run `make build/frameworks/.done`.")
    return str(python)
