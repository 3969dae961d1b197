"""Switches that only tests can turn: seeded bugs and fail points.

An ordinary build has none: `seeded` is always false and `fail_point` does nothing, whatever the settings and the
environment say, because the native module lacks the switch (cargo feature `trials`; `make trials` builds with it).

The proof of exactness puts one bug in at a time and must notice it; it stops, kills or fails a process at every fail
point. docs/exactness.md lists both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flurry_fast import _core

_native: Any = _core if _core.build_info()["trials"] == "yes" else None
ENABLED = _native is not None
"""Whether this build has the switches."""

TRAPS: dict[str, str] = {
    "position_after_partial_flush": "A write that failed half-way is taken as done, and the position is put.",
    "false_ack_from_reused_connection": "After a failed write, the next one that fails is taken as acknowledged.",
    "flush_without_snapshot": "Blocks carry the offset at which the batch before ended, and hold the last batch, too.",
    "no_skip_rule": "A record that the stored block has is counted again.",
    "clean_blocks_written": "A flush writes every block in memory, those without a new record, too.",
    "dirty_blocks_evicted": "Eviction takes blocks that are not written yet.",
    "base_from_stale_replica": "A base that was read once is answered from that read for ever.",
    "reset_to_latest": "The counters of a partition without a position begin at the end of its log.",
    "absence_by_wall_clock": "An hour that is not over yet is taken to have no stored block.",
    "absence_after_eviction": "An evicted block of an hour that began here is still taken to have no stored cell.",
    "stale_m": "A position carries the highest bucket (M) of the position before it.",
    "m_of_another_sink": "Where the archive is ahead, the counters start at its position, with the M of their own.",
    "config_switched_by_wall_clock": "The caps become 1 once a process has run for a while.",
    "delete_with_default_timestamp": "Before a flush is sent again, what landed of it is deleted, at the time of day.",
    "put_without_timestamp": "The last, short chunk of a flush is written at the time of day.",
    "restored_without_rewind": "A fence keeps the generation: what still runs moves restored positions on.",
    "truncation_unchecked": "Neither the log's end nor the CRC of the record before a position is compared.",
    "recreated_topic_continued": "The topic is known by its name: one that is made again is the same.",
    "no_registry_read_before_put": "A flush writes without looking into the registry.",
    "delta_before_base": "Records are counted in a block while its base is being read.",
    "position_before_ack": "The positions of a flush are put before its blocks.",
    "archive_named_with_end": "A file of the archive has its end in its name, beside its start.",
    "archive_overwrites": "Claiming a name of the archive that is taken replaces the file that has it.",
    "ambiguous_claim_is_success": "A claim without an answer is taken as won.",
    "flush_abandoned_position_advanced": "A flush that failed is forgotten; the next one puts a position above it.",
    "rewind_counts_again": "A rewind that another sink asked for sets the counters back, too, blocks and all.",
    "reset_lowers_m": "A reset forgets the highest bucket (M) that was counted.",
    "dedup_rebuilt_empty": "A process that takes a partition over knows no session that came before.",
    "dedup_rebuilt_from_whole_archive": "Archived sessions above the position are taken to have come before.",
}
"""Seeded bugs, one for each trap of the list in docs/exactness.md: what each does."""

OWN: dict[str, str] = {
    "commit_taken_as_truth": "The counters start at what the group committed.",
    "conflict_swallowed": "An equal timestamp with other bytes is taken as written.",
    "counters_begun_before_archive": "At a first start, the counters begin before the archive.",
    "closing_ignored": "A process goes on although its plan is being closed.",
    "dedup_window_too_short": "Only sessions of the highest Kafka time below the position are known again.",
    "drain_reports_complete": "A revoke says that everything is written, whatever the sinks say.",
    "flushed_after_exception": "What was taken when the loop broke is written all the same.",
    "gap_keeps_m": "A recorded gap keeps the highest bucket (M) from below it.",
    "gap_in_offsets_passed": "A jump in the offsets is taken as if nothing were missing.",
    "generation_unchecked": "A process goes on although the store was restored, or positions were reset.",
    "lost_claim_advances": "A lost claim moves the archive's position as if it had been won.",
    "lost_claim_not_read_again": "After a lost claim, the records between are not read again.",
    "no_registry_read_before_claim": "The archive claims names without looking into the registry.",
    "packed_replaced": "What is added to a block that is put away replaces what it had, where both have a group.",
    "packed_taken_as_written": "A block that is put away as bytes is taken to be written.",
    "retention_skipped": "A position that retention has passed is moved to the log's start.",
    "stopped_sink_passed_over": "A sink that stopped does not hold back the commit.",
    "switch_forgets_m": "A plan that is opened again starts without the highest bucket (M) that it has counted in.",
    "x_at_position": "A plan ends where its positions stand, not where the log ended after it was closed.",
    "x_not_respected": "The old plan is run past the offset at which it ends.",
}
"""Seeded bugs that this design makes possible, beside the traps."""

BUGS: dict[str, str] = TRAPS | OWN
"""Every seeded bug; some are in the native code, some on both sides."""

# fmt: off
POINTS: tuple[str, ...] = (
    # native: a batch, the records in it, and a flush; an exception here unwinds as a panic
    "engine.absorb.before", "engine.absorb.inside", "engine.absorb.after",
    "engine.decode.before", "engine.decode.inside", "engine.decode.after",
    "engine.fold.before", "engine.fold.inside", "engine.apply.inside",
    "engine.resume.before", "engine.resume.inside", "engine.resume.after",
    "engine.freeze.before", "engine.freeze.inside", "engine.acknowledge.inside",
    # the loop
    "loop.batch.before", "loop.batch.after", "loop.stop.before", "loop.stop.after",
    "commit.async.before", "commit.async.after", "commit.sync.before", "commit.sync.after",
    # a partition comes, goes, is read again
    "assignment.assign.before", "assignment.locate.after", "assignment.begin.inside", "assignment.begin.after",
    "assignment.start.inside", "past.recall.before", "past.recall.inside", "past.recall.after",
    "assignment.assign.after",
    "assignment.revoke.before", "assignment.drain.inside", "assignment.drain.after", "assignment.release.inside",
    "assignment.revoke.after", "assignment.lost.before", "assignment.lost.after",
    "assignment.rewind.before", "assignment.rewind.inside", "assignment.rewind.after",
    # the registry's one read, and a transaction of the SQLite store
    "registry.verify.before", "registry.verify.inside", "registry.verify.after",
    "store.commit.before", "store.commit.after",
    # counters
    "counters.begin.before", "counters.begin.after",
    "counters.base.before", "counters.base.after", "counters.base.inside",
    "counters.freeze.after", "counters.chunk.before", "counters.chunk.after", "counters.chunk.noted",
    "counters.position.before", "counters.position.after",
    "counters.ack.before", "counters.ack.inside", "counters.ack.after",
    "counters.shed.before", "counters.shed.inside", "counters.shed.after",
    "counters.recover.before", "counters.recover.after",
    # archive: the origin, a file from its rows to its name, a claim that another won
    "archive.origin.before", "archive.origin.after", "archive.locate.inside",
    "archive.take.before", "archive.take.after",
    "archive.file.before", "archive.file.inside", "archive.file.after", "archive.durable.after",
    "archive.claim.before", "files.link.after", "files.claim.durable", "archive.claim.after",
    "archive.ack.before", "archive.ack.after", "archive.follow.before", "archive.follow.after",
    "archive.shed.before", "archive.shed.after", "archive.recover.before", "archive.recover.after",
)
"""Every fail point, `room.step.when`: before, inside or after the step, or a word for the moment."""
# fmt: on

if _native is None:

    def seeded(bug: str) -> bool:  # noqa: ARG001
        """Whether this bug is in: never."""
        return False

    def fail_point(name: str) -> None:
        """Nothing."""

else:
    _seeded: str | None = None
    _handlers: list[Callable[[str], None]] = []

    def seeded(bug: str) -> bool:
        """Whether this bug is in."""
        return _seeded == bug

    def fail_point(name: str) -> None:
        """Tell the handler that this place is passed; whatever it does happens here."""
        for handler in _handlers:
            handler(name)


def bugs() -> list[str]:
    """Every bug that can be put in, native ones included; empty in an ordinary build."""
    return sorted(BUGS) if ENABLED else []


def seed(bug: str | None) -> None:
    """Put one bug in, instead of whichever is in; None takes it out. Raises ValueError if there is no such bug."""
    global _seeded
    if bug is not None and bug not in bugs():
        raise ValueError(f"no bug {bug!r} can be put into this build")
    if _native is not None:
        _native._trial_seed(bug if bug is None or bug in _native._trial_bugs() else None)
        _seeded = bug


def on_fail_point(handler: Callable[[str], None]) -> None:
    """Call `handler(name)` at every fail point from now on, native ones included. Does nothing in an ordinary build.

    What the handler raises at a native fail point unwinds as a panic of the native code would.
    """
    if _native is not None:
        _handlers[:] = [handler]
        _native._trial_hook(fail_point)
