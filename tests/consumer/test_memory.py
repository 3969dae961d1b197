"""One budget: evict, flush, pause, shed, resume."""

from simulated import RecordingEngine, SimulatedSource, StubArchive, StubSink

from flurry_fast.consumer.memory import Governor


def make() -> tuple[RecordingEngine, SimulatedSource, StubSink, StubArchive, Governor]:
    engine, source, counters, archive = RecordingEngine(), SimulatedSource({}), StubSink({}), StubArchive({})
    source.reading = {0: 0, 1: 0}
    return engine, source, counters, archive, Governor(engine, source, [counters, archive], 1000)


def test_nothing_happens_below_the_marks() -> None:
    engine, source, counters, archive, governor = make()
    engine.blocks, engine.archive, counters.unwritten, archive.unwritten = 500, 149, 450, 149
    assert governor.poll(lambda: {0, 1}) == 649
    assert (counters.flushed, archive.flushed, engine.blocks, source.paused) == (0, 0, 500, set())


def test_a_sink_with_more_than_its_share_is_written_unless_it_is_being_written() -> None:
    engine, _, counters, archive, governor = make()
    engine.archive, archive.unwritten, counters.unwritten = 200, 200, 300
    archive.in_flight = True
    governor.poll(lambda: {0, 1})
    assert (counters.flushed, archive.flushed) == (0, 0)
    archive.in_flight = False
    governor.poll(lambda: {0, 1})
    assert (counters.flushed, archive.flushed) == (0, 1)


def test_the_largest_is_flushed_and_crumbs_are_not() -> None:
    engine, _, counters, archive, governor = make()
    counters.held, engine.archive, counters.unwritten, archive.unwritten = 690, 190, 90, 190
    governor.poll(lambda: {0, 1})
    assert (counters.flushed, archive.flushed) == (0, 1)
    archive.unwritten = 0
    governor.poll(lambda: {0, 1})
    assert (counters.flushed, archive.flushed) == (0, 1)


def test_blocks_stay_in_their_share() -> None:
    engine, source, counters, archive, governor = make()
    engine.blocks, counters.unwritten = 600, 600
    assert governor.poll(lambda: {0, 1}) == 500
    assert governor.evicted == 100
    assert (counters.flushed, archive.flushed, source.paused) == (0, 0, set())


def test_blocks_do_with_less_when_everything_together_is_too_much() -> None:
    engine, _, counters, archive, governor = make()
    engine.blocks, engine.archive, archive.unwritten, counters.held = 400, 190, 190, 300
    governor.poll(lambda: {0, 1})
    assert engine.evictions == [360]
    assert (counters.flushed, archive.flushed) == (0, 0)


def test_partitions_pause_and_resume() -> None:
    _, source, counters, _, governor = make()
    counters.held = 950
    governor.poll(lambda: {0})
    assert source.paused == {0}
    counters.held = 900
    governor.poll(lambda: {0, 1})
    assert source.paused == {0}
    counters.held = 870
    governor.poll(lambda: {0, 1})
    assert source.paused == set()
    assert governor.paused == set()


def test_a_revoked_partition_is_forgotten() -> None:
    _, _, counters, _, governor = make()
    counters.held = 950
    governor.poll(lambda: {0, 1})
    governor.forget({0})
    assert governor.paused == {1}
    governor.poll(lambda: {0, 1})
    assert governor.paused == {0, 1}


def test_a_sink_that_fails_sheds_and_a_healthy_one_does_not() -> None:
    engine, _, counters, archive, governor = make()
    engine.archive, archive.shed_bytes, archive.failing = 950, 900, 1.0
    counters.shed_bytes = 5
    governor.poll(lambda: {0, 1})
    assert (archive.shed_bytes, counters.shed_bytes) == (0, 5)
    assert governor.sheds == 1


def test_a_sink_that_begins_to_fail_once_all_is_paused_sheds_and_the_others_go_on() -> None:
    engine, source, _, archive, governor = make()
    engine.archive = 950
    governor.poll(lambda: {0, 1})
    engine.archive = 900  # between the marks: nothing more is taken, and nothing ends by itself
    archive.shed_bytes, archive.failing = 700, 1.0
    governor.poll(lambda: {0, 1})
    assert governor.sheds == 1
    engine.archive = 100
    governor.poll(lambda: {0, 1})
    assert source.paused == set()
