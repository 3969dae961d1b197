"""Health means progress: member of the group, turning, writing, committing; not merely alive."""

from __future__ import annotations

from flurry_fast.consumer.state import LoopState


def problems(state: LoopState, now: float, bound: float, lag: dict[int, int | None]) -> list[str]:
    """Why the consumer is not well, in sentences; empty if it is.

    `now`: monotonic seconds. `bound`: for how many seconds no progress is still normal. `lag`: records in the log that
    are not durable yet, by partition.
    """
    found = []
    if state.phase == "running" and now - state.turned > bound:
        found.append(f"The loop has not turned for {now - state.turned:.0f} s.")
    if state.member is False:
        found.append("It is not a steady member of its consumer group.")
    failing = state.commits_failing_since
    if failing is not None and now - failing > bound:
        found.append(f"No commit was confirmed for {now - failing:.0f} s.")
    for sink in state.sinks:
        if sink.failing_since is not None and now - sink.failing_since > bound:
            found.append(
                f"The {sink.name} sink has been failing for {now - sink.failing_since:.0f} s: {sink.last_error}"
            )
        if sink.oldest_unwritten is not None and now - sink.oldest_unwritten > bound:
            found.append(f"The {sink.name} sink holds a record that waits for {now - sink.oldest_unwritten:.0f} s.")
    for number, partition in state.partitions.items():
        found += [
            f"Partition {number} is stopped for the {sink}: {reason}" for sink, reason in partition.stopped.items()
        ]
        if partition.waiting_for is not None:
            found.append(f"Partition {number} can not be started: {partition.waiting_for}")
    behind = any(count for count in lag.values() if count)
    quiet = state.last_record is not None and now - state.last_record > bound
    waiting = any(sink.oldest_unwritten is not None for sink in state.sinks)
    if behind and quiet and not waiting and not any(p.stopped for p in state.partitions.values()):
        found.append("There are records in the log, but none were taken for a while.")
    return found
