"""What every file system of an archive must do: the contract of archive/filesystem.py, over all of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from places import Place

from flurry_fast.archive.filesystem import ArchiveFileSystem

A_FOLDER = "reports/0000beef/p=00003"


def write(files: ArchiveFileSystem, path: str, content: bytes) -> None:
    with files.create(path) as sink:
        sink.write(content)
    files.make_durable(path)


def read(files: ArchiveFileSystem, path: str) -> bytes:
    with files.open(path) as source:
        return bytes(source.read())


def names(files: ArchiveFileSystem, folder: str) -> list[str]:
    return sorted(entry.name for entry in files.list(folder))


def test_the_claim_primitive_is_tried_and_nothing_is_left(files: ArchiveFileSystem) -> None:
    files.check()
    files.check()
    assert files.list("") == []


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 3 * 2**20 + 17])
def test_what_was_written_is_read(files: ArchiveFileSystem, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    write(files, f"{A_FOLDER}/.tmp-x", content[:size])
    assert read(files, f"{A_FOLDER}/.tmp-x") == content[:size]
    (entry,) = files.list(A_FOLDER)
    assert (entry.name, entry.is_folder, entry.bytes) == (".tmp-x", False, size)
    assert entry.modified > 1_700_000_000


def test_a_file_tells_where_it_is(files: ArchiveFileSystem) -> None:
    with files.create("a/.tmp-x") as sink:
        assert sink.tell() == 0
        sink.write(b"abc")
        assert sink.tell() == 3
        sink.write(pa.py_buffer(b"d" * 2**21))
        assert sink.tell() == 3 + 2**21


def test_files_are_read_at_random(files: ArchiveFileSystem) -> None:
    write(files, "a/.tmp-x", bytes(range(200)))
    with files.open("a/.tmp-x") as source:
        assert source.size() == 200
        assert source.read_at(5, 190) == bytes(range(190, 195))
        assert source.read_at(50, 190) == bytes(range(190, 200))
        source.seek(10)
        assert source.read(3) == bytes((10, 11, 12))
        assert source.tell() == 13
        source.seek(-2, 2)
        assert source.read() == bytes((198, 199))
        assert source.read() == b""


def test_parquet_is_written_and_read_with_threads(files: ArchiveFileSystem) -> None:
    table = pa.table({f"c{number}": pa.array(range(20_000)) for number in range(12)})
    with files.create("a/.tmp-x") as sink, pq.ParquetWriter(sink, table.schema) as out:
        for start in range(0, 20_000, 5_000):
            out.write_table(table.slice(start, 5_000))
    files.make_durable("a/.tmp-x")
    with files.open("a/.tmp-x") as source:
        assert pq.read_metadata(source).num_row_groups == 4
    for pre_buffer in (False, True):
        with files.open("a/.tmp-x") as source, pq.ParquetFile(source, pre_buffer=pre_buffer) as file:
            assert file.read().equals(table)


def test_a_name_is_claimed_once(files: ArchiveFileSystem) -> None:
    write(files, "a/.tmp-1", b"first")
    write(files, "a/.tmp-2", b"second")
    assert files.claim("a/.tmp-1", "a/name")
    assert names(files, "a") == [".tmp-2", "name"]
    assert not files.claim("a/.tmp-2", "a/name")
    assert names(files, "a") == [".tmp-2", "name"]
    assert read(files, "a/name") == b"first"
    assert read(files, "a/.tmp-2") == b"second"
    files.make_durable("a/name")


def test_of_many_that_claim_at_once_one_has_the_name(files: ArchiveFileSystem) -> None:
    for number in range(8):
        write(files, f"a/.tmp-{number}", b"%d" % number)
    gate = threading.Barrier(8)

    def claim(number: int) -> bool:
        gate.wait(60)
        return files.claim(f"a/.tmp-{number}", "a/name")

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(8)))
    assert won.count(True) == 1
    winner = won.index(True)
    assert read(files, "a/name") == b"%d" % winner
    assert names(files, "a") == sorted([f".tmp-{number}" for number in range(8) if number != winner] + ["name"])


def test_folders_come_with_their_files(files: ArchiveFileSystem) -> None:
    assert files.list("") == []
    assert files.list(A_FOLDER) == []
    write(files, f"{A_FOLDER}/.tmp-x", b"x")
    (topic,) = files.list("")
    assert (topic.name, topic.is_folder, topic.bytes) == ("reports", True, 0)
    assert names(files, "reports") == ["0000beef"]
    assert names(files, "reports/0000beef") == ["p=00003"]


def test_what_is_not_there(files: ArchiveFileSystem) -> None:
    files.remove("a/.tmp-x")
    with pytest.raises(FileNotFoundError):
        files.open("a/.tmp-x")
    write(files, "a/.tmp-x", b"x")
    with pytest.raises(FileNotFoundError):
        files.open("a/.tmp-y")
    files.remove("a/.tmp-x")
    files.remove("a/.tmp-x")
    assert files.list("a") == []


def test_many_names(files: ArchiveFileSystem) -> None:
    for number in range(30):
        files.create(f"a/.tmp-{number}").close()
    assert len(names(files, "a")) == 30


def test_an_operator_finds_what_is_described(place: Place) -> None:
    write(place.files, "a/.tmp-x", b"x")
    assert place.files.describe("a/.tmp-x") == f"{place.root}/a/.tmp-x"
    assert place.get("a/.tmp-x") == b"x"
