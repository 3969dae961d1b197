"""Claims: exactly one file a start, a legal chain after a crash at any step, damage noticed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from places import Place
from rows import chunk_of

from flurry_fast.archive import filesystem as fs
from flurry_fast.archive.chain import Chain, chains
from flurry_fast.archive.filesystem import ArchiveFileSystem, FileSystemRefused, LocalFileSystem
from flurry_fast.archive.verify import survey, verify
from flurry_fast.archive.writer import publish, record_gap
from flurry_fast.cli import main
from flurry_fast.errors import FlurryFastError, PositionMissing, RegistryMismatch, StoreCorrupt, StoreUnavailable
from flurry_fast.positions import ArchivePosition


def fine() -> None:
    """The registry agrees."""


def names(chain: Chain) -> list[str]:
    return sorted(entry.name for entry in chain.files.list(chain.folder))


def test_the_chain_is_the_position(chain: Chain, bodies: list[bytes]) -> None:
    assert chain.locate() is None
    assert chain.origin() is None
    assert chain.begin(40) == ArchivePosition(40)
    assert chain.begin(50) == ArchivePosition(40), "the first origin stands"
    assert (chain.origin(), chain.locate()) == (40, ArchivePosition(40))
    first = publish(chain, chunk_of(bodies[:10], 40), fine)
    assert first.ours
    second = publish(chain, chunk_of(bodies[10:15], 50), fine)
    assert second.position == chain.locate()
    assert second.position.position == 55
    assert chain.begin(40) == second.position
    assert names(chain) == [f"{40:020d}.parquet", f"{50:020d}.parquet", "origin"]
    footer = chain.footer(50)
    assert (footer.start, footer.end, footer.rows) == (50, 55, 5)
    assert footer.last_crc == second.position.crc
    assert survey(chain).ok
    assert verify(chain, deep=True).ok


def test_of_two_writers_of_one_start_one_wins_and_one_follows(chain: Chain, bodies: list[bytes]) -> None:
    chain.begin(0)
    gate = threading.Barrier(8)
    outcomes = []

    def write(rows: int) -> None:
        outcomes.append((rows, publish(chain, chunk_of(bodies[:rows]), lambda: gate.wait(30) and None)))

    threads = [threading.Thread(target=write, args=(rows,)) for rows in range(3, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    winners = [rows for rows, publication in outcomes if publication.ours]
    assert len(winners) == 1
    assert {publication.position.position for _, publication in outcomes} == {winners[0]}
    assert names(chain) == [f"{0:020d}.parquet", "origin"]
    assert verify(chain, deep=True).ok


def test_a_loser_follows_to_the_end_of_the_chain(chain: Chain, bodies: list[bytes]) -> None:
    chain.begin(0)
    publish(chain, chunk_of(bodies[:5]), fine)
    publish(chain, chunk_of(bodies[5:9], 5), fine)
    late = publish(chain, chunk_of(bodies[:7]), fine)
    assert not late.ours
    assert late.position.position == 9


def test_nothing_is_claimed_against_the_registry(chain: Chain, bodies: list[bytes]) -> None:
    chain.begin(0)

    def refuse() -> None:
        raise RegistryMismatch("another plan")

    with pytest.raises(RegistryMismatch):
        publish(chain, chunk_of(bodies[:5]), refuse)
    assert names(chain) == ["origin"]


STEPS = ["create", "make_durable", "open", "claim", "remove"]


class Crash(BaseException):
    """The process dies here: nobody handles it."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_leaves_a_legal_chain(
    place: Place, chain: Chain, bodies: list[bytes], step: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(place.files)
    chain.begin(0)
    publish(chain, chunk_of(bodies[:5]), fine)
    with monkeypatch.context() as patch:
        real: Callable[..., Any] = getattr(kind, step)
        dead = False

        def die(self: ArchiveFileSystem, *arguments: str) -> Any:
            nonlocal dead
            if dead:
                raise Crash  # nothing runs after a crash, no clean-up either
            result = real(self, *arguments) if after else None
            if isinstance(result, pa.NativeFile):
                result.close()
            dead = True
            raise Crash

        patch.setattr(kind, step, die)
        for other in ("claim", "remove"):
            if other != step:
                honest: Callable[..., Any] = getattr(kind, other)

                def alive(self: ArchiveFileSystem, *arguments: str, _run: Any = honest) -> Any:
                    if dead:
                        raise Crash
                    return _run(self, *arguments)

                patch.setattr(kind, other, alive)
        with pytest.raises(Crash):
            publish(chain, chunk_of(bodies[5:9], 5), fine)
    position = chain.locate()
    assert position is not None
    assert position.position in (5, 9)
    assert (position.position == 9) == (step == "remove" or (step == "claim" and after))
    assert survey(chain).ok
    # The next process goes on from there, over whatever the dead one left.
    again = publish(chain, chunk_of(bodies[position.position : 12], position.position), fine)
    assert again.ours
    assert verify(chain, deep=True).ok
    left = [name for name in names(chain) if name.startswith(".tmp-")]
    assert len(left) <= 1
    for name in left:
        place.age(f"{chain.folder}/{name}", 1_000)
    assert chain.sweep(1_000 + 86_400) == 0
    assert chain.sweep(1_000 + 86_401) == len(left)
    assert survey(chain).rows == 12


@pytest.mark.parametrize("landed", [False, True])
def test_an_ambiguous_claim_is_settled_by_the_footer(
    chain: Chain, bodies: list[bytes], landed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.begin(0)
    kind = type(chain.files)
    real = kind.claim

    def time_out(self: ArchiveFileSystem, temporary: str, path: str) -> bool:
        if landed:
            real(self, temporary, path)
        raise StoreUnavailable("no answer in time")

    monkeypatch.setattr(kind, "claim", time_out)
    if landed:
        assert publish(chain, chunk_of(bodies[:5]), fine).ours
    else:
        with pytest.raises(StoreUnavailable):
            publish(chain, chunk_of(bodies[:5]), fine)
        assert chain.locate() == ArchivePosition(0)
    monkeypatch.setattr(kind, "claim", real)
    again = publish(chain, chunk_of(bodies[:5]), fine)
    assert again.ours != landed
    assert again.position.position == 5
    # Another's file under the name: a time-out is no success.
    monkeypatch.setattr(kind, "claim", time_out)
    other = publish(chain, chunk_of(bodies[:3]), fine)
    assert not other.ours
    assert other.position.position == 5


def test_a_name_that_nfs_gave_twice_is_ours(local: LocalFileSystem) -> None:
    local.create("a/tmp").close()
    os.link(local.root / "a/tmp", local.root / "a/name")
    assert local.claim("a/tmp", "a/name")
    local.create("a/tmp").close()
    assert not local.claim("a/tmp", "a/name")
    assert (local.root / "a/tmp").exists()


def test_a_file_system_without_links_is_refused(local: LocalFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    local.check()
    assert list(local.root.iterdir()) == []

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    def overwriting(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(fs.os, "link", no_links)
    with pytest.raises(FileSystemRefused, match="no hard links"):
        local.check()
    monkeypatch.setattr(fs.os, "link", overwriting)
    with pytest.raises(FileSystemRefused, match="two files claim one name"):
        local.check()
    assert list(local.root.iterdir()) == []


def test_lost_offsets_are_claimed_with_a_reason(chain: Chain, bodies: list[bytes]) -> None:
    chain.begin(0)
    publish(chain, chunk_of(bodies[:5]), fine)
    gap = record_gap(chain, 5, 900, "retention passed the position", fine)
    assert gap.ours
    assert chain.locate() == ArchivePosition(900)
    publish(chain, chunk_of(bodies[:5], 900), fine)
    result = verify(chain, deep=True)
    assert result.ok
    assert (result.files, result.gaps, result.gap_offsets, result.rows) == (3, 1, 895, 10)
    assert chain.footer(5).gap == "retention passed the position"


def test_files_without_an_origin_stop_the_partition(place: Place, chain: Chain, bodies: list[bytes]) -> None:
    chain.begin(0)
    publish(chain, chunk_of(bodies[:5]), fine)
    place.delete(f"{chain.folder}/origin")
    with pytest.raises(PositionMissing, match="no `origin`"):
        chain.locate()
    assert "no origin" in survey(chain).findings[0].fault


def faults(chain: Chain, deep: bool = False) -> str:
    return "; ".join(finding.fault for finding in verify(chain, deep=deep).findings)


def three_files(chain: Chain, bodies: list[bytes]) -> list[str]:
    chain.begin(0)
    for start in (0, 5, 10):
        publish(chain, chunk_of(bodies[start : start + 5], start), fine)
    return [link.path for link in chain.links()]


def test_a_missing_file_is_found(place: Place, chain: Chain, bodies: list[bytes]) -> None:
    place.delete(three_files(chain, bodies)[1])
    assert "offsets are missing" in faults(chain)


def test_an_overlap_is_found(chain: Chain, bodies: list[bytes]) -> None:
    three_files(chain, bodies)
    publish(chain, chunk_of(bodies[3:9], 3), fine)
    assert "archived twice" in faults(chain)


def test_a_torn_file_is_found(place: Place, chain: Chain, bodies: list[bytes]) -> None:
    path = three_files(chain, bodies)[2]
    place.put(path, place.get(path)[:-20])
    assert "no Parquet file" in faults(chain)
    with pytest.raises(StoreCorrupt):
        chain.locate()


def test_a_renamed_file_is_found(place: Place, chain: Chain, bodies: list[bytes]) -> None:
    place.move(three_files(chain, bodies)[2], chain.path(15))
    assert "moved or renamed" in faults(chain)


def rewrite(
    place: Place, path: str, change: Callable[[pa.Table], pa.Table], metadata: dict[bytes, bytes] | None = None
) -> None:
    """Write the file again with other rows under the same footer."""
    stored = pa.BufferReader(place.get(path))
    table = pq.read_table(stored)
    footer = {k: v for k, v in pq.read_metadata(stored).metadata.items() if k.startswith(b"flurry")} | (metadata or {})
    changed, sink = change(table), pa.BufferOutputStream()
    with pq.ParquetWriter(sink, changed.schema, store_schema=False) as out:
        out.write_table(changed)
        out.add_key_value_metadata(footer)
    place.put(path, sink.getvalue().to_pybytes())


def without_last(table: pa.Table) -> pa.Table:
    return table.slice(0, len(table) - 1)


def first_again(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 1), table.slice(0, 1), table.slice(2)])


def other_agent(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("agent_version")
    return table.set_column(place, table.schema.field(place), pa.array([7] * len(table), pa.int32()))


def test_a_lost_row_is_found(place: Place, chain: Chain, bodies: list[bytes]) -> None:
    path = three_files(chain, bodies)[1]
    rewrite(place, path, without_last)
    assert "holds 4 rows, its footer says 5" in faults(chain)
    rewrite(place, path, lambda table: table, {b"flurry_fast.rows": b"4"})
    assert "ends with offset 8" in faults(chain)
    assert "checksum" in faults(chain)


def test_a_row_that_is_there_twice_is_found(place: Place, chain: Chain, bodies: list[bytes]) -> None:
    rewrite(place, three_files(chain, bodies)[1], first_again)
    assert "5 rows, 4 distinct offsets" in faults(chain)


def test_changed_bytes_are_found_by_a_deep_verification(place: Place, chain: Chain, bodies: list[bytes]) -> None:
    rewrite(place, three_files(chain, bodies)[1], other_agent)
    assert faults(chain) == ""
    assert "can not be restored: the row of offset 5" in faults(chain, deep=True)


def test_dropped_columns_are_found(place: Place, chain: Chain, bodies: list[bytes]) -> None:
    rewrite(place, three_files(chain, bodies)[1], lambda table: table.drop_columns(["package"]))
    assert "other columns" in faults(chain)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        (b"end", b"5", "not after its start"),
        (b"end", b"x", "damaged footer"),
        (b"schema_version", b"99", "columns of version 99; this version reads 2"),
        (b"wire_bytes", b"1", "its footer says 1"),
        (b"max_timestamp", b"1", "Kafka times"),
        (b"last_crc", b"1", "its footer says 1"),
        (b"gap", b"none", "records a gap"),
    ],
)
def test_a_footer_that_contradicts_is_found(
    place: Place, chain: Chain, bodies: list[bytes], key: bytes, value: bytes, fault: str
) -> None:
    rewrite(place, three_files(chain, bodies)[1], lambda table: table, {b"flurry_fast." + key: value})
    assert fault in faults(chain, deep=True)


def test_foreign_parquet_is_no_part_of_the_archive(place: Place, chain: Chain) -> None:
    chain.begin(0)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1]}), sink)
    place.put(chain.path(0), sink.getvalue().to_pybytes())
    with pytest.raises(StoreCorrupt, match="no file of the archive"):
        chain.locate()


def test_ls_and_verify_on_the_command_line(place: Place, bodies: list[bytes]) -> None:
    files = place.files
    overrides = ["--set", f"archive.root={place.root}", "--set", "kafka.topic=reports"]
    runner = CliRunner()
    empty = runner.invoke(main, ["archive", "verify", *overrides])
    assert (empty.exit_code, "There is no archive" in empty.output) == (1, True)
    for partition in (0, 1):
        chain = Chain(files, "reports", 7, partition)
        chain.begin(0)
        publish(chain, chunk_of(bodies[:5], partition=partition), fine)
    Chain(files, "other", 7, 0).begin(0)
    assert [c.topic for c in chains(files)] == ["other", "reports", "reports"]

    listed = runner.invoke(main, ["archive", "ls", "--json", *overrides])
    assert listed.exit_code == 0, listed.output
    first, second = (json.loads(line) for line in listed.stdout.splitlines())
    assert (first["partition"], first["rows"], first["start"], first["end"], first["ok"]) == (0, 5, 0, 5, True)
    assert second["partition"] == 1
    table = runner.invoke(main, ["archive", "ls", "--all-topics", *overrides])
    assert table.exit_code == 0
    assert "2013-11-09 12:26:40" in table.output
    checked = runner.invoke(main, ["archive", "verify", "--deep", *overrides])
    assert checked.exit_code == 0, checked.output
    assert "10 reports in 2 files of 2 partitions, restored byte for byte: all as it must be." in checked.output

    place.put(Chain(files, "reports", 7, 1).path(0), b"not Parquet")
    broken = runner.invoke(main, ["archive", "verify", "--json", *overrides])
    assert broken.exit_code == 1
    assert [json.loads(line)["ok"] for line in broken.stdout.splitlines()] == [True, False]
    assert runner.invoke(main, ["archive", "ls", *overrides]).exit_code == 0


def test_an_unreachable_file_system_says_nothing_about_the_chain(
    local: LocalFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(local, "reports", 0xBEEF, 3)
    chain.begin(0)

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fs.os, "scandir", broken)
    for look in (chain.locate, lambda: survey(chain), lambda: chain.sweep(0)):
        with pytest.raises(StoreUnavailable):
            look()
    assert issubclass(StoreUnavailable, FlurryFastError)
