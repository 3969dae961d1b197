"""The one place that encodes cells and sends them.

`mutateRowsTs` takes one timestamp for all rows of a call; it is not atomic over rows, and says nothing of which were
applied when it fails. So it is sent again, whole, until the reply is clean, and clean means to the byte: a reply
without a result, with the right name and sequence id, and nothing after it. Puts carry `writeToWAL`, which the gateway
turns into SYNC_WAL: the reply comes after the write-ahead log took them, whatever durability the table asks for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from flurry_fast.stores.hbase.wire import Client, ReplyMismatch, hbase

CALL = "mutateRowsTs"
MAX_ROW = 32_000  # bytes: 32,767 less the table's name, with which HBase looks up the region
_REPLY = 0x8001_0002  # version 1 of the binary protocol, message type 2
_HEAD = struct.pack(f">II{len(CALL)}s", _REPLY, len(CALL), CALL.encode())


def put_column(
    client: Client, table: bytes, column: bytes, timestamp: int, cells: Iterable[tuple[bytes, bytes]], timeout: float
) -> None:
    """Put (row, value) cells of one column (`family:qualifier`), all at `timestamp`.

    A return means that all of them are in the write-ahead log. Raises as the client does, or ReplyMismatch.
    """
    mutation, row_mutations = hbase.Mutation, hbase.BatchMutation
    batch = [
        row_mutations(row=row, mutations=[mutation(column=column, value=value, writeToWAL=True)])
        for row, value in cells
    ]
    client.wire.heard = heard = bytearray()
    try:
        client.call(CALL, table, batch, timestamp, {}, timeout=timeout)
    finally:
        client.wire.heard = None
    if heard != _HEAD + client.sequence.to_bytes(4, "big") + b"\0":
        # thriftpy2 passes over fields that it does not know: an exception of a later gateway would read as success.
        raise ReplyMismatch(f"the reply to {CALL!r} is not an empty result")
