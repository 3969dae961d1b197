//! Records in: each is read once, in order, for both sinks.

use super::needs::{Asker, Deferred, Open};
use super::partition::{Counters, Partition};
use super::sink::{Record, ReportSink};
use super::{Engine, EngineError, PartitionStop, StopKind};
use crate::clock::{self, receive_ms};
use crate::counters::blocks::Blocks;
use crate::counters::{Fates, Gate, Ops, Program};
use crate::crc::crc32c;
use crate::reason::Reason;
use crate::report::Report;
use crate::trials::{self, Bug};
use crate::wire::{self, Limits};

/// Which parts of a record are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Those whose blocks are known; the others are deferred.
    First,
    /// Those that were deferred.
    Again,
}

/// Everything that a batch needs while it lasts.
struct Scratch<'b> {
    limits: Limits,
    report: Report<'b>,
    ops: Ops<'b>,
}

impl Scratch<'_> {
    fn new() -> Self {
        Self {
            limits: Limits::default(),
            report: Report::default(),
            ops: Ops::default(),
        }
    }
}

impl<S: ReportSink> Engine<S> {
    /// Takes a batch. Afterwards `needs` may name stored cells that must be
    /// seeded, and then the same batch goes into `resume`.
    pub fn absorb<'b>(
        &mut self,
        records: impl Iterator<Item = Record<'b>>,
    ) -> Result<(), EngineError> {
        self.no_open_needs("absorb")?;
        self.check_recalled()?;
        trials::fail_point("engine.absorb.before");
        self.turn += 1;
        for part in &mut self.partitions {
            part.batch_start = part.next;
        }
        let mut open = Open::default();
        let mut scratch = Scratch::new();
        for (index, record) in records.enumerate() {
            self.take(index, &record, &mut scratch, &mut open);
        }
        trials::fail_point("engine.absorb.inside");
        self.blocks.apply(&self.program, &mut scratch.ops);
        trials::fail_point("engine.absorb.after");
        self.stats.deferred += open.deferred.len() as u64;
        if !open.groups.is_empty() {
            self.open = Some(open);
        }
        self.check_room()
    }

    /// Counts what was deferred, from the same batch as the last `absorb`.
    pub fn resume<'b>(
        &mut self,
        records: impl Iterator<Item = Record<'b>>,
    ) -> Result<(), EngineError> {
        let mut open = self.close_needs()?;
        trials::fail_point("engine.resume.before");
        let deferred = std::mem::take(&mut open.deferred);
        let mut deferred = deferred.iter().peekable();
        let mut scratch = Scratch::new();
        for (index, record) in records.enumerate() {
            self.check_again(&record);
            if let Some(wait) = deferred.next_if(|wait| wait.index == index) {
                if (wait.partition, wait.offset) != (record.partition, record.offset) {
                    return Err(EngineError::misuse("resume: another batch than absorb's"));
                }
                let fates = open.fates.get(wait.fates.0..wait.fates.1);
                self.fates.recall(fates.unwrap_or_default());
                self.take_again(wait, &record, &mut scratch);
            }
        }
        if deferred.next().is_some() {
            return Err(EngineError::misuse("resume: another batch than absorb's"));
        }
        self.blocks.apply(&self.program, &mut scratch.ops);
        for block in open.groups.iter().flat_map(|group| &group.blocks) {
            if let Some(block) = self.blocks.get_mut(*block) {
                block.pending = false;
            }
        }
        self.give_back();
        trials::fail_point("engine.resume.after");
        self.check_room()
    }

    /// What nobody told would be missing among the sessions that are known.
    fn check_recalled(&self) -> Result<(), EngineError> {
        for part in &self.partitions {
            if let Some(counters) = part.counters.as_ref().filter(|c| !c.asleep) {
                let missing = counters.missing_from();
                if missing < counters.next && missing < part.next && !part.stopped {
                    return Err(EngineError::misuse(format!(
                        "absorb: partition {} goes on at {}, and nobody recalled record {missing}",
                        part.number, part.next
                    )));
                }
            }
        }
        Ok(())
    }

    /// Without room groups were lost: then nothing may leave the engine any more.
    pub(super) fn check_room(&self) -> Result<(), EngineError> {
        if self.blocks.is_full() {
            Err(EngineError::TableFull)
        } else {
            Ok(())
        }
    }

    /// One record on its first pass.
    fn take<'b>(
        &mut self,
        index: usize,
        record: &Record<'b>,
        scratch: &mut Scratch<'b>,
        open: &mut Open,
    ) {
        let Some(at) = self.locate(record.partition) else {
            self.stats.ignored += 1;
            return;
        };
        let Some(part) = self.partitions.get_mut(at).filter(|part| !part.stopped) else {
            self.stats.ignored += 1;
            return;
        };
        if record.offset > part.next && trials::seeded(Bug::GapInOffsetsPassed) {
            part.jump(record.offset);
        }
        if record.offset != part.next {
            let detail = format!("record {} came where {} was due", record.offset, part.next);
            self.stops.push(stop(part, StopKind::GapInOffsets, detail));
            return;
        }
        let wanted = part.wants(record.offset);
        let (outcome, crc) = if wanted {
            self.stats.records += 1;
            self.stats.bytes += record.payload.len() as u64;
            trials::fail_point("engine.decode.before");
            let outcome = read(record.payload, scratch);
            trials::fail_point("engine.decode.after");
            (outcome, crc32c(record.payload))
        } else {
            self.stats.passed_by += 1;
            (Err(Reason::Truncated), 0)
        };
        if part.expects(record.offset) {
            let crc = if wanted { crc } else { crc32c(record.payload) };
            if let Some(known) = part.contradiction(record.offset, crc) {
                self.stops.push(truncated(part, record.offset, known, crc));
                return;
            }
        }
        part.next += 1;
        if !wanted {
            return;
        }
        if let Err(reason) = outcome {
            self.stats.note_unreadable(reason);
        }
        if let Some(archive) = &mut part.archive {
            let report = outcome.map(|()| &scratch.report);
            self.stats.archived += u64::from(archive.take(record, report, crc));
        }
        trials::fail_point("engine.fold.before"); // the archive has it, the counters have not
        let time = receive_ms(record.timestamp_ms);
        let Some(counters) = part.counters.as_mut() else {
            return;
        };
        let recalls = counters.recalls(record.offset);
        if !recalls && !counters.counts(record.offset) {
            return;
        }
        // Decided here, once, whatever becomes of the record's blocks.
        match outcome {
            Ok(()) => self.fates.find(scratch.report.spans()),
            Err(_) => self.fates.clear(),
        }
        if let Some(dedup) = &mut counters.dedup {
            let report = &scratch.report;
            let device = self.fingerprints.device(report.api_key, report.device_id());
            let print = |start_ms| device.session(start_ms).cast_unsigned();
            dedup.meet(time, &mut self.fates, print);
        }
        if recalls {
            self.stats.recalled += 1;
            if counters.missing_from() == counters.next {
                self.stops.extend(part.note_recalled());
            }
        } else {
            let mut fold = Fold {
                program: &self.program,
                blocks: &mut self.blocks,
                counters,
                open,
                stats: &mut self.stats,
                asker: Asker {
                    plan: self.plan.id,
                    incarnation: self.incarnation,
                    partition: record.partition,
                    epoch: part.epoch,
                },
                offset: record.offset,
                timestamp: time,
                turn: self.turn,
                pass: Pass::First,
                deferred: false,
            };
            let tally = fold.fold(&mut self.emitter, outcome, &self.fates, scratch);
            let is_deferred = fold.deferred;
            self.stats.counted += 1;
            self.stats.sessions += tally.sessions;
            self.stats.data_points += tally.data_points;
            self.stats.repeated += tally.repeated;
            self.stats.duplicates += tally.duplicates;
            self.stats.superseded += tally.superseded;
            counters.next += 1;
            counters.crc = Some(crc);
            counters.passed.note(crc);
            counters.max_timestamp = counters.max_timestamp.max(time);
            counters.raise_bucket(tally.max_bucket);
            if is_deferred {
                let first = open.fates.len();
                open.fates.extend_from_slice(self.fates.all());
                open.deferred.push(Deferred {
                    index,
                    partition: record.partition,
                    offset: record.offset,
                    epoch: part.epoch,
                    fates: (first, open.fates.len()),
                });
            }
        }
    }

    /// A block that was read names the CRC of a record that this batch brought.
    fn check_again(&mut self, record: &Record<'_>) {
        let Some(part) = self
            .locate(record.partition)
            .and_then(|at| self.partitions.get_mut(at))
            .filter(|part| !part.stopped && record.offset < part.next)
        else {
            return;
        };
        if part.expects(record.offset) {
            let crc = crc32c(record.payload);
            if let Some(known) = part.contradiction(record.offset, crc) {
                self.stops.push(truncated(part, record.offset, known, crc));
            }
        }
    }

    /// One deferred record.
    fn take_again<'b>(&mut self, wait: &Deferred, record: &Record<'b>, scratch: &mut Scratch<'b>) {
        let Some(part) = self
            .locate(record.partition)
            .and_then(|at| self.partitions.get_mut(at))
            .filter(|part| part.epoch == wait.epoch && !part.stopped)
        else {
            return; // dropped, shed or stopped meanwhile
        };
        let Some(counters) = &mut part.counters else {
            return;
        };
        trials::fail_point("engine.resume.inside");
        let outcome = read(record.payload, scratch);
        let mut fold = Fold {
            program: &self.program,
            blocks: &mut self.blocks,
            counters,
            open: &mut Open::default(),
            stats: &mut self.stats,
            asker: Asker {
                plan: self.plan.id,
                incarnation: self.incarnation,
                partition: record.partition,
                epoch: wait.epoch,
            },
            offset: record.offset,
            timestamp: receive_ms(record.timestamp_ms),
            turn: self.turn,
            pass: Pass::Again,
            deferred: false,
        };
        fold.fold(&mut self.emitter, outcome, &self.fates, scratch);
    }

    #[inline]
    fn locate(&mut self, partition: i32) -> Option<usize> {
        let last = self.partitions.get(self.last_partition);
        if last.is_some_and(|part| part.number == partition) {
            return Some(self.last_partition);
        }
        let at = self.position_of(partition)?;
        self.last_partition = at;
        Some(at)
    }
}

/// Reads a payload into the scratch report.
fn read<'b>(payload: &'b [u8], scratch: &mut Scratch<'b>) -> Result<(), Reason> {
    wire::decode(payload, &scratch.limits, &mut scratch.report)
}

#[cold]
fn stop<S>(part: &mut Partition<S>, kind: StopKind, detail: String) -> PartitionStop {
    part.stopped = true;
    PartitionStop {
        partition: part.number,
        kind,
        detail,
    }
}

#[cold]
pub(super) fn truncated<S>(
    part: &mut Partition<S>,
    offset: i64,
    known: u32,
    found: u32,
) -> PartitionStop {
    let detail = format!(
        "record {offset} has CRC {found:08x}, it had {known:08x} when it was read before: the log was truncated or replaced"
    );
    stop(part, StopKind::Truncated, detail)
}

/// One record on its way into blocks.
struct Fold<'e> {
    program: &'e Program,
    blocks: &'e mut Blocks,
    counters: &'e mut Counters,
    open: &'e mut Open,
    stats: &'e mut super::Stats,
    asker: Asker,
    offset: i64,
    timestamp: i64,
    turn: u64,
    pass: Pass,
    deferred: bool,
}

impl Fold<'_> {
    fn fold<'b>(
        &mut self,
        emitter: &mut crate::counters::Emitter,
        outcome: Result<(), Reason>,
        fates: &Fates,
        scratch: &mut Scratch<'b>,
    ) -> crate::counters::Tally {
        let Scratch { report, ops, .. } = scratch;
        let program = self.program;
        let tally = match outcome {
            Ok(()) => {
                let report = (&*report, fates.all());
                emitter.report(program, ops, report, self.timestamp, self)
            }
            Err(reason) => emitter.unreadable(program, ops, reason, self.timestamp, self),
        };
        ops.end_of_report(|ops| self.blocks.apply(program, ops));
        tally
    }

    /// The rules of exactly-once.md, block by block: base before count, skip
    /// what the stored cell has, each record once.
    fn admits(&mut self, id: u32) -> bool {
        let Some(block) = self.blocks.get_mut(id) else {
            return false;
        };
        match (self.pass, block.pending) {
            (Pass::First, true) if !trials::seeded(Bug::DeltaBeforeBase) => {
                self.deferred = true;
                return false;
            }
            (Pass::Again, false) => return false,
            _ => {}
        }
        if self.offset < block.base && !trials::seeded(Bug::NoSkipRule) {
            self.stats.skipped += 1;
            return false;
        }
        block.touched = self.offset;
        block.turn = self.turn;
        if self.blocks.set_dirty(id, true) {
            self.counters.dirty.push(id);
        }
        trials::fail_point("engine.fold.inside");
        let oldest = self.counters.oldest_unflushed.get_or_insert(self.timestamp);
        *oldest = (*oldest).min(self.timestamp);
        true
    }

    fn create(&mut self, print: u128, api_key: &[u8], bucket: u32) -> u32 {
        let mut absent = self.counters.proves_absent(bucket);
        if trials::seeded(Bug::AbsenceByWallClock) {
            absent |= bucket >= clock::bucket(self.timestamp);
        }
        let partition = self.asker.partition;
        let id = self
            .blocks
            .create(self.program, print, partition, api_key, bucket, !absent);
        if absent {
            self.stats.proved_absent += 1;
        } else {
            self.stats.base_reads += 1;
            self.open.need(self.asker, id, api_key, bucket);
        }
        id
    }
}

impl<'b> Gate<'b> for Fold<'_> {
    fn admit(&mut self, api_key: &[u8], app: u128, bucket: u32) -> Option<(u32, u128)> {
        let print = Blocks::print(self.program, app, self.asker.partition, bucket);
        let id = match (self.blocks.find(print), self.pass) {
            (Some(id), _) => id,
            (None, Pass::First) => self.create(print, api_key, bucket),
            (None, Pass::Again) => return None,
        };
        self.admits(id).then(|| (id, self.blocks.groups_print(id)))
    }

    fn apply(&mut self, ops: &mut Ops<'b>) {
        self.blocks.apply(self.program, ops);
    }
}
