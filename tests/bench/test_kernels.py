"""The native kernels that bench/ times do what they say."""

from __future__ import annotations

import json
import zlib
from functools import reduce
from operator import xor
from pathlib import Path

import numpy as np
import pytest

from flurry_fast._core import crc32_batch, decode_batch
from flurry_fast._wire import Batch

CAPTURES = sorted((Path(__file__).resolve().parents[1] / "captures").glob("*/*.bin"))


def _batch(payloads: list[bytes]) -> Batch:
    bounds = np.cumsum([0, *map(len, payloads)], dtype=np.int64)
    offsets = np.arange(len(payloads), dtype=np.int64)
    return Batch.from_buffers(b"".join(payloads), bounds, offsets, offsets, 0)


def test_crc_of_every_payload() -> None:
    payloads = [path.read_bytes() for path in CAPTURES]
    assert crc32_batch(_batch(payloads)) == reduce(xor, map(zlib.crc32, payloads))
    assert crc32_batch(_batch([])) == 0


def test_decodes_every_capture_and_counts_its_data_points() -> None:
    reports = [json.loads(path.with_suffix(".json").read_bytes()) for path in CAPTURES]
    readable = [report for report in reports if report["outcome"] == "ok"]
    points = sum(
        1 + len(session["events"]) + len(session["errors"]) for report in readable for session in report["sessions"]
    )
    assert decode_batch(_batch([path.read_bytes() for path in CAPTURES])) == (len(readable), points)
    assert decode_batch(_batch([b"", b"\0"])) == (0, 0)


@pytest.mark.parametrize("kernel", [crc32_batch, decode_batch])
def test_takes_batches_only(kernel: type) -> None:
    with pytest.raises(TypeError, match="expected a batch"):
        kernel(b"bytes")
