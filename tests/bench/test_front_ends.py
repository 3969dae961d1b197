"""The plain collectors that the portal is measured against do store what they acknowledge; and who can be silent."""

from __future__ import annotations

import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.front_ends import AIOHTTP, GRANIAN, TOPIC, UVICORN, front_end, measure, said_to
from flurry_fast._core import Simulator
from flurry_fast.broker import EmbeddedBroker

sys.path.insert(0, str(Path(__file__).parents[1]))

from whole_topic import read_topic


@pytest.mark.parametrize("name", [AIOHTTP, UVICORN, GRANIAN])
def test_a_plain_collector(name: str, tmp_path: Path) -> None:
    if find_spec(name) is None:
        pytest.skip(f"NOT TESTED: {name} is not installed (the bench group has it)")
    bodies = Simulator(1).next_batch(50).payloads()
    with EmbeddedBroker(tmp_path / "broker.json", {TOPIC: 2}) as broker, front_end(name, broker) as server:
        for keep in (False, True):
            assert measure(server, bodies, 8, keep=keep).cpu > 0
        found = Counter(message.value() for message in read_topic(broker, TOPIC))
        assert found == Counter(bodies * 2)
        said = said_to(server.address, "/silent")
        assert (said == b"") == (name == AIOHTTP), said
        assert name == AIOHTTP or said.startswith(b"HTTP/1.1 500 ")
