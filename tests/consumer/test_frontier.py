"""The commit is the minimum of what is durable everywhere, and a hint that is believed only of this very log."""

from simulated import REGISTRATION, SimulatedSource, StubArchive, StubSink

from flurry_fast.consumer.frontier import Frontier, commit_metadata
from flurry_fast.positions import ArchivePosition, CountersPosition


def make() -> tuple[SimulatedSource, StubSink, StubArchive, Frontier]:
    source, counters, archive = SimulatedSource({}), StubSink({}), StubArchive({})
    return source, counters, archive, Frontier(source, [counters, archive], REGISTRATION)


def test_the_minimum_over_the_sinks_is_committed_once() -> None:
    source, counters, archive, frontier = make()
    counters.assign(0, CountersPosition(10))
    archive.assign(0, ArchivePosition(7))
    frontier.commit([0])
    assert source.commits == {0: (7, commit_metadata(REGISTRATION.incarnation, REGISTRATION.store_id))}
    source.commits.clear()
    frontier.commit([0])
    assert source.commits == {}
    archive.assign(0, ArchivePosition(12))
    frontier.commit([0])
    assert source.commits[0][0] == 10
    assert frontier.committed(0) == 10


def test_a_sink_without_a_position_holds_the_commit_back() -> None:
    source, counters, archive, frontier = make()
    counters.assign(0, CountersPosition(10))
    assert frontier.durable(0) is None
    frontier.commit([0, 1])
    assert source.commits == {}
    archive.assign(0, ArchivePosition(3))
    assert frontier.durable(0) == 3


def test_a_partition_that_comes_back_is_committed_again() -> None:
    source, counters, archive, frontier = make()
    for _ in range(2):
        counters.assign(0, CountersPosition(10))
        archive.assign(0, ArchivePosition(10))
        frontier.commit([0])
        assert source.commits.pop(0)[0] == 10
        frontier.forget([0])


def test_only_commits_of_this_incarnation_and_store_are_hints() -> None:
    source, _, _, frontier = make()
    source.commits = {
        0: (5, commit_metadata(REGISTRATION.incarnation, REGISTRATION.store_id)),
        1: (6, ""),
        2: (7, '{"incarnation":"00000008"}'),
    }
    assert frontier.hints([0, 1, 2, 3]) == {0: 5}
