//! Records in: each is read once, in order, for both sinks.

use flurry_hints as hints;

use super::fold::{Fold, Pass, Record as Waiting, Records};
use super::needs::{Deferred, Open};
use super::partition::Partition;
use super::sink::{Record, ReportSink};
use super::{Engine, EngineError, PartitionStop, StopKind};
use crate::clock::receive_ms;
use crate::counters::{Gate, Ops, Origin, Tally};
use crate::crc::crc32c;
use crate::reason::Reason;
use crate::report::Report;
use crate::trials::{self, Bug};
use crate::wire::{self, Limits};

/// Bytes of a record that are asked for while the one before it is counted:
/// nearly all of most, and what a processor can have under way at once.
const AHEAD: usize = 1_024;

/// Everything that a batch needs while it lasts.
struct Scratch<'b> {
    limits: Limits,
    report: Report<'b>,
    ops: Ops<'b>,
    /// Those whose operations wait in `ops`.
    records: Records<'b>,
    /// By the place of a partition: its last record, if counters still have to
    /// note the CRC-32C of it.
    unsealed: Vec<Option<&'b [u8]>>,
}

impl Scratch<'_> {
    fn new() -> Self {
        Self {
            limits: Limits::default(),
            report: Report::default(),
            ops: Ops::default(),
            records: Records::default(),
            unsealed: Vec::new(),
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
        scratch.unsealed.resize(self.partitions.len(), None);
        let mut records = records.enumerate().peekable();
        while let Some((index, record)) = records.next() {
            if let Some((_, next)) = records.peek() {
                hints::begins_soon(next.payload, AHEAD);
            }
            self.take(index, &record, &mut scratch, &mut open);
        }
        trials::fail_point("engine.absorb.inside");
        self.apply_waiting(&mut scratch, &mut open, Pass::First);
        self.seal(&scratch.unsealed);
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
        let mut nothing = Open::default(); // no block is made the second time
        for (index, record) in records.enumerate() {
            self.check_again(&record);
            if let Some(wait) = deferred.next_if(|wait| wait.index == index) {
                if (wait.partition, wait.offset) != (record.partition, record.offset) {
                    return Err(EngineError::misuse("resume: another batch than absorb's"));
                }
                let fates = open.fates.get(wait.fates.0..wait.fates.1);
                self.fates.recall(fates.unwrap_or_default());
                self.take_again(wait, &record, &mut scratch, &mut nothing);
            }
        }
        if deferred.next().is_some() {
            return Err(EngineError::misuse("resume: another batch than absorb's"));
        }
        self.apply_waiting(&mut scratch, &mut nothing, Pass::Again);
        for block in open.groups.iter().flat_map(|group| &group.blocks) {
            if let Some(block) = self.blocks.get_mut(*block) {
                block.pending = false;
            }
        }
        self.give_back();
        trials::fail_point("engine.resume.after");
        self.check_room()
    }

    /// Notes the CRC-32C of the record that each partition's counters end with.
    fn seal(&mut self, last: &[Option<&[u8]>]) {
        for (part, payload) in self.partitions.iter_mut().zip(last) {
            if let (Some(counters), Some(payload)) = (&mut part.counters, payload) {
                counters.crc = Some(crc32c(payload));
            }
        }
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
        let outcome = if wanted {
            self.stats.records += 1;
            self.stats.bytes += record.payload.len() as u64;
            trials::fail_point("engine.decode.before");
            let outcome = read(record.payload, scratch);
            trials::fail_point("engine.decode.after");
            outcome
        } else {
            self.stats.passed_by += 1;
            Err(Reason::Truncated)
        };
        // Of most records nobody asks for it, unless there is an archive.
        let asked = part.expects(record.offset) || wanted && part.keeps_crc(record.offset);
        let crc = asked.then(|| crc32c(record.payload));
        if let Some(crc) = crc.filter(|_| part.expects(record.offset))
            && let Some(known) = part.contradiction(record.offset, crc)
        {
            self.stops.push(truncated(part, record.offset, known, crc));
            return;
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
            let crc = crc.unwrap_or_default(); // of one that it does not take
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
            counters.next += 1;
            counters.crc = crc;
            crc.into_iter().for_each(|crc| counters.passed.note(crc));
            if let Some(unsealed) = scratch.unsealed.get_mut(at) {
                *unsealed = crc.is_none().then_some(record.payload);
            }
            counters.max_timestamp = counters.max_timestamp.max(time);
            let waiting = Waiting {
                index,
                at,
                partition: record.partition,
                offset: record.offset,
                epoch: part.epoch,
                timestamp: time,
                api_key: outcome.map_or(&[], |()| scratch.report.api_key),
                ..Waiting::default()
            };
            scratch.ops.begin(record.payload);
            let tally = self.fold(outcome, waiting, scratch, open, Pass::First);
            self.stats.counted += 1;
            self.stats.sessions += tally.sessions;
            self.stats.data_points += tally.data_points;
            self.stats.repeated += tally.repeated;
            self.stats.duplicates += tally.duplicates;
            self.stats.superseded += tally.superseded;
            if let Some(part) = self.partitions.get_mut(at)
                && let Some(counters) = &mut part.counters
            {
                counters.raise_bucket(tally.max_bucket);
            }
        }
    }

    /// Makes operations of a record, whose fates are in `self.fates`, and
    /// applies them with others' once there are enough.
    fn fold<'b>(
        &mut self,
        outcome: Result<(), Reason>,
        waiting: Waiting<'b>,
        scratch: &mut Scratch<'b>,
        open: &mut Open,
        pass: Pass,
    ) -> Tally {
        let Scratch {
            report,
            ops,
            records,
            ..
        } = scratch;
        let origin = Origin {
            record: records.add(waiting, &self.fates),
            partition: waiting.partition,
            receive_ms: waiting.timestamp,
        };
        let program = &self.program;
        let tally = match outcome {
            Ok(()) => {
                let mut fold = Fold {
                    program,
                    incarnation: self.incarnation,
                    turn: self.turn,
                    blocks: &mut self.blocks,
                    gone: &self.gone,
                    partitions: &mut self.partitions,
                    stats: &mut self.stats,
                    open,
                    records,
                    pass,
                };
                let report = (&*report, self.fates.all());
                self.emitter.report(program, ops, report, origin, &mut fold)
            }
            Err(reason) => self.emitter.unreadable(program, ops, reason, origin),
        };
        if ops.is_full() || ops.is_empty() {
            self.apply_waiting(scratch, open, pass);
        }
        tally
    }

    /// Applies what waits, between two records.
    fn apply_waiting(&mut self, scratch: &mut Scratch<'_>, open: &mut Open, pass: Pass) {
        let mut fold = Fold {
            program: &self.program,
            incarnation: self.incarnation,
            turn: self.turn,
            blocks: &mut self.blocks,
            gone: &self.gone,
            partitions: &mut self.partitions,
            stats: &mut self.stats,
            open,
            records: &mut scratch.records,
            pass,
        };
        fold.apply(&mut scratch.ops);
        fold.defer();
        scratch.records.clear();
        scratch.ops.forget();
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
    fn take_again<'b>(
        &mut self,
        wait: &Deferred,
        record: &Record<'b>,
        scratch: &mut Scratch<'b>,
        open: &mut Open,
    ) {
        let Some(at) = self.locate(record.partition) else {
            return;
        };
        let Some(part) = self.partitions.get(at) else {
            return;
        };
        if part.epoch != wait.epoch || part.stopped || part.counters.is_none() {
            return; // dropped, shed or stopped meanwhile
        }
        trials::fail_point("engine.resume.inside");
        let outcome = read(record.payload, scratch);
        let waiting = Waiting {
            index: wait.index,
            at,
            partition: record.partition,
            offset: record.offset,
            epoch: wait.epoch,
            timestamp: receive_ms(record.timestamp_ms),
            api_key: outcome.map_or(&[], |()| scratch.report.api_key),
            ..Waiting::default()
        };
        scratch.ops.begin(record.payload);
        self.fold(outcome, waiting, scratch, open, Pass::Again);
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
