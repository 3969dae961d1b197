"""What earlier versions wrote is read by this one, and gone on from; what later ones will write is refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flurry_fast import reading
from flurry_fast._core import Plan
from flurry_fast.archive.replay import batches
from flurry_fast.archive.verify import verify
from flurry_fast.config.load import load
from flurry_fast.errors import RegistryMismatch, StoreCorrupt
from flurry_fast.positions import PositionTable
from flurry_fast.verify import blocks
from flurry_fast.verify.audit import audit
from flurry_fast.verify.compare import TABLE_PREFIX, compare_store
from flurry_fast.verify.count import Count
from flurry_fast.verify.plan import CountedPlan
from flurry_fast.verify.result import Audit

from ..reference.decoder import decode
from . import fixture
from .__main__ import main
from .fixture import LOST, WRITTEN
from .installation import INCARNATION, TOPIC, Installation

VERSIONS = fixture.folders()
NEWEST = VERSIONS[-1]
versions = pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)


def opened(folder: Path) -> Installation:
    return Installation(folder, (folder / "plan.toml").read_text())


def is_current(folder: Path) -> bool:
    """Whether this version counts by the rules of that one."""
    return f"{Plan.parse((folder / 'plan.toml').read_text()).id:08x}" == fixture.about(folder)["plan"]


def audited(installation: Installation) -> Audit:
    return audit(installation.store, installation.files, TOPIC)


def test_this_version_has_a_folder() -> None:
    kept = fixture.about(NEWEST)["numbers"]
    if kept != fixture.numbers():
        pytest.fail(
            f"Formats or rules are {fixture.numbers()}, the newest files in tests/formats are of {kept}:"
            f" run `{fixture.COMMAND}` and commit the folder it makes, beside the old ones."
        )


@versions
def test_readers_see_what_they_saw(folder: Path, tmp_path: Path) -> None:
    installation = opened(fixture.copy(folder, tmp_path / "copy"))
    now = json.loads(json.dumps(fixture.shown(installation)))
    assert_holds(json.loads((folder / "expected.json").read_text()), now, "")
    assert len([name for name in installation.store.tables() if name.startswith(TABLE_PREFIX)]) >= 3, "months"
    installation.close()


def assert_holds(before: Any, now: Any, where: str) -> None:
    """Everything of before is there; a later version may show more."""
    if isinstance(before, dict):
        for name, value in before.items():
            assert name in now, f"{where}/{name} is not shown any more"
            assert_holds(value, now[name], f"{where}/{name}")
    elif isinstance(before, list):
        assert len(before) == len(now), where
        for place, (left, right) in enumerate(zip(before, now, strict=True)):
            assert_holds(left, right, f"{where}/{place}")
    else:
        assert before == now, where


@versions
def test_where_every_sink_began_is_known(folder: Path, tmp_path: Path) -> None:
    """A note that is not found would make of a position that is lost later a first start."""
    installation = opened(fixture.copy(folder, tmp_path / "copy"))
    plan = int(fixture.about(folder)["plan"], 16)
    table = PositionTable(installation.store, plan=plan, incarnation=INCARNATION, generation=0)
    assert {(sink, number): table.began(sink, number) for sink in ("archive", "counters") for number in (0, 1)} == {
        ("archive", 0): 0, ("archive", 1): 0, ("counters", 0): 0, ("counters", 1): 0,
    }  # fmt: skip
    installation.close()


@versions
def test_the_archive_gives_the_very_records(folder: Path, tmp_path: Path) -> None:
    installation = opened(fixture.copy(folder, tmp_path / "copy"))
    log = fixture.log(folder, WRITTEN)
    for partition in (0, 1):
        chain = installation.chain(INCARNATION, partition)
        assert verify(chain, deep=True).findings == []
        archived = [row for batch in batches(chain) for row in rows_of(batch)]
        lost = range(*LOST) if partition else range(0)
        kept = [record for record in log.records[partition][:WRITTEN] if record.offset not in lost]
        assert archived == [(record.offset, record.timestamp, record.payload) for record in kept]
    installation.close()


def rows_of(batch: Any) -> list[tuple[int, int, bytes]]:
    from flurry_fast._core import _batch_rows

    return [(offset, timestamp, payload) for _, offset, timestamp, _, _, payload in _batch_rows(batch)]


@versions
def test_blocks_encode_to_their_own_bytes(folder: Path, tmp_path: Path) -> None:
    installation = opened(fixture.copy(folder, tmp_path / "copy"))
    counted, log = CountedPlan.parse(installation.plan.toml), fixture.log(folder, WRITTEN)
    for table in installation.store.tables():
        for cell in (cell for batch in installation.store.scan(table) for cell in batch.to_pylist()):
            block = blocks.decode(counted, cell["value"])
            assert blocks.encode(counted, block) == cell["value"]
            _, _, partition = blocks.parse_qualifier(cell["qualifier"])
            assert block.last_crc == google_crc32c.value(log.records[partition][block.end - 1].payload)
    installation.close()


@versions
def test_the_audit_passes(folder: Path, tmp_path: Path) -> None:
    installation = opened(fixture.copy(folder, tmp_path / "copy"))
    result = audited(installation)
    assert result.findings == []
    assert [partition.findings for partition in result.partitions] == [[], []]
    if is_current(folder):
        assert result.problems() == []
        assert [bool(partition.behind_gap) for partition in result.partitions] == [False, True]
    else:
        assert all(partition.other_rules == partition.blocks > 0 for partition in result.partitions)
    installation.close()


@versions
def test_a_consumer_goes_on(folder: Path, tmp_path: Path) -> None:
    """Where the rules are the same; where they are not, it is refused: its blocks would have other counters."""
    installation = opened(fixture.copy(folder, tmp_path / "copy"))
    log = fixture.log(folder, WRITTEN + 10)
    if not is_current(folder):
        with pytest.raises(RegistryMismatch, match=rf"plan {fixture.about(folder)['plan']}, this process has plan"):
            installation.consume(log)
        installation.close()
        return
    installation.consume(log)
    count = Count(CountedPlan.parse(installation.plan.toml))
    for partition, records in log.records.items():
        for record in records[: log.end]:
            if partition == 1 and record.offset in range(*LOST):
                count.crcs[1].append(0)  # nobody counted it
                continue
            line = {"partition": partition, "offset": record.offset, "timestamp_ms": record.timestamp}
            count.add(decode(record.payload) | line | {"crc32c": google_crc32c.value(record.payload)})
    count.finish()
    compared = compare_store(installation.store, count, plan_id=installation.plan.id, incarnation=INCARNATION)
    assert compared.exact, compared.differences[:3]
    assert [partition.findings for partition in audited(installation).partitions] == [[], []]
    for partition in (0, 1):
        survey = verify(installation.chain(INCARNATION, partition), deep=True)
        assert (survey.findings, survey.end) == ([], log.end)
    installation.close()


@versions
def test_settings_are_accepted(folder: Path) -> None:
    loaded = load(folder / "flurry-fast.toml", {}, {})
    written = {key for key, origin in loaded.origins.items() if origin.endswith("flurry-fast.toml")}
    assert len(written) > 30


# --- from the future -------------------------------------------------------------------------------------------------


def change_cells(folder: Path, sql: str) -> None:
    """As another program would: the file's own triggers refuse it."""
    connection = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(sql)
    connection.close()


def newer_blocks(folder: Path) -> None:
    change_cells(folder, "UPDATE counters_201311 SET value = CAST(x'63' || substr(value, 2) AS BLOB)")


def newer_positions(folder: Path) -> None:
    change_cells(
        folder,
        "UPDATE control SET value = CAST(x'63' || substr(value, 2) AS BLOB)"
        " WHERE row = CAST('position|counters' AS BLOB)",
    )


def newer_store(folder: Path) -> None:
    change_cells(folder, "PRAGMA user_version = 99")


def newer_archive(folder: Path) -> None:
    for path in (folder / "archive").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        with pq.ParquetWriter(path, table.schema.remove_metadata()) as out:
            out.write_table(table)
            out.add_key_value_metadata({**(table.schema.metadata or {}), b"flurry_fast.schema_version": b"99"})


def read_counters(installation: Installation) -> pa.Table:
    return reading.counters(installation.store, "APP1")


def consume(installation: Installation) -> None:
    installation.consume(fixture.log(NEWEST, WRITTEN + 10))


def find_faults(installation: Installation) -> None:
    raise StoreCorrupt(str(verify(installation.chain(INCARNATION, 0), deep=False).findings))


def find_blocks(installation: Installation) -> None:
    raise StoreCorrupt(str(audited(installation).findings))


NUMBERS = fixture.about(NEWEST)["numbers"]


@pytest.mark.parametrize(
    ("change", "use", "sentence"),
    [
        (newer_store, read_counters, f"has format 99; this version reads {NUMBERS['sqlite']}"),
        (newer_blocks, read_counters, f"its format is 99, this version reads {NUMBERS['block']}"),
        (newer_blocks, find_blocks, f"has format 99; this version reads {NUMBERS['block']}"),
        (newer_positions, audited, f"has format 99; this version reads {NUMBERS['position']}"),
        (newer_positions, consume, f"has format 99; this version reads {NUMBERS['position']}"),
        (newer_archive, find_faults, f"has columns of version 99; this version reads {NUMBERS['archive']}"),
        (newer_archive, consume, f"has columns of version 99; this version reads {NUMBERS['archive']}"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_later_formats_are_refused(
    tmp_path: Path, change: Callable[[Path], None], use: Callable[[Installation], Any], sentence: str
) -> None:
    folder = fixture.copy(NEWEST, tmp_path / "copy")
    change(folder)
    with pytest.raises((StoreCorrupt, AssertionError), match=sentence):
        use(opened(folder))


# --- the command -----------------------------------------------------------------------------------------------------


def test_a_folder_is_made_for_new_numbers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fixture.copy(NEWEST, tmp_path / "7")
    monkeypatch.setattr(fixture, "ROOM", tmp_path)
    assert main() == 0
    assert "7 has the formats and rules of this version: nothing to do" in capsys.readouterr().out
    (tmp_path / "7" / "about.json").write_text(json.dumps({"numbers": {"block": 1}}))
    assert main() == 0
    assert "made 8" in capsys.readouterr().out
    assert fixture.about(tmp_path / "8")["numbers"] == fixture.numbers()
    test_readers_see_what_they_saw(tmp_path / "8", tmp_path)
