"""The audit says nothing of what is right, and finds whatever was done to store or archive."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from flurry_fast import _core
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.archive.writer import record_gap
from flurry_fast.cli import main
from flurry_fast.gaps import Gap, put_gap
from flurry_fast.positions import CountersPosition
from flurry_fast.registry import Registry
from flurry_fast.stores.base import CellStore
from flurry_fast.stores.memory import MemoryStore
from flurry_fast.stores.sqlite import SqliteStore
from flurry_fast.verify import blocks
from flurry_fast.verify.audit import AuditImpossible, audit
from flurry_fast.verify.plan import CountedPlan
from flurry_fast.verify.result import Audit, PartitionAudit

from .logs import INCARNATION, TOPIC, Consumer, generated, manifest
from .rules import counted_by_other_rules

PLAN = _core.Plan.parse(files("flurry_fast").joinpath("plans/default.toml").read_text())
COUNTED = CountedPlan.parse(PLAN.toml)


class Watched:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.plan: dict[int, int] = {}
        self.told: list[int] = []
        self.done: list[int] = []

    def planned(self, partitions: Sequence[PartitionAudit]) -> None:
        self.plan |= {partition.column.partition: partition.to_fold for partition in partitions}

    def folded(self, partition: PartitionAudit, records: int) -> None:
        self.told.append(records)

    def finished(self, partition: PartitionAudit) -> None:
        self.done.append(partition.column.partition)


@pytest.fixture
def consumer(tmp_path: Path) -> Consumer:
    """Two partitions of 40 reports: several flushes, several files."""
    return Consumer(PLAN, generated(5, reports=40), root=tmp_path / "archive").run(flush_every=3, publish_every=4)


def audited(consumer: Consumer, store: CellStore | None = None) -> Audit:
    assert consumer.root is not None
    return audit(store or consumer.store, LocalFileSystem(consumer.root), TOPIC)


def test_blocks_of_other_rules_are_not_compared(consumer: Consumer) -> None:
    result = audited(consumer, counted_by_other_rules(consumer.store, PLAN.id, ~PLAN.id & 0xFFFFFFFF))
    assert [partition.findings for partition in result.partitions] == [[], []]
    assert all(partition.other_rules == partition.blocks > 0 for partition in result.partitions)
    assert result.problems() == ["nothing could be compared: no stored block ends where the archive has come to"]


def copied(source: CellStore, change: Callable[[dict[str, object]], dict[str, object] | None]) -> MemoryStore:
    """The store with every block passed through `change`; None leaves it out."""
    assert isinstance(source, MemoryStore)
    target = MemoryStore(source.store_id)
    for row in (b"topic|" + TOPIC.encode(), b"plan", b"position|counters", b"began"):
        for qualifier, cell in source.scan_control(row).items():
            target.put_control(row, qualifier, cell.timestamp, cell.value)
    for table in source.tables():
        for batch in source.scan(table):
            for cell in batch.to_pylist():
                changed = change({"table": table, **cell})
                if changed is not None:
                    put(target, changed)
    return target


def put(store: CellStore, cell: dict[str, object]) -> None:
    rows, values = pa.array([cell["row"]], pa.binary()), pa.array([cell["value"]], pa.binary())
    table, qualifier, timestamp = cell["table"], cell["qualifier"], cell["timestamp"]
    assert isinstance(table, str)
    assert isinstance(qualifier, bytes)
    assert isinstance(timestamp, int)
    store.write(table, qualifier, timestamp, rows, values)


def once(change: Callable[[dict[str, object]], dict[str, object] | None]) -> Callable[[dict[str, object]], object]:
    """Only the third block of an app is changed."""
    seen = 0

    def changed(cell: dict[str, object]) -> dict[str, object] | None:
        nonlocal seen
        row = cell["row"]
        assert isinstance(row, bytes)
        seen += len(row) > 7
        return change(cell) if seen == 3 and len(row) > 7 else cell

    return changed


def test_what_is_right(consumer: Consumer) -> None:
    assert consumer.root is not None
    watched = Watched()
    result = audit(consumer.store, LocalFileSystem(consumer.root), TOPIC, watched)
    assert result.problems() == []
    assert result.records == sum(watched.plan.values()) == sum(watched.told) == 80
    assert watched.done == [0, 1]
    cells = sum(batch.num_rows for table in consumer.store.tables() for batch in consumer.store.scan(table))
    assert result.blocks == cells > 20
    assert all(partition.files > 2 for partition in result.partitions)
    assert [partition.ahead for partition in result.partitions] == [0, 0]


def test_a_few_blocks_at_a_time(consumer: Consumer) -> None:
    """Nothing else is found, however many are held at once; what is wrong anywhere is said once."""
    assert consumer.root is not None
    store = copied(consumer.store, lambda cell: cell)
    row = next(cell for batch in store.scan("counters_201311") for cell in batch.to_pylist())
    put(store, row | {"table": "counters_201311", "qualifier": b"odd"})
    put(store, row | {"table": "counters_201311", "qualifier": blocks.qualifier(PLAN.id, INCARNATION, 7)})
    put(store, row | {"table": "counters_201311", "qualifier": blocks.qualifier(PLAN.id, 1, 0)})
    files = LocalFileSystem(consumer.root)
    whole = audit(store, files, TOPIC)
    assert audit(store, files, TOPIC, cells_at_once=1) == whole
    assert (whole.other_cells, len(whole.findings), whole.blocks > 20) == (1, 2, True)
    assert audit(store, files, TOPIC, partitions=[1], cells_at_once=1).partitions == whole.partitions[1:]


def test_beside_a_running_consumer(tmp_path: Path) -> None:
    """Counters ahead of the archive, or behind it, are no finding."""
    consumer = Consumer(PLAN, generated(6, reports=40), root=tmp_path / "archive")
    seen = set()
    for turn in range(20):
        for partition in consumer.logs:
            consumer.read(partition, 2)
        if turn % 3 == 0:
            consumer.flush()
        if turn % 5 == 4:
            consumer.publish()
        result = audited(consumer)
        assert [problem for problem in result.problems() if "nothing could be compared" not in problem] == []
        seen.add((any(p.ahead for p in result.partitions), any(p.unchecked for p in result.partitions)))
    assert (True, True) in seen
    assert (False, False) in seen


def test_nothing_to_compare(tmp_path: Path) -> None:
    consumer = Consumer(PLAN, generated(5), root=tmp_path / "archive")
    assert audited(consumer).problems() == [
        "nothing could be compared: no stored block ends where the archive has come to"
    ]
    with pytest.raises(AuditImpossible, match="Nothing was counted"):
        audit(MemoryStore(), LocalFileSystem(tmp_path / "archive"), TOPIC)


# --- what was done to the store ------------------------------------------------------------------------------------


def recounted(cell: dict[str, object]) -> dict[str, object]:
    """One counter more, in a block that is perfectly valid."""
    value = cell["value"]
    assert isinstance(value, bytes)
    block = blocks.decode(COUNTED, value)
    group = next(iter(block.rollups["app"].values()))
    group["sessions"] += 1
    return cell | {"value": blocks.encode(COUNTED, block)}


def flipped(cell: dict[str, object]) -> dict[str, object]:
    value = cell["value"]
    assert isinstance(value, bytes)
    return cell | {"value": value[:30] + bytes([value[30] ^ 4]) + value[31:]}


def other_record(cell: dict[str, object]) -> dict[str, object]:
    value = cell["value"]
    assert isinstance(value, bytes)
    block = blocks.decode(COUNTED, value)
    block.last_crc ^= 1
    return cell | {"value": blocks.encode(COUNTED, block)}


def elsewhere(cell: dict[str, object]) -> dict[str, object]:
    return cell | {"table": "counters_199901"}


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (recounted, r"app \[all\] is .*'sessions': \d+.*the archived records give"),
        (flipped, "its CRC does not match"),
        (other_record, "it names another record"),
        (elsewhere, "the table of another month"),
        (lambda _cell: None, "the block is missing, record \\d+ is in no block"),
    ],
)
def test_a_changed_block(
    consumer: Consumer, change: Callable[[dict[str, object]], dict[str, object] | None], finding: str
) -> None:
    problems = audited(consumer, copied(consumer.store, once(change))).problems()  # type: ignore[arg-type]
    assert any(re.search(finding, problem) for problem in problems), problems
    assert len(problems) <= 3


def test_a_block_too_many(consumer: Consumer) -> None:
    extra = blocks.Block(10, PLAN.id, 0, {"app": {(): dict.fromkeys(COUNTED.rollups[0].measures, 1)}})
    value = blocks.encode(COUNTED, extra)
    row, qualifier = blocks.row(b"NOBODY", 384_722), blocks.qualifier(PLAN.id, INCARNATION, 0)
    cell: dict[str, object] = {"row": row, "qualifier": qualifier, "timestamp": 10, "value": value}
    put(consumer.store, cell | {"table": "counters_201311"})
    (problem,) = audited(consumer).problems()
    assert "NOBODY" in problem
    assert "no archived record accounts for this block" in problem


def test_a_block_that_was_not_written_again(tmp_path: Path) -> None:
    """The trap "position put before the last ack": the store keeps an older, valid block."""
    consumer = Consumer(PLAN, generated(8, partitions=1, reports=40), root=tmp_path / "archive")
    consumer.read(0, 20)
    consumer.flush()
    old = copied(consumer.store, lambda cell: cell)
    consumer.read(0, 20)
    consumer.flush()
    consumer.publish()
    assert audited(consumer).problems() == []
    position = consumer.positions.get(0)
    assert position is not None
    Registry(old, TOPIC, lambda: INCARNATION).positions(consumer.registration).put(0, position)
    problems = audited(consumer, old).problems()
    assert any("belongs in it" in problem for problem in problems)


def test_blocks_without_a_position(consumer: Consumer) -> None:
    store = copied(consumer.store, lambda cell: cell)
    bare = MemoryStore(store.store_id)
    for row in (b"topic|" + TOPIC.encode(), b"plan"):
        for qualifier, cell in store.scan_control(row).items():
            bare.put_control(row, qualifier, cell.timestamp, cell.value)
    for table in store.tables():
        for batch in store.scan(table):
            for found in batch.to_pylist():
                put(bare, {"table": table, **found})
    problems = audited(consumer, bare).problems()
    assert sum("there are blocks, but no position" in problem for problem in problems) == 2


def test_a_generation_that_changed(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([Registry.state(consumer.registry), None])
    monkeypatch.setattr(Registry, "state", lambda _self: next(states))
    with pytest.raises(AuditImpossible):
        audited(consumer)


# --- what was done to the archive ----------------------------------------------------------------------------------


def archive_files(consumer: Consumer, partition: int = 0) -> list[Path]:
    assert consumer.root is not None
    return sorted(consumer.root.glob(f"*/*/p={partition:05d}/*.parquet"))


def test_a_missing_file(consumer: Consumer) -> None:
    archive_files(consumer)[1].unlink()
    problems = audited(consumer).problems()
    assert any("the chain breaks" in problem and "is missing" in problem for problem in problems)


def test_a_file_twice(consumer: Consumer) -> None:
    first, second, *_ = archive_files(consumer)
    shutil.copy(first, second.with_name(f"{int(second.stem) - 1:020d}.parquet"))
    assert any("moved or renamed" in problem or "there twice" in problem for problem in audited(consumer).problems())


def test_a_file_of_another_partition(consumer: Consumer) -> None:
    ours, theirs = archive_files(consumer, 0)[0], archive_files(consumer, 1)[0]
    assert ours.name == theirs.name
    shutil.copy(theirs, ours)
    assert any("moved or renamed" in problem for problem in audited(consumer).problems())


def test_a_damaged_file(consumer: Consumer) -> None:
    path = archive_files(consumer)[1]
    data = bytearray(path.read_bytes())
    for at in range(100, len(data) // 2, 50):
        data[at] ^= 0xFF
    path.write_bytes(data)
    assert any(path.name in problem for problem in audited(consumer).problems())


def test_no_origin(consumer: Consumer) -> None:
    (archive_files(consumer)[0].parent / "origin").unlink()
    assert any("no origin" in problem for problem in audited(consumer).problems())


def test_nothing_behind_a_recorded_gap_is_compared(tmp_path: Path) -> None:
    consumer = Consumer(PLAN, generated(9, partitions=1, reports=40), root=tmp_path / "archive")
    consumer.read(0, 20)
    consumer.flush()
    consumer.publish()
    record_gap(consumer.chain(0), 20, 25, "retention", lambda: None)
    consumer.positions.put(0, CountersPosition(25, None))
    result = audited(consumer)
    assert result.problems() == []
    (partition,) = result.partitions
    assert (partition.records, partition.archive_end, partition.unchecked) == (20, 25, 0)


def test_nothing_behind_a_gap_of_the_counters_is_compared(tmp_path: Path) -> None:
    """The archive has every record; the counters passed some by."""
    consumer = Consumer(PLAN, generated(9, partitions=1, reports=40), root=tmp_path / "archive")
    consumer.read(0, 20)
    consumer.flush()
    below = audited(consumer.run()).partitions[0].blocks
    consumer.store = copied(consumer.store, lambda cell: cell)
    put_gap(consumer.store, Gap(INCARNATION, 0, 20, 25, PLAN.id, 0, 0, 0, 0, "why"))
    (partition,) = audited(consumer).partitions
    assert (partition.findings, partition.records, partition.unchecked) == ([], 20, 0)
    assert partition.behind_gap > 0
    assert partition.behind_gap + partition.compared == partition.blocks == below
    put_gap(consumer.store, Gap(INCARNATION, 0, 5, 6, ~PLAN.id & 0xFFFFFFFF, 0, 0, 0, 0, "another plan's"))
    assert audited(consumer).partitions == [partition]


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "counters.sqlite")
    consumer = Consumer(PLAN, generated(5), store, root=tmp_path / "archive").run(publish_every=3)
    store.close()
    arguments = ["audit", "--set", f"counters.store=sqlite:{store.path}", "--set", f"archive.root={consumer.root}"]
    runner = CliRunner()
    said = runner.invoke(main, arguments)
    assert said.exit_code == 0, said.output
    assert "partition 0: ok" in said.stdout
    assert "Exact: all" in said.stdout
    result = json.loads(runner.invoke(main, [*arguments, "--json"]).stdout)
    assert result["ok"]
    assert result["records"] == 60
    assert [partition["findings"] for partition in result["partitions"]] == [[], []]
    sent = tmp_path / "manifest.jsonl"
    sent.write_text("\n".join(manifest(consumer.logs)) + "\n")
    said = runner.invoke(main, [*arguments, "--complete", "--manifest", str(sent)])
    assert said.exit_code == 0, said.output
    assert "blocks are what the manifest gives" in said.stdout
    lines = sent.read_text().splitlines()
    sent.write_text("\n".join(lines[:-1]) + "\n")
    said = runner.invoke(main, [*arguments, "--manifest", str(sent)])
    assert said.exit_code == 1
    assert "the reports go from 0 to" in said.stderr
    sent.write_text("\n".join(lines[1:]) + "\n")
    said = runner.invoke(main, [*arguments, "--manifest", str(sent)])
    assert said.exit_code == 1
    assert "offset 0 is not in the manifest" in said.stderr
    said = runner.invoke(main, [*arguments, "--manifest", str(sent), "--incarnation", "77777777"])
    assert said.exit_code == 1
    assert "one of 00000077" in said.stderr
    archive_files(consumer)[-1].unlink()
    said = runner.invoke(main, arguments)
    assert said.exit_code == 0
    assert "counted records are not archived yet" in said.stdout
    said = runner.invoke(main, [*arguments, "--complete"])
    assert said.exit_code == 1
    assert "ahead of the archive" in said.stderr
    archive_files(consumer)[0].unlink()
    said = runner.invoke(main, arguments)
    assert said.exit_code == 1
    assert "the chain breaks" in said.stderr
    assert runner.invoke(main, [*arguments, "--json"]).exit_code == 1
    said = runner.invoke(main, ["audit", "--set", f"counters.store=sqlite:{tmp_path}/none.sqlite"])
    assert said.exit_code == 1
