"""From settings to a running consumer: the one place where the real parts are put together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib import resources
from types import FrameType
from typing import Any

import structlog
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from flurry_fast._core import Engine, Plan, PlanError
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.files import is_remote, open_files
from flurry_fast.archive.filesystem import ArchiveFileSystem
from flurry_fast.broker import BrokerNotRunning
from flurry_fast.config.model import Kafka, PlanFile, Settings
from flurry_fast.consumer.allocator import give_large_pieces_back
from flurry_fast.consumer.loop import Consumer
from flurry_fast.consumer.membership import find_membership
from flurry_fast.consumer.monitor import Monitor
from flurry_fast.consumer.ports import Source
from flurry_fast.consumer.source import KafkaSource
from flurry_fast.consumer.state import LoopState
from flurry_fast.consumer.topic import check_topic
from flurry_fast.errors import ConfigError, ConfigProblem
from flurry_fast.kafka import Cluster, KafkaUnavailable, TopicIdentity, client_config
from flurry_fast.metrics import Metrics, serve
from flurry_fast.ports import Clock, InlineCrew, SystemClock, ThreadCrew, ThreadWorker, Worker
from flurry_fast.registry import Registration, Registry
from flurry_fast.sinks.archive import ArchiveSink
from flurry_fast.sinks.base import Sink
from flurry_fast.sinks.counters import CountersSink
from flurry_fast.stores import CellStore, open_store

DRAIN_SHARE = 3  # a revoke may spend a third of the session time-out on writing


def consume(settings: Settings, stop: Callable[[], bool]) -> None:
    """Consume until `stop()`. Raises FlurryFastError when it can not start or go on."""
    log = structlog.get_logger("flurry_fast")
    clock = SystemClock()
    plan = load_plan(settings.plan)
    cluster, identity = find_topic(settings.kafka)
    check_topic(settings.kafka)
    membership = find_membership(settings.kafka)
    kafka = settings.kafka.model_copy(update={"protocol": membership.protocol})
    with ExitStack() as stack:
        store = open_store(settings.counters)
        stack.callback(store.close)
        store.check()
        registry = Registry(store, settings.kafka.topic, cluster.incarnation)
        registration = registry.open(plan.id, plan.toml, identity.partitions)
        monitor = Monitor(
            clock,
            LogEnds(settings.kafka),
            bound=settings.consume.unhealthy_after,
            status_file=settings.consume.status_file,
            budget=settings.consume.memory,
        )
        metrics = Metrics(monitor, clock)
        if settings.metrics.port:
            stack.callback(serve(settings.metrics, metrics, monitor))
        log.info(
            "starting",
            topic=registration.topic,
            partitions=registration.partitions,
            incarnation=f"{registration.incarnation:08x}",
            generation=registration.generation,
            plan=f"{registration.plan:08x}",
            store=settings.counters.store.partition(":")[0],
            sinks=list(settings.consume.sinks),
            first_start=registration.new_incarnation,
        )
        give_large_pieces_back()
        engine = make_engine(settings, plan, registration)
        files = open_files(settings.archive)
        sinks = make_sinks(settings, engine, store, registry, registration, clock, files=files)
        for sink in sinks:
            sink.observe = metrics.observe
        source = KafkaSource(kafka, statistics_interval_ms=2000, session=membership.session)
        consumer = assemble(
            settings, source, engine, sinks, registry, registration, clock,
            session=membership.session, publish=monitor.publish, files=files,
        )  # fmt: skip
        monitor.start()
        stack.callback(monitor.close)
        consumer.run(stop)
    log.info("stopped", records=monitor.state.records)


def make_engine(settings: Settings, plan: Plan, registration: Registration) -> Engine:
    """An engine that feeds the sinks of the settings."""
    return Engine(
        plan,
        incarnation=registration.incarnation,
        secret=registration.secret,
        counters="counters" in settings.consume.sinks,
        archive="archive" in settings.consume.sinks,
    )


def make_sinks(
    settings: Settings,
    engine: Engine,
    store: CellStore,
    registry: Registry,
    registration: Registration,
    clock: Clock,
    worker: Callable[[str], Worker] = ThreadWorker,
    files: ArchiveFileSystem | None = None,
) -> list[Sink[Any]]:
    """The sinks of the settings, each with a worker of its own. A new kind of sink is registered here.

    `files` is the archive's file system, of the settings if not given.
    """

    def archive() -> Sink[Any]:
        topic, place = settings.kafka.topic, worker("archive")
        crew = ThreadCrew("archive", settings.archive.parallel_files) if is_remote(settings.archive) else InlineCrew()
        return ArchiveSink(engine, settings.archive, topic, registry, registration, place, clock, files, crew=crew)

    def counters() -> Sink[Any]:
        return CountersSink(engine, settings.counters, store, registry, registration, worker("counters"), clock)

    kinds: dict[str, Callable[[], Sink[Any]]] = {"archive": archive, "counters": counters}
    return [make() for name, make in kinds.items() if name in settings.consume.sinks]


def assemble(
    settings: Settings,
    source: Source,
    engine: Engine,
    sinks: Sequence[Sink[Any]],
    registry: Registry,
    registration: Registration,
    clock: Clock,
    *,
    session: float | None = None,
    publish: Callable[[LoopState], None] = lambda _: None,
    files: ArchiveFileSystem | None = None,
) -> Consumer:
    """The loop from parts that are given, real or not; nothing is read yet. `files` as in `make_sinks`; `session`: the
    time-out that is in force (seconds; None: kafka.session_timeout)."""
    archived = open_files(settings.archive) if files is None else files
    return Consumer(
        settings.consume,
        source,
        engine,
        sinks,
        registration,
        registry.positions(registration),
        clock,
        archive=lambda partition: Chain(archived, registration.topic, registration.incarnation, partition),
        verify=lambda: registry.verify(registration),
        drain_seconds=settings.consume.drain_timeout or (session or settings.kafka.session_timeout) / DRAIN_SHARE,
        publish=publish,
    )


def load_plan(settings: PlanFile) -> Plan:
    """The plan of the settings, compiled. Raises ConfigError with the file, the plan's key and the reason."""
    if settings.path is None:
        text, source = resources.files("flurry_fast").joinpath("plans/default.toml").read_text("utf-8"), "default plan"
    else:
        source = str(settings.path)
        try:
            text = settings.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([ConfigProblem(source, "", f"can not be read ({error})")]) from None
    try:
        return Plan.parse(text)
    except PlanError as error:
        raise ConfigError([ConfigProblem(source, error.key, error.reason)]) from None


class StopSignals:
    """SIGTERM and SIGINT ask for an orderly end; a second one of them ends the process at once (which is legal)."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self._stop.is_set()

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._stop.set()


class LogEnds:
    """Asks the broker where partitions end: all of them in one request, on a connection of its own."""

    def __init__(self, kafka: Kafka) -> None:
        self._topic = kafka.topic
        self._timeout = kafka.request_timeout
        self._admin = AdminClient(client_config(kafka))

    def __call__(self, partitions: set[int]) -> Mapping[int, int]:
        """Partition -> next offset to be written. Raises KafkaUnavailable."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(self._topic, number): latest for number in partitions}
        try:
            futures = self._admin.list_offsets(asked, request_timeout=self._timeout)
            return {item.partition: future.result(self._timeout + 1).offset for item, future in futures.items()}
        except (KafkaException, TimeoutError) as error:
            raise KafkaUnavailable(f"The ends of topic {self._topic} can not be asked: {error}.") from None


def find_topic(kafka: Kafka) -> tuple[Cluster, TopicIdentity]:
    """The brokers and the topic; waits for a broker that is just starting, up to kafka.connect_timeout.

    Raises KafkaUnavailable, BrokerNotRunning, TopicMissing.
    """
    log = structlog.get_logger("flurry_fast")

    def ask() -> tuple[Cluster, TopicIdentity]:
        cluster = Cluster(kafka)
        return cluster, cluster.describe()

    def tell(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            log.warning("waiting for the broker", seconds=kafka.connect_timeout, reason=str(state.outcome.exception()))

    retrying = Retrying(
        retry=retry_if_exception_type((KafkaUnavailable, BrokerNotRunning)),
        stop=stop_after_delay(kafka.connect_timeout),
        wait=wait_exponential(multiplier=0.1, max=2.0),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(ask)
