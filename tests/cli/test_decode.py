"""flurry-fast decode, as people and scripts call it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from flurry_fast._core import REASONS
from flurry_fast.cli import main
from flurry_fast.cli.report_view import duration, instant, render, shown


def capture(captures: list[Path], name: str) -> Path:
    return next(body for body in captures if body.parts[-2:] == tuple(name.split("/")))


def run(*arguments: str, input: bytes | None = None) -> tuple[int, str, str]:  # noqa: A002
    result = CliRunner().invoke(main, ["decode", *arguments], input=input, catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_json_is_one_object_a_line(captures: list[Path]) -> None:
    code, out, err = run("--json", *map(str, captures))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 245
    for body, line in zip(captures, lines, strict=True):
        expected, report = json.loads(body.with_suffix(".json").read_text()), json.loads(line)
        assert {key: report[key] for key in expected} == expected


def test_people_get_every_capture_rendered(captures: list[Path]) -> None:
    code, out, err = run(*map(str, captures))
    assert (code, err) == (0, "")
    for body in captures:
        assert body.name in out
    assert "unreadable: bad_crc" in out
    assert "were never written" in out


def test_a_full_report_shows_what_it_says(captures: list[Path]) -> None:
    _, out, _ = run(str(capture(captures, "a216/full-2.bin")))
    for text in (
        "protocol 30, agent 216",
        "Level Start",
        "wifi",
        "female",
        "37.775",
        "nul\\x00name",
        "org.example.game",
    ):
        assert text in out
    assert "\0" not in out


def test_standard_input(captures: list[Path]) -> None:
    data = capture(captures, "a148/start-1.bin").read_bytes()
    code, out, _ = run("--json", "-", input=data)
    assert (code, json.loads(out)["agent_version"]) == (0, 148)
    code, out, _ = run("-", input=b"")
    assert code == 0
    assert "unreadable: truncated" in out
    assert "ends inside a field" in out


def test_an_unreadable_file_is_no_failure(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x00\x09")
    assert run("--json", str(junk)) == (0, '{"outcome":"unknown_protocol"}\n', "")


def test_a_missing_file_is_one_and_the_others_are_printed(captures: list[Path], tmp_path: Path) -> None:
    there = str(captures[0])
    code, out, err = run("--json", str(tmp_path / "none"), str(tmp_path), there)
    assert code == 1
    assert len(out.splitlines()) == 1
    first, second = err.splitlines()
    assert "none can not be read: No such file or directory." in first
    assert "Is a directory" in second


def test_framed_files(captures: list[Path], tmp_path: Path) -> None:
    bodies = [body.read_bytes() for body in captures[:3]]
    framed = tmp_path / "reports"
    framed.write_bytes(b"".join(struct.pack(">I", len(body)) + body for body in bodies))
    code, out, _ = run("--json", "--framed", str(framed))
    assert code == 0
    assert len(out.splitlines()) == 3
    assert "report 3" in run("--framed", str(framed))[1]

    for cut in (1, len(bodies[2]) + 1, len(bodies[2]) + 3):
        framed.write_bytes(b"".join(struct.pack(">I", len(body)) + body for body in bodies)[:-cut])
        code, out, err = run("--json", "--framed", str(framed))
        assert (code, len(out.splitlines())) == (1, 2)
        assert "ends inside report 3" in err
    framed.write_bytes(b"")
    assert run("--framed", str(framed)) == (0, "", "")


def test_a_reader_who_leaves_early_gets_no_traceback(captures: list[Path]) -> None:
    many = [str(body) for body in captures] * 10
    script = "from flurry_fast.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "decode", "--json", *many], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01 00:00:00.000 UTC"),
        (-1, "1969-12-31 23:59:59.999 UTC"),
        (1_384_000_000_123, "2013-11-09 12:26:40.123 UTC"),
        (2**63 - 1, "9223372036854775807 ms"),
        (-(2**63), "-9223372036854775808 ms"),
    ],
)
def test_instants(ms: int, text: str) -> None:
    assert instant(ms) == text


def test_durations() -> None:
    assert [duration(ms) for ms in (None, 0, 1500, 60_000, 3_661_000)] == [
        "not ended",
        "0 s",
        "1.5 s",
        "1 min 00 s",
        "1 h 01 min 01 s",
    ]


def test_nothing_unprintable_reaches_the_terminal() -> None:
    assert shown("a\x1b[31m\u202eb\x9bé漢😀") == "a\\x1b[31m\\u202eb\\x9bé漢😀"


def test_every_reason_has_its_sentence() -> None:
    for _, name, sentence in REASONS:
        console = Console(width=200)
        with console.capture() as printed:
            console.print(render({"outcome": name}, title="x", size=0))
        assert f"unreadable: {name}" in printed.get()
        assert sentence in printed.get()
