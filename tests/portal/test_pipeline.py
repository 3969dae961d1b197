"""From devices to counters: what was acknowledged over HTTP is archived and counted once, readable or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from doors import ROOT, SECONDS, Door, wait_until

from flurry_fast._core import HttpFleet, Simulator
from flurry_fast.broker import EmbeddedBroker

REPORTS = 500


def test_devices_to_audited_counters(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    flags = {
        "kafka.broker_file": broker.path,
        "kafka.topic": topic,
        "kafka.group": topic,
        "counters.store": f"sqlite:{tmp_path}/counters.sqlite",
        "archive.root": f"{tmp_path}/archive",
    }
    settings = [item for name, value in flags.items() for item in ("--set", f"{name}={value}")]

    def run(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "flurry_fast", *arguments, *settings],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    with Door(tmp_path, broker, topic) as door:
        status = tmp_path / "consumer.json"
        consumer = run("consume", "--status-file", str(status))
        try:
            fleet = HttpFleet("{}:{}".format(*door.address), host="x", devices=16)
            fleet.post(Simulator(5, apps=20, devices=400, malformed=0.05).next_batch(REPORTS).payloads())
            fleet.finish()
            assert fleet.counts()["stored"] == REPORTS
            wait_until(lambda: status.exists() and json.loads(status.read_text())["records"] == REPORTS, "all are read")
            consumer.send_signal(signal.SIGTERM)
            said, _ = consumer.communicate(timeout=SECONDS)
        finally:
            consumer.kill()
        assert consumer.returncode == 0, said
        seen = json.loads(status.read_text())
        assert seen["lag"] == 0
        assert seen["unreadable"] >= door.status()["unreadable"] > 0
    for command in (("archive", "verify"), ("audit",)):
        process = run(*command)
        said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
