"""flurry-fast simulate, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest

from flurry_fast.agent.framed import read_framed
from flurry_fast.agent.simulator import Fleet, FleetSettings
from flurry_fast.broker import EmbeddedBroker

ROOT = Path(__file__).parents[2]
START = "2013-11-20T12:00:00Z"
START_MS = 1_384_948_800_000


def start(*arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "flurry_fast", "simulate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def simulate(*arguments: str, folder: Path) -> tuple[int, bytes, str]:
    process = start(*arguments, folder=folder)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err.decode()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path / "data" / "broker.json", {"reports": 2, "other": 1}) as running:
        yield running


def test_a_file_holds_the_reports_of_the_seed(tmp_path: Path) -> None:
    out = tmp_path / "reports.bin"
    options = ("--seed", "5", "--start", START, "--apps", "9", "--reports", "700", "--hostile", "0.1")
    code, printed, said = simulate(*options, "--out", str(out), folder=tmp_path)
    assert (code, printed) == (0, b"")
    assert "700 reports" in said
    assert f"--seed 5 --start {START}" in said
    with out.open("rb") as file:
        found = list(read_framed(file))
    settings = FleetSettings(seed=5, start_ms=START_MS, apps=9, hostile=0.1)
    assert found == Fleet(settings).take(700).payloads
    code, printed, said = simulate(*options, "--out", "-", "--json", folder=tmp_path)
    assert (code, printed) == (0, out.read_bytes())
    assert json.loads(said)["reports"] == 700


def test_a_file_can_have_a_manifest_without_places_in_a_log(tmp_path: Path) -> None:
    out, manifest = tmp_path / "reports.bin", tmp_path / "sent.jsonl"
    options = ("--reports", "300", "--malformed", "0.2", "--out", str(out), "--manifest", str(manifest))
    assert simulate(*options, folder=tmp_path)[0] == 0
    with out.open("rb") as file:
        payloads = list(read_framed(file))
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [line["crc32c"] for line in lines] == [google_crc32c.value(payload) for payload in payloads]
    assert {line["outcome"] == "ok" for line in lines} == {True, False}
    assert {(line["partition"], line["offset"], line["timestamp_ms"]) for line in lines} == {(None, None, None)}
    assert all(line["key"] for line in lines)


def test_a_refused_run_leaves_the_file_alone(tmp_path: Path) -> None:
    out = tmp_path / "reports.bin"
    out.write_bytes(b"precious")
    code, _, _ = simulate("--malformed", "1", "--hostile", "1", "--out", str(out), folder=tmp_path)
    assert (code, out.read_bytes()) == (2, b"precious")


def test_captures_come_before_the_fleet(tmp_path: Path) -> None:
    folder = ROOT / "tests" / "captures" / "a030"
    code, printed, said = simulate("--captures", str(folder), "--reports", "3", "--out", "-", "--json", folder=tmp_path)
    bodies = [path.read_bytes() for path in sorted(folder.rglob("*.bin"))]
    assert code == 0
    (tmp_path / "out").write_bytes(printed)
    with (tmp_path / "out").open("rb") as file:
        found = list(read_framed(file))
    assert found[:-3] == bodies
    summary = json.loads(said)
    assert (summary["reports"], summary["captures"]) == (len(bodies) + 3, len(bodies))


def test_the_embedded_broker_of_the_settings_is_the_default(broker: EmbeddedBroker, tmp_path: Path) -> None:
    assert broker.path == tmp_path / "data" / "broker.json"
    manifest = tmp_path / "manifest.jsonl"
    code, printed, said = simulate(
        "--reports",
        "500",
        "--rate",
        "5000",
        "--manifest",
        str(manifest),
        "--json",
        "--status-file",
        "status.json",
        folder=tmp_path,
    )
    assert code == 0, said
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["sent"], status["delivered"], status["waiting"]) == (500, 500, False)
    summary = json.loads(printed)
    assert (summary["reports"], summary["acked"], summary["failed"]) == (500, 500, 0)
    assert summary["errors"] == {}
    assert len(manifest.read_bytes().splitlines()) == 500


def test_a_signal_flushes_and_ends_with_0(broker: EmbeddedBroker, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    process = start(
        *("--broker", str(broker.path), "--topic", "other", "--duration", "600", "--rate", "200", "--no-throttle"),
        *("--manifest", str(manifest), "--json", "--progress"),
        folder=tmp_path,
    )
    while not (manifest.exists() and manifest.stat().st_size):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    summary = json.loads(printed)
    assert summary["interrupted"]
    assert summary["acked"] == summary["reports"] == len(manifest.read_bytes().splitlines())


def test_failed_deliveries_exit_with_1(broker: EmbeddedBroker, tmp_path: Path) -> None:
    code, printed, said = simulate(
        *("--reports", "300", "--json", "--broker", str(broker.path)),
        *("--set", "kafka.librdkafka.message.max.bytes=1200"),
        folder=tmp_path,
    )
    assert code == 1
    summary = json.loads(printed)
    assert summary["failed"] > 0
    assert summary["acked"] + summary["failed"] == 300
    assert "reports failed" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reports", "0"), "reports"),
        (("--apps", "400001"), "apps"),
        (("--malformed", "0.6", "--hostile", "0.6", "--out", "-"), "exceed 1"),
        (("--protocols", "23"), "no agent protocol 23"),
        (("--start", "yesterday"), "yesterday"),
        (("--out", "x", "--topic", "y"), "--topic and --out"),
        (("--broker", "x", "--bootstrap", "y:1"), "exclude each other"),
        (("--no-throttle", "--throttle-group", "g"), "exclude each other"),
        (("--captures", ".", "--out", "x"), "no captured report"),
    ],
)
def test_what_makes_no_sense_exits_with_2(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    code, _, err = simulate(*options, folder=tmp_path)
    assert code == 2
    assert said in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reports", "9"), "flurry-fast broker"),
        (("--reports", "9", "--out", "/nowhere/at/all"), "/nowhere/at/all"),
        (("--reports", "9000", "--out", "/dev/full"), "/dev/full"),
    ],
)
def test_what_cannot_work_now_exits_with_1_and_one_sentence(
    options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    code, _, err = simulate(*options, folder=tmp_path)
    assert code == 1
    assert said in err
    assert "Traceback" not in err
