"""How a soak is judged: thirds, growth, and the way it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perf import soak
from perf.soak import MIB, Sample

ONE = Sample(0.0, 100 * MIB, 50 * MIB, 0, 0, 0, 0, 0, 0)


def run(*resident: int) -> list[Sample]:
    """Samples of so many MiB, a second apart, with ten reports, a flush and two files between each."""
    return [
        replace(ONE, seconds=float(at), resident=size * MIB, records=10 * at, flushes=at, archive_files=2 * at)
        for at, size in enumerate(resident)
    ]


def test_thirds_are_of_equal_length_and_the_warm_up_takes_the_rest() -> None:
    found = soak.thirds(run(1, 2, 3, 4, 100, 110, 90, 120, 130, 500))
    assert [part.resident / MIB for part in found] == [2.5, 100, 130]
    assert [part.most_resident / MIB for part in found] == [4, 110, 500]
    assert [part.records for part in found] == [30, 20, 20]
    assert [(part.flushes, part.archive_files) for part in found] == [(3, 6), (2, 4), (2, 4)]


def test_growth_is_that_of_the_last_third_over_the_middle_one() -> None:
    assert soak.growth(soak.thirds(run(10, 10, 100, 100, 110, 110))) == pytest.approx(0.1)
    assert soak.growth(soak.thirds(run(10, 10, 100, 100, 80, 80))) == pytest.approx(-0.2)


def test_a_peak_is_no_growth() -> None:
    assert soak.growth(soak.thirds(run(*[100] * 6, 100, 900, 100))) == 0


def test_too_short_a_soak_is_not_judged() -> None:
    with pytest.raises(soak.SoakFailed, match="too few"):
        soak.thirds(run(1, 2, 3, 4, 5))


@pytest.mark.parametrize(("last", "code"), [(104, None), (106, 1)])
def test_growth_beyond_what_is_allowed_is_exit_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last: int, code: int | None
) -> None:
    monkeypatch.setattr(soak, "soak", lambda *_: run(*[100] * 6, last, last, last))
    words = ["soak", "--growth", "5", "--json", str(tmp_path / "soak.json"), "--chart", str(tmp_path / "soak.svg")]
    monkeypatch.setattr("sys.argv", words)
    if code is None:
        soak.main()
    else:
        with pytest.raises(SystemExit) as ended:
            soak.main()
        assert ended.value.code == code
    assert (tmp_path / "soak.json").exists()
    assert (tmp_path / "soak.svg").read_text().startswith("<?xml")


def test_a_real_consumer_is_watched(tmp_path: Path) -> None:
    with soak.ground(tmp_path, None) as settings:
        samples = soak.soak(tmp_path, settings, 5.0, 200)
    assert samples[-1].records > 0
    assert min(sample.resident for sample in samples) > 20 * MIB
