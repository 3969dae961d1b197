"""perf/: stacks are folded right, pictures are XML, and what is wrong is said in one sentence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from perf import record, stacks, tools
from perf.flame import svg

SCRIPT = """python 1 2.0: 1 cpu-clock:
\tffffffff81 page_fault+0x1 ([kernel.kallsyms])
\t1b a::b<c>::apply+0x2c (/home/me/_core.so)
\t1c [unknown] (/usr/lib/libx.so (deleted))

rdk:main 1 3.0: 1 cpu-clock:
\t1b a::b+0x2c (/home/me/_core.so)
"""


def test_perf_script_is_folded_outermost_first() -> None:
    found = stacks.from_perf_script(SCRIPT.splitlines())
    assert found == {("python", "[libx.so (deleted)]", "a::b<c>::apply", "page_fault_[k]"): 1, ("rdk:main", "a::b"): 1}


def test_folded_comes_back_and_has_no_folders() -> None:
    found = stacks.from_folded(["a;f (/home/me/x/site-packages/p/q.py:3) 2", "a 1"])
    assert found == {("a", "f (p/q.py:3)"): 2, ("a",): 1}
    assert stacks.from_folded(stacks.folded(found).splitlines()) == found
    with pytest.raises(ValueError, match="not a folded stack"):
        stacks.from_folded(["nonsense"])


def test_a_recursive_function_counts_once() -> None:
    assert stacks.shares(Counter({("a", "a"): 3, ("a", "b"): 1})) == {"a": (0.75, 1.0), "b": (0.25, 0.25)}


def test_svg_is_xml_with_every_frame() -> None:
    root = ElementTree.fromstring(svg(Counter({("a<b>", "c"): 3, ("a<b>",): 1}), "t & t", "samples"))
    titles = [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["all: 4 samples: 4 samples, 100.0%", "a<b>: 4 samples, 100.0%", "c: 3 samples, 75.0%"]
    with pytest.raises(ValueError, match="no sample"):
        svg(Counter(), "t", "samples")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nothing", "--with", "perf"], "invalid choice"),
        (["five"], "--with"),
        (["consume", "--with", "perf", "--rounds", "2"], "only once"),
        (["five", "--with", "perf", "--rounds", "0"], "at least 1"),
    ],
)
def test_wrong_arguments(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        record.arguments(argv)
    assert said in capsys.readouterr().err


def test_a_missing_tool_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "PROFILERS", tmp_path)
    with pytest.raises(tools.ToolError, match=r"perf is missing\. Install it"):
        tools.found("perf", tools.PERF_WAYS)
    with pytest.raises(tools.ToolError, match="make profile"):
        tools.packages()


def test_counters_that_are_not_there_are_named() -> None:
    counts = tools.parse_counts("# x\n<not supported>||cycles|0|0.00||\n12.5|msec|task-clock|1|100.0||\n")
    assert "does not offer them: cycles" in tools.counters_text(counts, 10)
