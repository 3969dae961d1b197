"""The archive on HDFS, through hdfs-native.

**The claim** is `rename` without overwrite: the NameNode does it in one step, and refuses it where the name is taken.

**What a close guarantees.** Before its last packet, every block is synced (`hsync`): all DataNodes of its pipeline
have it on disk. Without that, a block is acknowledged from the DataNodes' memory, and a power cut of all of them takes
it. The close itself returns once the NameNode has the file's blocks and length in its edit log, synced. It does not
say that a block has been *reported* by `dfs.namenode.replication.min` DataNodes: with
`dfs.namenode.file.close.num-committed-allowed` above 0 that may come later, and a reader sees a file that is shorter
until then, even an empty one. So `make_durable` and `open` wait until the length that readers see is the file's.
Erasure-coded folders have no hsync; there, acknowledged means in memory of all DataNodes of the stripe.

**Deadlines.** hdfs-native blocks as long as a server is silent. Every call has `archive.call_timeout`, on a thread
that is left behind when time is up (`deadline.py`), and the client with it: its connection may be one that no answer
comes through any more. What a call left behind does later is legal, call by call:

- `create`, write, close, `mkdirs`: concern a temporary name, which has a random part; nobody writes it a second time.
- `remove`: of a temporary name, likewise.
- `rename`, a claim that lands late. It is as if this process had been stopped between the registry's read and its
  claim, and woke up later; the scheme has such zombies in it. Either the name is free when it lands: then the chain has
  our file, a right one, whose rows start where the chain stood; whoever comes to that start next, we ourselves with
  the same rows included, loses the claim and follows the chain. Or the name is taken: then nothing happens. Or the
  temporary file was removed before, as `writer.publish` does after every failure: then nothing happens either. Right
  after the time-out the footer of whatever has the name says whose it is (`writer._claim`).
- everything else only reads.
"""

from __future__ import annotations

import io
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import hdfs_native
import pyarrow as pa

from flurry_fast.archive.deadline import Deadline, DeadlineExceeded, TooManyAbandoned
from flurry_fast.archive.filesystem import ArchiveFileSystem, Entry, FileSystemRefused
from flurry_fast.archive.hdfs_errors import explain, first_line, is_native
from flurry_fast.config.places import HdfsPlace
from flurry_fast.errors import StoreUnavailable

T = TypeVar("T")
WRITE_BYTES = 2**20  # gathered before they go to a DataNode
UNCHANGED = 2**64 - 1  # -1 to the NameNode: leave the access time as it is
FIRST_LOOK, LONGEST_LOOK = 0.005, 0.25  # seconds between two looks whether a block has been reported
NO_HSYNC = "not supported for erasure-coded"


class HdfsFileSystem(ArchiveFileSystem):
    """See the module. Nothing is connected before the first call."""

    def __init__(self, place: HdfsPlace, call_timeout: float) -> None:
        """`call_timeout`: seconds that one call may take."""
        self.place = place
        self._deadline = Deadline("hdfs", call_timeout)
        self._lock = threading.Lock()
        self._client: hdfs_native.Client | None = None

    def check(self) -> None:
        first, second, name = (self._path(f".probe-{uuid.uuid4().hex}{suffix}") for suffix in ("-1", "-2", ""))
        with suppress(FileExistsError):
            self._call(f"making {self.place}", lambda client: client.mkdirs(self.place.folder, 0o755, True))
        doing = f"at a first test in {self.place}"
        try:
            for probe in (first, second):
                self._call(doing, partial(_touch, path=probe))
            self._call(doing, lambda client: client.rename(first, name, False))
            try:
                self._call(doing, lambda client: client.rename(second, name, False))
            except FileExistsError:
                return
            raise FileSystemRefused(f"{self.place} lets two files claim one name.")
        except (FileExistsError, FileNotFoundError) as error:
            raise StoreUnavailable(f"HDFS failed {doing}: {error}.") from error
        finally:
            for probe in (first, second, name):
                with suppress(StoreUnavailable, FileNotFoundError):
                    self._call(doing, partial(_delete, path=probe))

    def create(self, path: str) -> pa.NativeFile:
        full, doing = self._path(path), f"creating {self.describe(path)}"
        options = hdfs_native.WriteOptions(overwrite=False, create_parent=True)

        def make(client: hdfs_native.Client) -> tuple[hdfs_native.FileWriter, int]:
            writer = client.create(full, options)
            return writer, client.get_file_info(full).blocksize or 0

        try:
            writer, block = self._call(doing, make)
        except (FileExistsError, FileNotFoundError) as error:
            # Names are random: it is ours, from a request whose answer was lost, or was swept. Another name will do.
            raise StoreUnavailable(f"HDFS failed {doing}: {error}.") from error
        return pa.PythonFile(_Writer(self, self.describe(path), writer, block), mode="w")

    def make_durable(self, path: str) -> None:
        self._opened(path)
        # What the NameNode answers may be ahead of its edit log. A change of ours is answered when the log is synced
        # up to it, and with it everything before; this one changes nothing.
        full = self._path(path)

        def touch(client: hdfs_native.Client) -> None:
            client.set_times(full, client.get_file_info(full).modification_time, UNCHANGED)

        self._call(f"making {self.describe(path)} durable", touch)

    def claim(self, temporary: str, path: str) -> bool:
        source, target = self._path(temporary), self._path(path)
        doing = f"claiming {self.describe(path)}"
        try:
            self._call(doing, lambda client: client.rename(source, target, False))
        except FileExistsError:
            # Whoever has it may have it since a moment ago: it must be in the edit log before we go on from it.
            self.make_durable(path)
            return False
        except FileNotFoundError as error:
            # The temporary file is gone: perhaps it has the name already, from a request whose answer was lost.
            raise StoreUnavailable(f"HDFS failed {doing}: {error}.") from error
        return True

    def list(self, folder: str) -> list[Entry]:
        full = self._path(folder)
        try:
            found = self._call(f"listing {self.describe(folder)}", lambda client: [*client.list_status(full)])
        except FileNotFoundError:
            return []
        return [
            Entry(
                status.path.rstrip("/").rpartition("/")[2],
                status.isdir,
                0 if status.isdir else status.length,
                status.modification_time / 1000,
            )
            for status in found
            if status.path.rstrip("/") != full  # a file lists itself
        ]

    def open(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(_Reader(self, self.describe(path), self._opened(path)), mode="r")

    def remove(self, path: str) -> None:
        full = self._path(path)
        with suppress(FileNotFoundError):
            self._call(f"removing {self.describe(path)}", partial(_delete, path=full))

    def describe(self, path: str) -> str:
        return f"{self.place}/{path}" if path else str(self.place)

    # --- the calls -----------------------------------------------------------------------------------------------

    def call(self, doing: str, work: Callable[[], T]) -> T:
        """Make a call of hdfs-native's under the deadline, and its failure one of ours.

        Raises StoreUnavailable, FileNotFoundError, FileExistsError.
        """
        client = self._client
        try:
            return self._deadline.call(work)
        except TooManyAbandoned:
            raise StoreUnavailable(
                f"HDFS was not asked, {doing}: {self._deadline.abandoned} earlier calls have not been answered."
            ) from None
        except DeadlineExceeded:
            with self._lock:
                if self._client is client:
                    self._client = None
            raise StoreUnavailable(f"HDFS did not answer within {self._deadline.seconds:g} s, {doing}.") from None
        except FileNotFoundError as error:
            raise FileNotFoundError(first_line(str(error))) from error
        except FileExistsError as error:
            raise FileExistsError(first_line(str(error))) from error
        except BaseException as error:
            if not is_native(error):
                raise
            raise explain(error, doing) from error

    def _call(self, doing: str, work: Callable[[hdfs_native.Client], T]) -> T:
        return self.call(doing, lambda: work(self._connected()))

    def _connected(self) -> hdfs_native.Client:
        with self._lock:
            if self._client is None:
                self._client = hdfs_native.Client(self.place.server, _settings(self.place))
            return self._client

    def _opened(self, path: str) -> hdfs_native.FileReader:
        """A reader that sees all of the file. Raises FileNotFoundError, StoreUnavailable."""
        full, doing = self._path(path), f"opening {self.describe(path)}"
        until, pause = time.monotonic() + self._deadline.seconds, FIRST_LOOK

        def look(client: hdfs_native.Client) -> tuple[hdfs_native.FileReader, int]:
            reader = client.read(full)
            return reader, client.get_file_info(full).length

        while True:
            reader, length = self._call(doing, look)
            if len(reader) == length:
                return reader
            if time.monotonic() > until:
                raise StoreUnavailable(
                    f"No DataNode has reported the last block of {self.describe(path)} within"
                    f" {self._deadline.seconds:g} s: {len(reader):,} of {length:,} bytes can be read.",
                    way_out="Look at `hdfs dfsadmin -report` for live DataNodes.",
                )
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)

    def _path(self, path: str) -> str:
        return f"{self.place.folder}/{path}" if path else self.place.folder


def _settings(place: HdfsPlace) -> dict[str, str]:
    """What overrides the Hadoop configuration: whoever calls tries again by itself, and later."""
    if place.port is not None:
        return {"dfs.client.failover.max.attempts": "0"}
    return {
        "dfs.client.failover.max.attempts": "4",
        # A NameNode that is silent costs a deadline, and the next client should not begin with it again.
        f"dfs.client.failover.random.order.{place.host}": "true",
    }


def _touch(client: hdfs_native.Client, path: str) -> None:
    client.create(path).close()


def _delete(client: hdfs_native.Client, path: str) -> None:
    client.delete(path, False)


class _Writer(io.RawIOBase):
    """A file being written. After one failure it takes nothing more: the whole file is written again, elsewhere."""

    def __init__(self, files: HdfsFileSystem, name: str, writer: hdfs_native.FileWriter, block: int) -> None:
        super().__init__()
        self._files, self._name = files, name
        self._writer: hdfs_native.FileWriter | None = writer
        self._block = block  # bytes of a full block; 0: unknown
        self._waiting = bytearray()
        self._sent = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._sent + len(self._waiting)

    def write(self, content: Any) -> int:
        with memoryview(content) as view:
            self._waiting += view
            size = view.nbytes
        while len(self._waiting) >= WRITE_BYTES:
            self._send(WRITE_BYTES)
        return size

    def flush(self) -> None:
        """Nothing: what counts is the close."""

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if self._writer is None:
            return  # it failed, and whoever wrote knows
        while self._waiting:
            self._send(WRITE_BYTES)
        writer = self._writer
        if self._sent and not (self._block and self._sent % self._block == 0):
            self._sync(writer)
        self._try("closing", writer.close)
        self._writer = None

    def _send(self, most: int) -> None:
        """Hand bytes over, up to the end of a block; a block that is full is synced before the next one begins."""
        writer = self._writer
        if writer is None:
            raise StoreUnavailable(f"HDFS failed before while writing {self._name}.")
        if self._block:
            most = min(most, self._block - self._sent % self._block)
        content = bytes(self._waiting[:most])
        self._try("writing", lambda: writer.write(content))
        del self._waiting[:most]
        self._sent += len(content)
        if self._block and self._sent % self._block == 0:
            self._sync(writer)

    def _sync(self, writer: hdfs_native.FileWriter) -> None:
        def hsync() -> None:
            try:
                writer.hsync()
            except RuntimeError as error:
                if NO_HSYNC not in str(error):
                    raise

        self._try("syncing", hsync)

    def _try(self, step: str, work: Callable[[], Any]) -> None:
        try:
            self._files.call(f"{step} {self._name}", work)
        except BaseException as error:
            self._writer = None
            if isinstance(error, FileNotFoundError | FileExistsError):
                # Removed under our hands, or the NameNode has given it to somebody else.
                raise StoreUnavailable(f"HDFS failed {step} {self._name}: {error}.") from error
            raise


class _Reader(io.RawIOBase):
    """A file to read at random."""

    def __init__(self, files: HdfsFileSystem, name: str, reader: hdfs_native.FileReader) -> None:
        super().__init__()
        self._files, self._name, self._reader = files, name, reader
        self._size, self._at = len(reader), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        count = left if size is None or size < 0 else min(size, left)
        if not count:
            return b""
        start = self._at
        try:
            content = self._files.call(f"reading {self._name}", lambda: self._reader.read_range(start, count))
        except FileNotFoundError as error:
            raise StoreUnavailable(f"HDFS failed reading {self._name}: {error}.") from error
        self._at += len(content)
        return content

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            content = self.read(view.nbytes)
            view.cast("B")[: len(content)] = content
        return len(content)
