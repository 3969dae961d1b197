"""Logs: one JSON object a line for collectors, ours and the libraries' alike; secrets never."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging, structlog
from flurry_fast import logs
from flurry_fast.config.model import Log
logs.configure(Log(level="{level}", format="{format}"))
structlog.get_logger("x").info("took", partition=3, **{{"sasl.password": "hunter2"}})
structlog.get_logger("x").debug("details")
logging.getLogger("flurry_fast.librdkafka").warning("%s is down", "broker 1")
try:
    raise ValueError("bad")
except ValueError:
    structlog.get_logger("x").exception("failed")
"""


def said(level: str, style: str) -> str:
    script = SCRIPT.format(level=level, format=style)
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def test_json_lines() -> None:
    lines = [json.loads(line) for line in said("info", "json").splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("took", "info"),
        ("broker 1 is down", "warning"),
        ("failed", "error"),
    ]
    assert lines[0]["partition"] == 3
    assert lines[0]["sasl.password"] == "********"
    assert lines[1]["logger"] == "flurry_fast.librdkafka"
    assert "ValueError: bad" in lines[2]["exception"]
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_auto_is_json_where_nobody_watches() -> None:
    assert said("info", "auto").startswith("{")


def test_for_people_and_with_less() -> None:
    text = said("warning", "console")
    assert "took" not in text
    assert "broker 1 is down" in text
    assert "hunter2" not in said("debug", "console")
    assert "details" in said("debug", "console")


def test_a_full_disk_ends_nobody() -> None:
    script = SCRIPT.format(level="debug", format="json") + "print('went on')"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
        )
    assert done.stdout == b"went on\n"
