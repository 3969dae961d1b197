"""perf/rows.py writes every row of its working set once a pass, in flushes as the counters' sink makes them."""

from __future__ import annotations

import pytest

from perf import rows


def test_a_pass_writes_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "FLUSH", 30)
    keys = [b"%03d" % number for number in range(100)]
    values = [b"v" + key for key in keys]
    found = list(rows.flushes(keys, values, 1))
    assert [len(part) for part, _ in found] == [30, 30, 30, 10]
    written = [pair for part, cells in found for pair in zip(part.to_pylist(), cells.to_pylist(), strict=True)]
    assert sorted(written) == list(zip(keys, values, strict=True))
    assert all(part.to_pylist() == sorted(part.to_pylist()) for part, _ in found)
    assert found[0][0] != next(rows.flushes(keys, values, 2))[0]


def test_wrong_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rows.arguments(["--passes", "3"])
    assert "--stack-dir" in capsys.readouterr().err
