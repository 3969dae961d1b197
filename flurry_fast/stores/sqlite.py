"""A cell store in one SQLite file: the embedded default. Durable (WAL, synchronous=FULL), safe for several processes.

"The highest timestamp wins" is in the SQL of the one upsert, and in triggers that no client can go around: an update
to a lower timestamp, an equal timestamp with other bytes and a delete are refused by the file itself. Old months go by
dropping their table.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from flurry_fast import trials
from flurry_fast.errors import StoreCorrupt, StoreError, StoreUnavailable
from flurry_fast.stores.base import (
    INSTALLATION,
    Cells,
    CellStore,
    Column,
    ControlCell,
    check_table,
    check_write,
    scan_batch,
    to_bytes,
)

APPLICATION_ID = 0x464C5259  # "FLRY"
FORMAT = 2
SCAN_BATCH = 1000
READ_ROWS = 500  # bound variables of one SELECT
CONTROL = "control"

_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    row BLOB NOT NULL, qualifier BLOB NOT NULL, timestamp INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (row, qualifier)
);
CREATE TRIGGER IF NOT EXISTS {table}_one_value BEFORE UPDATE ON {table}
    WHEN new.timestamp = old.timestamp AND new.value IS NOT old.value
    BEGIN SELECT RAISE(ABORT, 'flurry: equal timestamp, other bytes'); END;
CREATE TRIGGER IF NOT EXISTS {table}_only_up BEFORE UPDATE ON {table} WHEN new.timestamp < old.timestamp
    BEGIN SELECT RAISE(ABORT, 'flurry: a timestamp may not go down'); END;
CREATE TRIGGER IF NOT EXISTS {table}_no_delete BEFORE DELETE ON {table}
    BEGIN SELECT RAISE(ABORT, 'flurry: cells are never deleted'); END;
"""
# The second condition lets the trigger see, and refuse, an equal timestamp with other bytes.
_PUT = """
INSERT INTO {table} AS cells (row, qualifier, timestamp, value) VALUES (?, ?, ?, ?)
ON CONFLICT (row, qualifier) DO UPDATE SET timestamp = excluded.timestamp, value = excluded.value
WHERE excluded.timestamp > cells.timestamp
   OR (excluded.timestamp = cells.timestamp AND excluded.value IS NOT cells.value)
"""
_GET = "SELECT timestamp, value FROM control WHERE row = ? AND qualifier = ?"


class SqliteStore(CellStore):
    """One connection per thread; after any error the thread's connection is closed and opened anew."""

    kind: ClassVar[str] = "sqlite"

    def __init__(self, path: Path, *, timeout: float = 30.0, create: bool = True) -> None:
        """Open or create the file (and its folder). `timeout`: seconds a call may wait for another process.

        Raises StoreUnavailable (not there and not `create`; locked; no permission) or StoreCorrupt (not ours).
        """
        self.path = path
        self._timeout = timeout
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: set[sqlite3.Connection] = set()
        self._busy: set[sqlite3.Connection] = set()  # of them: a thread is in a call
        self._closed = False
        self._known: set[str] = set()
        if not create and not path.is_file():
            raise StoreUnavailable(
                f"There is no store at {path}.", way_out="Start `flurry-fast consume` first, or set counters.store."
            )
        if create:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnavailable(f"The folder of {path} can not be made: {error.strerror}.") from None
        self._prepare()
        self._id = self.put_control_if_absent(INSTALLATION, b"store_id", 1, os.urandom(16)).value

    @property
    def store_id(self) -> bytes:
        return self._id

    # --- cells ---------------------------------------------------------------------------------------------------

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        keys = to_bytes(rows)
        found: dict[bytes, tuple[int, bytes]] = {}
        with self._reading(check_table(table)) as connection:
            if connection is not None:
                for at in range(0, len(keys), READ_ROWS):
                    part = keys[at : at + READ_ROWS]
                    marks = ",".join("?" * len(part))
                    sql = f"SELECT row, timestamp, value FROM {table} WHERE qualifier = ? AND row IN ({marks})"
                    for row, timestamp, value in connection.execute(sql, (qualifier, *part)):
                        found[row] = (timestamp, value)
        hits = [(i, *found[row]) for i, row in enumerate(keys) if row in found]
        return Cells(
            pa.array([hit[0] for hit in hits], pa.int32()),
            pa.array([hit[1] for hit in hits], pa.int64()),
            pa.array([hit[2] for hit in hits], pa.binary()),
        )

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        check_write(timestamp, rows, values)
        pairs = zip(to_bytes(rows), to_bytes(values), strict=True)
        with self._writing(check_table(table)) as connection:
            connection.executemany(
                _PUT.format(table=table), ((row, qualifier, timestamp, value) for row, value in pairs)
            )

    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        # Pages by key, so that no read transaction outlives a page and keeps the WAL from being checkpointed.
        left = limit
        sql = (
            f"SELECT row, qualifier, timestamp, value FROM {check_table(table)} WHERE (row, qualifier) {{more}} (?, ?)"
        )
        sql += " AND row < ?" if stop is not None else ""
        at, more = (start, b""), ">="
        while left is None or left > 0:
            count = SCAN_BATCH if left is None else min(SCAN_BATCH, left)
            with self._reading(table) as connection:
                if connection is None:
                    return
                arguments = (*at, *(() if stop is None else (stop,)), count)
                query = sql.format(more=more) + " ORDER BY row, qualifier LIMIT ?"
                cells = connection.execute(query, arguments).fetchall()
            if not cells:
                return
            yield scan_batch(cells)
            at, more = (cells[-1][0], cells[-1][1]), ">"
            left = None if left is None else left - len(cells)

    def tables(self) -> list[str]:
        with self._reading(CONTROL) as connection:
            if connection is None:
                return []
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return [name for (name,) in names if name != CONTROL and not name.startswith("sqlite_")]

    # --- control -------------------------------------------------------------------------------------------------

    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        with self._reading(CONTROL) as connection:
            cell = connection.execute(_GET, (row, qualifier)).fetchone() if connection is not None else None
        return ControlCell(*cell) if cell is not None else None

    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        sql = "SELECT qualifier, timestamp, value FROM control WHERE row = ? ORDER BY qualifier"
        with self._reading(CONTROL) as connection:
            cells = connection.execute(sql, (row,)).fetchall() if connection is not None else []
        return {qualifier: ControlCell(timestamp, value) for qualifier, timestamp, value in cells}

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        with self._writing(CONTROL) as connection:
            connection.execute(_PUT.format(table=CONTROL), (row, qualifier, timestamp, value))

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        with self._writing(CONTROL) as connection:
            sql = "INSERT INTO control (row, qualifier, timestamp, value) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
            connection.execute(sql, (row, qualifier, timestamp, value))
            return ControlCell(*connection.execute(_GET, (row, qualifier)).fetchone())

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for connection in self._connections - self._busy:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            for connection in self._busy:  # closed under the thread that is in a call, it would take the process along
                connection.interrupt()
            self._connections.clear()

    # --- connections ---------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        with self._guarded() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if objects and application != APPLICATION_ID:
                raise StoreCorrupt(f"{self.path} is an SQLite file, but not a store of flurry_fast.")
            if objects and number != FORMAT:
                raise StoreCorrupt(
                    f"The store {self.path} has format {number}; this version reads {FORMAT}.",
                    way_out="Use it with the version that wrote it, or set counters.store to a new file.",
                )
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            _create(connection, CONTROL)
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _writing(self, table: str) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start, so that nothing changes between read and write."""
        with self._guarded() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if table not in self._known:
                _create(connection, table)
            yield connection
            trials.fail_point("store.commit.before")
            connection.execute("COMMIT")
            trials.fail_point("store.commit.after")
            self._known.add(table)

    @contextlib.contextmanager
    def _reading(self, table: str) -> Iterator[sqlite3.Connection | None]:
        """The thread's connection; None if nothing was ever written to the table."""
        with self._guarded() as connection:
            sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
            known = table in self._known or connection.execute(sql, (table,)).fetchone() is not None
            yield connection if known else None

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        with self._lock:
            self._busy.add(connection)
        try:
            yield connection
        except sqlite3.Error as error:
            self._drop(connection)
            raise self._typed(error) from error
        except BaseException:
            self._drop(connection)
            raise
        finally:
            with self._lock:
                self._busy.discard(connection)
                if self._closed:
                    connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        with self._lock:
            if self._closed:
                raise StoreUnavailable("The store is closed.")
            if connection is not None and connection in self._connections:
                return connection
        try:
            connection = sqlite3.connect(
                self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            raise self._typed(error) from error
        with self._lock:
            self._connections.add(connection)
        self._local.connection = connection
        return connection

    def _drop(self, connection: sqlite3.Connection) -> None:
        self._local.connection = None
        with self._lock:
            self._connections.discard(connection)
        with contextlib.suppress(sqlite3.Error):
            connection.close()  # rolls back what is open

    def _typed(self, error: sqlite3.Error) -> StoreError:
        text = str(error)
        if isinstance(error, sqlite3.IntegrityError) and "flurry:" in text:
            return StoreCorrupt(f"The store {self.path} refused a cell: {text.removeprefix('flurry: ')}.")
        code: Any = getattr(error, "sqlite_errorcode", None)
        if code is not None and (code & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return StoreCorrupt(f"The store {self.path} is damaged: {text}.")
        return StoreUnavailable(f"The store {self.path} can not be used now: {text}.")


def _create(connection: sqlite3.Connection, table: str) -> None:
    for statement in _TABLE.format(table=table).split(";\n"):
        sql = statement if "BEGIN SELECT" not in statement else statement + ";"
        if sql.strip():
            connection.execute(sql)
