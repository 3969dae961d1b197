"""The demo's count follows a manifest while it grows, in several processes, and finds a changed counter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flurry_fast.demo.tally import CountFailed, Tally, Target
from flurry_fast.stores.sqlite import SqliteStore
from flurry_fast.verify import blocks
from flurry_fast.verify.compare import table_of
from flurry_fast.verify.count import Count
from flurry_fast.verify.plan import CountedPlan

from .tampering import add_one

ROOT = Path(__file__).resolve().parents[2]
PLAN = (ROOT / "bench/plans/five.toml").read_text()
TARGET_IDS = {"plan_id": 7, "incarnation": 9}
PARTITIONS = 3


def _lines() -> list[dict[str, Any]]:
    """A manifest of real reports over three partitions."""
    lines = []
    for place, path in enumerate(sorted((ROOT / "tests/captures").glob("*/*.json"))[:60]):
        report = json.loads(path.read_bytes())
        where = {"partition": place % PARTITIONS, "offset": place // PARTITIONS}
        lines.append(report | where | {"timestamp_ms": 1_384_948_800_000 + place, "crc32c": place})
    return lines


def _store(path: Path, lines: list[dict[str, Any]]) -> None:
    """A store that holds exactly what the lines count to."""
    count = Count(CountedPlan.parse(PLAN))
    for line in lines:
        count.add(line)
    store = SqliteStore(path, timeout=10.0)
    for (partition, key, bucket), rollups in count.finish().items():
        end = count.end(partition)
        block = blocks.Block(end, TARGET_IDS["plan_id"], count.crcs[partition][-1], rollups)
        store.write(
            table_of(bucket),
            blocks.qualifier(TARGET_IDS["plan_id"], TARGET_IDS["incarnation"], partition),
            end,
            pa.array([blocks.row(key, bucket)], pa.binary()),
            pa.array([blocks.encode(count.plan, block)], pa.binary()),
        )
    store.close()


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as manifest:
        manifest.writelines(json.dumps(line) + "\n" for line in lines)


def test_follows_the_manifest_and_agrees(tmp_path: Path) -> None:
    lines, manifest, complete = _lines(), tmp_path / "manifest", tmp_path / "complete"
    _store(tmp_path / "cells.sqlite", lines)
    with Tally(manifest, complete, PLAN, processes=2) as tally:
        _write(manifest, lines[:31])
        while tally.counted == 0:  # at work before the rest is there
            pass
        _write(manifest, lines[31:])
        complete.touch()
        found = tally.compare(Target(f"sqlite:{tmp_path}/cells.sqlite", **TARGET_IDS))
    assert found.differences == []
    assert found.exact
    assert found.reports == len(lines)
    assert found.blocks >= PARTITIONS
    assert found.counters > 100
    assert found.apps == len({line.get("api_key") for line in lines} - {None})


def test_names_a_counter_that_was_changed(tmp_path: Path) -> None:
    lines, manifest, complete = _lines(), tmp_path / "manifest", tmp_path / "complete"
    _store(tmp_path / "cells.sqlite", lines)
    assert add_one(tmp_path / "cells.sqlite", CountedPlan.parse(PLAN)) == TARGET_IDS["incarnation"]
    _write(manifest, lines)
    complete.touch()
    with Tally(manifest, complete, PLAN, processes=2) as tally:
        found = tally.compare(Target(f"sqlite:{tmp_path}/cells.sqlite", **TARGET_IDS))
    assert not found.exact
    assert found.wrong == 1
    assert "counted were" in found.differences[0]


def test_a_hole_in_the_manifest_is_no_success(tmp_path: Path) -> None:
    lines, manifest, complete = _lines(), tmp_path / "manifest", tmp_path / "complete"
    _write(manifest, lines[:10] + lines[11:])
    complete.touch()
    SqliteStore(tmp_path / "cells.sqlite", timeout=10.0).close()
    with Tally(manifest, complete, PLAN, processes=1) as tally, pytest.raises(CountFailed, match="offset 3 is not"):
        tally.compare(Target(f"sqlite:{tmp_path}/cells.sqlite", **TARGET_IDS))


def test_half_a_line_is_no_success(tmp_path: Path) -> None:
    manifest, complete = tmp_path / "manifest", tmp_path / "complete"
    manifest.write_text(json.dumps(_lines()[0])[:-5])
    complete.touch()
    with Tally(manifest, complete, PLAN, processes=1) as tally, pytest.raises(CountFailed, match="inside a line"):
        tally.compare(Target(f"sqlite:{tmp_path}/none.sqlite", **TARGET_IDS))
