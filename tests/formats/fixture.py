"""What one version left behind: a folder a version, numbered from 1, never changed once it is released."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from flurry_fast import reading
from flurry_fast._core import ARCHIVE_SCHEMA_VERSION, semantics_version, tzdata_version
from flurry_fast.about import build_info
from flurry_fast.archive.verify import survey
from flurry_fast.config.document import template
from flurry_fast.gaps import gaps
from flurry_fast.operations.generation import positions
from flurry_fast.positions import FORMAT as POSITION_FORMAT
from flurry_fast.stores.base import CellStore
from flurry_fast.stores.sqlite import FORMAT as SQLITE_FORMAT
from flurry_fast.verify.blocks import FORMAT as BLOCK_FORMAT

from ..golden import corpus
from ..golden.corpus import Record
from .installation import Installation, Log

ROOM = Path(__file__).parent
DEFAULT = files("flurry_fast").joinpath("plans/default.toml").read_text()
COMMAND = "python -m tests.formats"
WRITTEN = 30  # records of each partition that were read when the files were made; the log goes on behind them
LOST = (14, 20)  # offsets of partition 1 that retention removed before they were read


def numbers() -> dict[str, int | str]:
    """Every number that says how files are to be read, and by which rules they were counted."""
    return {
        "block": BLOCK_FORMAT,
        "position": POSITION_FORMAT,
        "archive": ARCHIVE_SCHEMA_VERSION,
        "sqlite": SQLITE_FORMAT,
        "semantics": semantics_version(),
        "tzdata": tzdata_version(),
    }


def folders() -> list[Path]:
    """Those of all versions, the newest last."""
    return sorted((path for path in ROOM.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def about(folder: Path) -> dict[str, Any]:
    """Which version made it, with which numbers, under which plan."""
    found: dict[str, Any] = json.loads((folder / "about.json").read_text())
    return found


def log(folder: Path, end: int) -> Log:
    """The log that the files were made from, up to `end`, as retention left it."""
    records: dict[int, list[Record]] = {}
    for record in corpus.read(folder / "log.xz"):
        records.setdefault(record.partition, []).append(record)
    return Log(records, end, {0: 0, 1: LOST[1]})


def make(folder: Path) -> None:
    """Write the folder as this version does."""
    folder.mkdir()
    corpus.write(_records(), folder / "log.xz")
    # Every setting that has a default, written out.
    (folder / "flurry-fast.toml").write_text(re.sub(r"^# (\w+ = )", r"\1", template(), flags=re.MULTILINE))
    (folder / "plan.toml").write_text(DEFAULT)
    installation = Installation(folder, DEFAULT, create=True)
    for end in (LOST[0] // 2, LOST[0]):
        before = log(folder, end)
        before.starts[1] = 0
        installation.consume(before)
    installation.record_gap(log(folder, WRITTEN), "retention was faster")
    installation.consume(log(folder, WRITTEN))
    (folder / "expected.json").write_text(json.dumps(shown(installation), indent=1, sort_keys=True) + "\n")
    made = {"made_by": COMMAND, "version": build_info()["version"], "numbers": numbers()}
    (folder / "about.json").write_text(json.dumps(made | {"plan": f"{installation.plan.id:08x}"}, indent=1) + "\n")
    installation.close()


def _records() -> list[Record]:
    """Of the golden corpus: generated reports with captures of the next month among them; simulated ones, and then the
    same two months later."""
    kept = corpus.read()
    later = [record for record in kept if record.partition == 1 and record.offset % 9 in (6, 7)]
    logs = ([r for r in kept if r.partition == 2], [r for r in kept if r.partition == 3][: WRITTEN - 6])
    logs[1].extend([replace(record, timestamp=record.timestamp + 62 * corpus.DAY_MS) for record in logs[1]])
    for place, record in enumerate(later):
        logs[0].insert(4 * place, record)
    return [
        Record(partition, offset, record.timestamp, record.payload)
        for partition, log in enumerate(logs)
        for offset, record in enumerate(log[: WRITTEN + 10])
    ]


def copy(folder: Path, to: Path) -> Path:
    """The files, to be read and written."""
    return Path(shutil.copytree(folder, to))


def shown(installation: Installation) -> dict[str, Any]:
    """What a reader sees of store and archive, as plain values."""
    store, registry = installation.store, installation.registry
    state = registry.state()
    assert state is not None
    return {
        "apps": reading.apps(store).to_pylist(),
        "counters": {app: _counters(store, app) for app in ("APP1", "APP2", "")},
        "positions": {
            f"{plan:08x} {incarnation:08x} {partition}": vars(position)
            for (plan, incarnation, partition), position in positions(store, registry, state).items()
        },
        "registry": {"generation": state.generation, "plan": f"{state.plan:08x}", "closing": state.closing},
        "gaps": [vars(gap) for gap in gaps(store)],
        "archive": [_archive(installation, incarnation, p) for incarnation in registry.incarnations() for p in (0, 1)],
    }


def _counters(store: CellStore, app: str) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for rollup in ["unreadable"] if not app else ["app", "country", "event", "local_hour"]:
        table = reading.counters(store, app, rollup, bucket="day", tz="Europe/Berlin")
        found[rollup] = [row | {"day": row["day"].isoformat()} for row in table.to_pylist()]
    return found


def _archive(installation: Installation, incarnation: int, partition: int) -> dict[str, Any]:
    seen = survey(installation.chain(incarnation, partition)).as_dict()
    return {name: value for name, value in seen.items() if name != "file_bytes"}
