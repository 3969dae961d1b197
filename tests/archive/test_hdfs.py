"""What is HDFS's own: claims that land late, names of servers, a file whose last block is not reported yet."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import hdfs_native
import pytest
from places import HdfsPlace, hdfs_place
from rows import chunk_of

from flurry_fast.archive import hdfs
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.files import open_files
from flurry_fast.archive.filesystem import FileSystemRefused
from flurry_fast.archive.hdfs import HdfsFileSystem
from flurry_fast.archive.verify import verify
from flurry_fast.archive.writer import publish
from flurry_fast.config.model import Archive
from flurry_fast.errors import StoreUnavailable
from flurry_fast.positions import ArchivePosition
from flurry_fast.stack import Stack


@pytest.fixture
def place(stack: Stack) -> Iterator[HdfsPlace]:
    with hdfs_place(stack) as place:
        yield place


@pytest.fixture
def chain(place: HdfsPlace) -> Chain:
    chain = Chain(place.files, "reports", 0xBEEF, 3)
    chain.begin(0)
    return chain


def fine() -> None:
    """The registry agrees."""


class LateRename:
    """A claim that is given up, and lands when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.release, self.landed = threading.Event(), threading.Event()
        self.error: Exception | None = None
        real: Callable[..., None] = hdfs_native.Client.rename

        def rename(client: hdfs_native.Client, *arguments: Any) -> None:
            monkeypatch.setattr(hdfs_native.Client, "rename", real)
            self.release.wait(60)
            try:
                real(client, *arguments)
            except Exception as error:
                self.error = error
            self.landed.set()

        monkeypatch.setattr(hdfs_native.Client, "rename", rename)

    def land(self) -> None:
        self.release.set()
        assert self.landed.wait(60)


@pytest.fixture
def impatient(place: HdfsPlace) -> Chain:
    """The same chain, of a process whose calls have little time."""
    return Chain(open_files(Archive(root=place.root, call_timeout=1.0)), "reports", 0xBEEF, 3)


def test_a_claim_that_lands_late_finds_its_file_gone(
    chain: Chain, impatient: Chain, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = LateRename(monkeypatch)
    with pytest.raises(StoreUnavailable, match="did not answer within 1 s, claiming"):
        publish(impatient, chunk_of(bodies[:5]), fine)
    late.land()
    assert isinstance(late.error, FileNotFoundError)
    assert chain.locate() == ArchivePosition(0)
    assert publish(impatient, chunk_of(bodies[:5]), fine).ours
    assert verify(chain, deep=True).rows == 5


@pytest.mark.parametrize("other", [5, 3, None])
def test_a_claim_that_lands_late_is_a_right_one_or_none(
    chain: Chain, impatient: Chain, bodies: list[bytes], other: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file could not be removed, and `other` rows were archived from its start meanwhile (by us again: 5)."""
    late = LateRename(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(HdfsFileSystem, "remove", lambda *_: None)
        with pytest.raises(StoreUnavailable):
            publish(impatient, chunk_of(bodies[:5]), fine)
    if other is not None:
        assert publish(chain, chunk_of(bodies[:other]), fine).ours
    late.land()
    assert (late.error is None) == (other is None)
    again = publish(impatient, chunk_of(bodies[:5]), fine)
    assert not again.ours
    assert again.position == chain.locate()
    assert again.position.position == (other or 5)
    publish(chain, chunk_of(bodies[again.position.position : 9], again.position.position), fine)
    result = verify(chain, deep=True)
    assert (result.ok, result.rows, result.end) == (True, 9, 9)


def test_a_claim_whose_answer_was_lost_is_ours(
    chain: Chain, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends it again is told that its temporary file is gone."""
    real: Callable[..., None] = hdfs_native.Client.rename

    def twice(client: hdfs_native.Client, *arguments: Any) -> None:
        real(client, *arguments)
        real(client, *arguments)

    monkeypatch.setattr(hdfs_native.Client, "rename", twice)
    published = publish(chain, chunk_of(bodies[:5]), fine)
    assert published.ours
    assert published.position == chain.locate()


def test_a_file_is_read_when_all_of_it_can_be(place: HdfsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader sees nothing of a last block that no DataNode has reported yet."""
    with place.files.create("a/.tmp-x") as sink:
        sink.write(b"content")
    looks = 0

    class Early:
        def __len__(self) -> int:
            return 0

    real = hdfs_native.Client.read

    def read(client: hdfs_native.Client, path: str) -> Any:
        nonlocal looks
        looks += 1
        return real(client, path) if looks > 3 else Early()

    monkeypatch.setattr(hdfs_native.Client, "read", read)
    with place.files.open("a/.tmp-x") as source:
        assert source.read() == b"content"
    assert looks == 4
    monkeypatch.setattr(hdfs_native.Client, "read", lambda *_: Early())
    impatient = open_files(Archive(root=place.root, call_timeout=0.1))
    with pytest.raises(StoreUnavailable, match="No DataNode has reported the last block"):
        impatient.make_durable("a/.tmp-x")


def test_every_block_is_synced(place: HdfsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    small = hdfs_native.WriteOptions(overwrite=False, create_parent=True, block_size=2**20)
    monkeypatch.setattr(hdfs.hdfs_native, "WriteOptions", lambda **_: small)
    synced: list[int] = []
    real, written = hdfs_native.FileWriter.hsync, 0

    def hsync(writer: hdfs_native.FileWriter) -> None:
        synced.append(written)
        real(writer)

    monkeypatch.setattr(hdfs_native.FileWriter, "hsync", hsync)
    content = uuid.uuid4().bytes * (2**20 // 16 * 2) + b"and a bit"
    with place.files.create("a/.tmp-x") as sink:
        sink.write(content)
    assert len(synced) == 3
    place.files.make_durable("a/.tmp-x")
    assert place.get("a/.tmp-x") == content
    with place.files.create("a/.tmp-y") as sink:
        sink.write(content[: 2**21])
    assert len(synced) == 5, "a full last block once"
    place.files.make_durable("a/.tmp-y")  # before, the NameNode may not know yet how long its last block is
    assert place.get("a/.tmp-y") == content[: 2**21]


def test_a_file_that_failed_takes_nothing_more(place: HdfsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> int:
        raise OSError("Connection refused (os error 111)")

    closed: list[int] = []
    monkeypatch.setattr(hdfs_native.FileWriter, "write", broken)
    monkeypatch.setattr(hdfs_native.FileWriter, "close", lambda _: closed.append(1))
    with pytest.raises(StoreUnavailable, match=r"writing .*Connection refused"), place.files.create("a/.tmp-x") as sink:
        sink.write(b"x" * 2**20)
    sink = place.files.create("a/.tmp-y")
    sink.write(b"x")
    with pytest.raises(StoreUnavailable, match=r"writing .*Connection refused"):
        sink.close()
    assert not closed, "half a file is not completed"


def test_an_overwriting_rename_is_refused(place: HdfsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., None] = hdfs_native.Client.rename
    monkeypatch.setattr(
        hdfs_native.Client, "rename", lambda client, source, target, _: real(client, source, target, True)
    )
    with pytest.raises(FileSystemRefused, match="two files claim one name"):
        place.files.check()
    assert place.files.list("") == []


def test_nobody_listens() -> None:
    nobody = open_files(Archive(root="hdfs://127.0.0.1:1/archive"))
    for call in (nobody.check, lambda: nobody.list(""), lambda: nobody.open("x"), lambda: nobody.create("x")):
        with pytest.raises(StoreUnavailable, match="Connection refused"):
            call()


def test_a_name_service_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    with pytest.raises(StoreUnavailable, match="no name service") as refusal:
        open_files(Archive(root="hdfs://production/archive")).check()
    assert "HADOOP_CONF_DIR" in (refusal.value.way_out or "")


@pytest.mark.parametrize("error", [OSError("reset by peer"), RuntimeError('DataTransferError("no")')])
def test_a_read_that_fails_says_nothing_about_the_file(
    chain: Chain, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Not even on pyarrow's own threads: a damaged file would end the process."""
    publish(chain, chunk_of(bodies * 40), fine)
    real: Callable[..., bytes] = hdfs_native.FileReader.read_range
    good = 0

    def read(reader: hdfs_native.FileReader, start: int, count: int) -> bytes:
        nonlocal good
        if good == 0:
            raise error
        good -= 1
        return real(reader, start, count)

    monkeypatch.setattr(hdfs_native.FileReader, "read_range", read)
    with pytest.raises(StoreUnavailable, match="HDFS failed reading"):
        chain.locate()
    good = 1  # the footer
    with pytest.raises(StoreUnavailable, match="HDFS failed reading"), chain.files.open(chain.path(0)) as source:
        chain.format.columns(source, ("offset", "crc32c", "device_id", "raw"))
