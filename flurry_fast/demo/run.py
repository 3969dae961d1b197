"""The demo, act by act."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from flurry_fast.demo.children import POLL_SECONDS, Child, Children
from flurry_fast.demo.ground import Ground
from flurry_fast.demo.options import DemoOptions
from flurry_fast.demo.screen import BUSIEST, Picture, Screen
from flurry_fast.demo.settings import GROUP
from flurry_fast.demo.watch import Kill, Sample, Watch
from flurry_fast.demo.workspace import Workspace
from flurry_fast.errors import FlurryFastError

TICK_SECONDS = 0.2
MALFORMED, HOSTILE = "0.01", "0.002"  # shares of reports that cannot be read, and of those that mean harm
TIMES = {1: "once", 2: "twice"}
DEVICES = 64  # that post at the same time
THROTTLE = "4MiB"  # uncommitted bytes a partition: the embedded broker keeps 5 MiB
START_SECONDS = 30.0  # until the broker or the portal answers
STALL_SECONDS = 60.0  # without anything new becoming durable
DRAIN_SECONDS = 60.0


class DemoStalled(FlurryFastError):
    """Nothing moves any more although every process runs."""


@dataclass
class Story:
    """What happened, for the verdict and the charts."""

    samples: list[Sample] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    sent: int = 0


class Stage:
    """Runs broker, portal, consumer and devices, kills the consumer on the way; leaves when everything is durable."""

    def __init__(
        self,
        options: DemoOptions,
        workspace: Workspace,
        ground: Ground,
        children: Children,
        screen: Screen,
    ) -> None:
        self._options = options
        self._workspace = workspace
        self._ground = ground
        self._children = children
        self._screen = screen
        self._watch = Watch(workspace)
        self._picture = Picture()
        self._kills: list[Kill] = []
        self._spared_until = 0.0
        self._broker: Child | None = None
        self._portal: Child | None = None
        self._simulator: Child | None = None
        self._consumer: Child | None = None

    def run(self) -> Story:
        """Everything up to the consumer's clean end. Raises ChildFailed or DemoStalled."""
        if self._ground.embedded:
            self._screen.phase("Starting the embedded broker, the portal, the consumer and the simulated devices")
            self._start_broker()
        else:
            self._screen.phase("Starting the portal, the consumer and the simulated devices")
        self._start_consumer()
        self._start_simulator(self._start_portal())
        self._screen.phase(self._traffic_sentence())
        self._run_traffic()
        self._screen.phase("Everything is sent: the portal drains and leaves; waiting until all is durable")
        self._end_portal()
        self._run_until_durable()
        self._screen.phase("Everything is durable: the consumer drains and leaves")
        self._end_consumer()
        return Story(self._watch.samples, self._kills, self._watch.samples[-1].sent)

    def _start_broker(self) -> None:
        config = str(self._workspace.config)
        self._broker = self._children.start(
            "broker", "broker", "--config", config, "--partitions", str(self._options.partitions)
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._workspace.broker_file.exists():
            self._broker.check()
            if time.monotonic() > deadline:
                raise self._broker.failure(f"did not answer within {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def _start_consumer(self) -> None:
        self._consumer = self._children.start("consumer", "consume", "--config", str(self._workspace.config))

    def _start_portal(self) -> str:
        """The portal's URL, once it listens."""
        self._portal = self._children.start("portal", "portal", "--config", str(self._workspace.config))
        deadline = time.monotonic() + START_SECONDS
        while (status := self._watch.portal_status(self._portal.pid)).get("phase") != "running":
            self._portal.check()
            if time.monotonic() > deadline:
                raise self._portal.failure(f"did not listen within {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        url = f"http://{status['address']}"
        self._screen.say(f"devices post to the portal at {url}")
        return url

    def _end_portal(self) -> None:
        """Before the broker ends, so that it has nothing to complain of."""
        assert self._portal is not None
        self._portal.expect_clean_exit(DRAIN_SECONDS)
        self._portal = None

    def _start_simulator(self, portal: str) -> None:
        options = self._options
        arguments = ["--config", str(self._workspace.config), "--seed", str(options.seed)]
        arguments += ["--http", portal, "--connections", str(DEVICES)]
        arguments += ["--apps", str(options.apps), "--rate", str(options.rate)]
        arguments += ["--reports", str(options.reports), "--manifest", str(self._workspace.manifest)]
        arguments += ["--malformed", MALFORMED, "--hostile", HOSTILE]
        if self._ground.embedded:
            arguments += ["--throttle-group", GROUP, "--throttle-bytes", THROTTLE]
        if options.captures is not None:
            arguments += ["--captures", str(options.captures)]
        self._simulator = self._children.start("simulator", "simulate", *arguments)

    def _traffic_sentence(self) -> str:
        real = "The captures (real agents' reports), then simulated devices" if self._options.captures else "Devices"
        kills = self._options.kills
        often = f"; kill -9 of the consumer {TIMES.get(kills, f'{kills} times')} on the way" if kills else ""
        return f"{real}: {self._options.rate:,} reports/s for {self._options.seconds:.0f} s{often}"

    def _run_traffic(self) -> None:
        due = self._kill_times()
        while self._running_simulator():
            self._tick()
            if due and self._watch.now() >= due[0] and self._ready_to_be_killed():
                due.pop(0)
                self._kill_consumer()
        self._workspace.manifest_complete.touch()
        for _ in due:  # the run was shorter than planned: the kills fall while the rest is read
            self._until(self._ready_to_be_killed, "the restarted consumer to read")
            self._kill_consumer()

    def _kill_times(self) -> list[float]:
        """One random moment in each of `kills` equal slices of the run, its very beginning and end left out."""
        kills, seconds = self._options.kills, self._options.seconds
        return [seconds * (0.1 + 0.8 * (place + random.random()) / kills) for place in range(kills)]

    def _ready_to_be_killed(self) -> bool:
        """It has been reading for a while: how long is left to chance."""
        return self._watch.samples[-1].up and self._watch.now() >= self._spared_until

    def _kill_consumer(self) -> None:
        assert self._consumer is not None
        self._consumer.check()
        sample = self._watch.samples[-1]
        self._consumer.kill()
        kill = Kill(sample.at, self._consumer.pid, sample.lag)
        self._kills.append(kill)
        self._picture.kills.append(f"{kill.at:.1f} s")
        self._screen.say(
            f"kill -9 of consumer {kill.pid} at {kill.at:.1f} s, {kill.lag:,} reports not durable; starting another"
        )
        self._start_consumer()

    def _run_until_durable(self) -> None:
        last = self._watch.samples[-1]
        self._until(lambda: self._watch.samples[-1].lag == 0 and last.sent > 0, "the consumer to catch up")

    def _end_consumer(self) -> None:
        assert self._consumer is not None
        self._tick()
        self._consumer.expect_clean_exit(DRAIN_SECONDS)
        self._watch.sample(self._consumer.pid)

    def _until(self, done: Callable[[], bool], waiting_for: str) -> None:
        """Ticks until `done`. Raises DemoStalled if nothing becomes durable or is absorbed for a long time."""
        moved, since = (-1, -1), time.monotonic()
        while True:
            self._tick()
            if done():
                return
            sample = self._watch.samples[-1]
            if (sample.durable, sample.absorbed) != moved:
                moved, since = (sample.durable, sample.absorbed), time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise DemoStalled(
                    f"Nothing moved for {STALL_SECONDS:.0f} s while waiting for {waiting_for}: {sample.lag:,} of "
                    f"{sample.sent:,} reports are not durable.",
                    way_out=f"The consumer's log is {self._workspace.log('consumer')}.",
                )

    def _running_simulator(self) -> bool:
        assert self._simulator is not None
        code = self._simulator.exit_code
        if code is not None and code != 0:
            self._simulator.check()
        return code is None

    def _tick(self) -> None:
        """Waits a moment, looks, shows. Raises ChildFailed if broker, portal or consumer are gone."""
        time.sleep(TICK_SECONDS)
        assert self._consumer is not None
        if self._broker is not None:
            self._broker.check()
        if self._portal is not None:
            self._portal.check()
        self._consumer.check()
        sample = self._watch.sample(self._consumer.pid, self._portal.pid if self._portal else None)
        self._note_return(sample)
        picture = self._picture
        picture.sample = sample
        picture.reports_per_second = self._watch.rate("absorbed")
        picture.data_points_per_second = self._watch.rate("data_points")
        picture.done = min(1.0, sample.durable / max(1, self._options.reports))
        picture.rates = per_second(self._watch.samples, self._kills)
        picture.apps = self._watch.busiest(BUSIEST)
        self._screen.show(picture)

    def _note_return(self, sample: Sample) -> None:
        if self._kills and self._kills[-1].back_after is None and sample.up:
            self._spared_until = sample.at + random.uniform(0.0, 2.0)
            self._kills[-1] = replace(self._kills[-1], back_after=sample.at - self._kills[-1].at)
            self._screen.say(f"the next consumer is reading, {self._kills[-1].back_after:.1f} s after the kill")


def per_second(samples: list[Sample], kills: list[Kill]) -> list[tuple[float, bool]]:
    """Reports absorbed in each whole second, and whether a kill fell into it.

    The consumer speaks once a second: what it has absorbed since its last word is spread over the second before.
    """
    if not samples:
        return []
    rates = [0.0] * int(samples[-1].at)
    for before, sample in pairwise(samples):
        share = (sample.absorbed - before.absorbed) * min(1.0, sample.at - int(sample.at))
        for second, part in ((int(sample.at), share), (int(sample.at) - 1, sample.absorbed - before.absorbed - share)):
            if 0 <= second < len(rates):
                rates[second] += part
    killed = {int(kill.at) for kill in kills}
    return [(rate, second in killed) for second, rate in enumerate(rates)]
