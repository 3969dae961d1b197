"""What `import flurry_fast` offers, and what it says of its own build."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import flurry_fast

ROOT = Path(__file__).resolve().parents[1]


def test_every_public_name_is_there() -> None:
    assert set(flurry_fast.__all__) == set(flurry_fast._HOMES)
    for name in flurry_fast.__all__:
        assert getattr(flurry_fast, name) is not None
        assert name in dir(flurry_fast)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = flurry_fast.nothing_like_it


def test_the_import_loads_nothing_heavy() -> None:
    code = "import sys, flurry_fast; print([m for m in ('pyarrow', 'numpy', 'confluent_kafka') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout.strip() == "[]"


def test_build_info_of_both_modules() -> None:
    info = flurry_fast.build_info()
    for module in (info["core"], info["wire"]):
        assert module["version"] == info["version"]
        assert module["commit"]
        assert module["compiler"]
    assert info["core"]["profile"] in ("release", "debug")
    assert "rustc" in info["core"]["compiler"]
    assert info["wire"]["optimized"]
    assert info["librdkafka"]["version"].startswith("2.")
    assert info["librdkafka"]["path"]
