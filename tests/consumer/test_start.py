"""Starting: plans that are refused, brokers that come late, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flurry_fast.broker import BrokerNotRunning, EmbeddedBroker
from flurry_fast.config.model import Kafka, PlanFile
from flurry_fast.consumer.start import LogEnds, StopSignals, find_topic, load_plan
from flurry_fast.errors import ConfigError
from flurry_fast.kafka import KafkaUnavailable


def test_the_packages_plan_is_the_default() -> None:
    plan = load_plan(PlanFile())
    assert plan.rollups[0].name == "app"
    assert plan.id != 0


@pytest.mark.parametrize("text", ['[[rollup]]\nname = "App"\n', "not toml", None])
def test_a_bad_plan_is_refused_with_its_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "plan.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_plan(PlanFile(path=path))
    assert str(caught.value).startswith(f"{path}: ")


def test_a_broker_that_starts_late_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "broker.json"
    started: list[EmbeddedBroker] = []
    timer = threading.Timer(0.3, lambda: started.append(EmbeddedBroker(path, {"reports": 2})))
    timer.start()
    try:
        _, identity = find_topic(Kafka(broker_file=path, connect_timeout=60))
        assert identity.partitions == 2
        assert dict(LogEnds(Kafka(broker_file=path))({0, 1})) == {0: 0, 1: 0}
    finally:
        timer.join()
        started[0].stop()
    with pytest.raises(KafkaUnavailable, match="can not be asked"):
        LogEnds(Kafka(bootstrap="127.0.0.1:1", request_timeout=0.5))({0})


def test_a_broker_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokerNotRunning):
        find_topic(Kafka(broker_file=tmp_path / "none.json", connect_timeout=0.2))


def test_a_signal_asks_for_the_end_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_ends_at_once() -> None:
    code = (
        "import os, signal\n"
        "from flurry_fast.consumer.start import StopSignals\n"
        "with StopSignals() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert stop()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == ""
