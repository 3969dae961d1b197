//! Records on their way into blocks: some wait together, so that the misses
//! of looking up their blocks and groups overlap.

use super::gone::Gone;
use super::needs::{Asker, Deferred, Open};
use super::partition::Partition;
use crate::clock;
use crate::counters::blocks::Blocks;
use crate::counters::{Fate, Fates, Gate, Ops, Program};
use crate::trials::{self, Bug};

/// Which parts of a record are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Those whose blocks are known; the others are deferred.
    First,
    /// Those that were deferred.
    Again,
}

/// A record whose operations wait.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Record<'b> {
    /// Place in the batch.
    pub index: usize,
    /// Place of its partition.
    pub at: usize,
    pub partition: i32,
    pub offset: i64,
    pub epoch: u64,
    pub timestamp: i64,
    pub api_key: &'b [u8],
    /// Where the fates of its sessions are in `Records::fates`.
    pub fates: (usize, usize),
    /// A part of it waits for a stored cell.
    pub deferred: bool,
}

/// Records whose operations wait, in their order.
#[derive(Default)]
pub(super) struct Records<'b> {
    all: Vec<Record<'b>>,
    fates: Vec<Fate>,
}

impl<'b> Records<'b> {
    /// One more; returns its number.
    pub fn add(&mut self, record: Record<'b>, fates: &Fates) -> u32 {
        let number = self.all.len() as u32;
        let first = self.fates.len();
        self.fates.extend_from_slice(fates.all());
        self.all.push(Record {
            fates: (first, self.fates.len()),
            ..record
        });
        number
    }

    /// Nothing of them waits any more.
    pub fn clear(&mut self) {
        self.all.clear();
        self.fates.clear();
    }
}

/// What decides where operations are applied, and whether.
pub(super) struct Fold<'e, 'b, S> {
    pub program: &'e Program,
    pub incarnation: u32,
    pub turn: u64,
    pub blocks: &'e mut Blocks,
    pub gone: &'e Gone,
    pub partitions: &'e mut [Partition<S>],
    pub stats: &'e mut super::Stats,
    pub open: &'e mut Open,
    pub records: &'e mut Records<'b>,
    pub pass: Pass,
}

impl<'b, S> Gate<'b> for Fold<'_, 'b, S> {
    fn apply(&mut self, ops: &mut Ops<'b>) {
        self.blocks.look_up(ops);
        ops.decide(|print, bucket, record, found| self.admit(print, bucket, record, found));
        self.blocks.apply(self.program, ops);
    }
}

impl<S> Fold<'_, '_, S> {
    /// The block in which a part of a record is counted now, if it is.
    fn admit(&mut self, print: u128, bucket: u32, number: u32, found: Option<u32>) -> Option<u32> {
        let record = *self.records.all.get(number as usize)?;
        // Another scope may have made it a moment ago.
        let id = match (found.or_else(|| self.blocks.find(print)), self.pass) {
            (Some(id), _) => id,
            (None, Pass::First) => self.create(print, &record, bucket)?,
            (None, Pass::Again) => return None,
        };
        self.admits(id, &record, number).then_some(id)
    }

    /// The rules of exactly-once.md, block by block: base before count, skip
    /// what the stored cell has, each record once.
    fn admits(&mut self, id: u32, record: &Record<'_>, number: u32) -> bool {
        let Some(block) = self.blocks.get_mut(id) else {
            return false;
        };
        match (self.pass, block.pending) {
            (Pass::First, true) if !trials::seeded(Bug::DeltaBeforeBase) => {
                if let Some(record) = self.records.all.get_mut(number as usize) {
                    record.deferred = true;
                }
                return false;
            }
            (Pass::Again, false) => return false,
            _ => {}
        }
        if record.offset < block.base && !trials::seeded(Bug::NoSkipRule) {
            self.stats.skipped += 1;
            return false;
        }
        self.blocks.prepare(id);
        let Some(block) = self.blocks.get_mut(id) else {
            return false;
        };
        block.touched = record.offset;
        block.turn = self.turn;
        let newly_dirty = self.blocks.set_dirty(id, true);
        let part = self.partitions.get_mut(record.at);
        if let Some(counters) = part.and_then(|part| part.counters.as_mut()) {
            if newly_dirty {
                counters.dirty.push(id);
            }
            trials::fail_point("engine.fold.inside");
            let oldest = counters.oldest_unflushed.get_or_insert(record.timestamp);
            *oldest = (*oldest).min(record.timestamp);
        }
        true
    }

    fn create(&mut self, print: u128, record: &Record<'_>, bucket: u32) -> Option<u32> {
        let counters = self.partitions.get(record.at)?.counters.as_ref()?;
        let mut absent = counters.proves_absent(bucket) && !self.gone.may_hold(bucket, print);
        if trials::seeded(Bug::AbsenceByWallClock) {
            absent |= bucket >= clock::bucket(record.timestamp);
        }
        let (partition, api_key) = (record.partition, record.api_key);
        let id = self
            .blocks
            .create(print, partition, api_key, bucket, !absent);
        if absent {
            self.stats.proved_absent += 1;
        } else {
            self.stats.base_reads += 1;
            let asker = Asker {
                plan: self.program.plan.id,
                incarnation: self.incarnation,
                partition,
                epoch: record.epoch,
            };
            self.open.need(asker, id, api_key, bucket);
        }
        Some(id)
    }

    /// Notes which of the records must be read again; all of them are applied.
    pub fn defer(&mut self) {
        for record in self.records.all.iter().filter(|record| record.deferred) {
            let (from, to) = record.fates;
            let first = self.open.fates.len();
            let fates = self.records.fates.get(from..to).unwrap_or_default();
            self.open.fates.extend_from_slice(fates);
            self.open.deferred.push(Deferred {
                index: record.index,
                partition: record.partition,
                offset: record.offset,
                epoch: record.epoch,
                fates: (first, self.open.fates.len()),
            });
        }
    }
}
