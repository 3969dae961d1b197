"""Reports to try the archive's writers with: simulated, at every edge, and made up to hurt."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.encoder import encode
from reference.generate import NOW_MS, PROTOCOLS, Generator

from flurry_fast._core import Simulator


def simulated(count: int, protocol: int | None = None, malformed: float = 0.0) -> list[bytes]:
    """Ordinary reports, of one protocol or of all."""
    mix = None if protocol is None else {protocol: 1}
    batch = Simulator(7, apps=50, devices=400, protocols=mix, malformed=malformed).next_batch(count)
    payload, bounds = batch.payload, list(batch.payload_offsets)
    return [payload[start:end] for start, end in pairwise(bounds)]


def edges(count: int, seed: int = 11) -> list[bytes]:
    """Empty lists at every level, whatever may be absent, extremes of every number, odd and long texts."""
    random = Random(seed)
    calm, odd, wild = Generator(random, 0.02), Generator(random, 0.3), Generator(random, 0.05, bad=0.03)
    sources = [calm, odd, odd, wild]
    return [encode(sources[n % 4].report(PROTOCOLS[n % 9])) for n in range(count)]


def hostile(count: int, seed: int = 13) -> list[bytes]:
    """Names that never come twice, wherever a device may choose one; some are long."""
    random = Random(seed)

    def name() -> str:
        return random.randbytes(8).hex() if random.random() < 0.99 else random.randbytes(400).hex()

    def event(number: int) -> dict[str, object]:
        params = [(name(), name()) for _ in range(4)]
        return {"id": number, "name": name(), "params": params, "offset_ms": random.getrandbits(62), "duration_ms": 1}

    reports = []
    for _ in range(count):
        report = Generator(random).report(26, sessions=1)
        report |= {"api_key": name()[:200], "app_version": name(), "properties": [(name(), name()) for _ in range(3)]}
        for session in report["sessions"]:
            session["events"] = [event(number) for number in range(6)]
            session["start_ms"] = NOW_MS + random.getrandbits(30)
        reports.append(encode(report))
    return reports
