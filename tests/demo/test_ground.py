"""A demo on real servers, and what it says where some of them are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flurry_fast.config.load import load
from flurry_fast.demo.ground import StackLacks, _all_of
from flurry_fast.stack import Addresses, Stack, StackOptions
from flurry_fast.stores import open_store


def test_all_three_are_needed() -> None:
    addresses = Addresses.of(StackOptions(kafka=False, hbase=False))
    with pytest.raises(StackLacks, match="no Kafka and no HBase"):
        _all_of(addresses, Path("data/stack"))
    assert _all_of(Addresses.of(StackOptions()), Path("data/stack")).kafka is not None


def test_every_counter_is_exact_on_real_servers(stack: Stack, tmp_path: Path) -> None:
    root, verdict = tmp_path / "run", tmp_path / "verdict.json"
    words = ["demo", "--stack", "--stack-dir", str(stack.folder.root), "--dir", str(root), "--json", str(verdict)]
    words += ["--seconds", "8", "--rate", "200", "--kills", "1", "--apps", "50", "--partitions", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "flurry_fast", *words], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(verdict.read_text())
    assert found["exact"] is True
    assert found["comparison"]["reports"] == 8 * 200 + 245
    assert found["audit"]["passed"] is True
    assert len(found["kills"]) == 1
    settings = load(root / "flurry-fast.toml", {}, {}).settings
    assert settings.archive.root.startswith("hdfs://")
    store = open_store(settings.counters, create=False)
    try:
        assert any(table.startswith("counters_") for table in store.tables())
    finally:
        store.close()
    assert "stack down" in done.stdout
