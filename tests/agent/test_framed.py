"""The file format: u32 big-endian length, report, and so on."""

from __future__ import annotations

import io

import pytest

from flurry_fast.agent.framed import read_framed, write_framed


def test_reports_survive_the_file() -> None:
    file = io.BytesIO()
    assert write_framed(file, [b"abc", b"", b"d"]) == 16
    assert file.getvalue() == b"\0\0\0\3abc\0\0\0\0\0\0\0\1d"
    file.seek(0)
    assert list(read_framed(file)) == [b"abc", b"", b"d"]


@pytest.mark.parametrize("cut", [1, 3, 5, 6])
def test_a_file_that_ends_inside_a_report_says_so(cut: int) -> None:
    with pytest.raises(ValueError, match="ends inside"):
        list(read_framed(io.BytesIO(b"\0\0\0\3abc"[:cut])))
