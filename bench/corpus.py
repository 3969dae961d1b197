"""The reports that everything is timed on: made by the simulator, the same on every machine."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flurry_fast._core import Simulator
from flurry_fast._wire import Batch

SEED = 20131120
BATCH = 10_000  # records of one turn of the consumer's loop

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """n reports of one partition, offsets 0 to n - 1, in memory the way librdkafka would leave them: end to end."""

    payload: bytes
    bounds: Int64  # n + 1: report i is payload[bounds[i]:bounds[i + 1]]
    times_ms: Int64  # n: when each was received

    def __len__(self) -> int:
        return len(self.times_ms)

    @property
    def size(self) -> int:
        """Bytes of all reports."""
        return int(self.bounds[-1] - self.bounds[0])

    @cached_property
    def payloads(self) -> list[bytes]:
        """One bytes object a report, for contenders in Python."""
        return [self.payload[start:end] for start, end in pairwise(self.bounds.tolist())]

    @cached_property
    def times(self) -> list[int]:
        """`times_ms` as Python integers."""
        return self.times_ms.tolist()

    @cached_property
    def batches(self) -> list[Batch]:
        """The reports in native batches of `BATCH`; nothing is copied."""
        offsets = np.arange(len(self), dtype=np.int64)
        return [
            Batch.from_buffers(
                self.payload,
                self.bounds[start : min(start + BATCH, len(self)) + 1],
                offsets[start : start + BATCH],
                self.times_ms[start : start + BATCH],
                0,
            )
            for start in range(0, len(self), BATCH)
        ]


def make_corpus(reports: int, seed: int = SEED) -> Corpus:
    """The simulator's default fleet and mix of protocols, nothing damaged."""
    made = Simulator(seed).next_batch(reports)
    return Corpus(
        made.payload,
        np.array(made.payload_offsets, dtype=np.int64),
        np.array(made.times_ms, dtype=np.int64),
    )


_HEAD = struct.Struct(">Iq")  # of a record in a file: length of the report, when it was received (ms)


def write_corpus(corpus: Corpus, path: Path) -> None:
    """As a file that contenders in any language can read: per report u32 length, i64 receive time, its bytes."""
    with path.open("wb") as out:
        for payload, received in zip(corpus.payloads, corpus.times, strict=True):
            out.write(_HEAD.pack(len(payload), received))
            out.write(payload)


def read_corpus(path: Path) -> Corpus:
    """Such a file. Raises OSError, ValueError where it ends inside a record."""
    data = path.read_bytes()
    parts: list[bytes] = []
    times: list[int] = []
    bounds = [0]
    place = 0
    while place < len(data):
        length, received = _HEAD.unpack_from(data, place)
        place += _HEAD.size + length
        if place > len(data):
            raise ValueError(f"{path} ends inside a record")
        parts.append(data[place - length : place])
        times.append(received)
        bounds.append(bounds[-1] + length)
    return Corpus(b"".join(parts), np.array(bounds, dtype=np.int64), np.array(times, dtype=np.int64))
