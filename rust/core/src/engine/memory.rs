//! What is held in memory, and how it is given back.

use std::cmp::Reverse;

use super::sink::ReportSink;
use super::{Engine, EngineError};
use crate::counters::blocks::{Block, Worth};
use crate::trials::{self, Bug};

/// Of the target in sixteenths: what blocks whose groups lie in the table may take, …
const OPEN: usize = 11;
/// … and what they take after some were put away.
const OPEN_AFTER: usize = 8;

fn part(sixteenths: usize, target: usize) -> usize {
    target / 16 * sixteenths
}

/// Bytes held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Allocated for blocks and groups.
    pub blocks: usize,
    /// About the bytes of blocks that are not in a frozen flush or durable.
    pub dirty: usize,
    /// Their number.
    pub dirty_blocks: usize,
    /// Whether some counters stand further than what was frozen or acknowledged.
    pub unwritten: bool,
    /// In archive buffers.
    pub archive: usize,
    /// For the sessions that are known again.
    pub dedup: usize,
    /// For the checksums of the records that were counted first.
    pub passed: usize,
    /// For knowing which blocks were evicted.
    pub gone: usize,
}

/// Below so many bytes of blocks, held and open, nothing would come of evicting
/// again: all that can be done is done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AgainAt {
    held: usize,
    open: usize,
}

fn a_bit_more(bytes: usize) -> usize {
    bytes / 16 * 17
}

impl<S: ReportSink> Engine<S> {
    /// Bytes held at this moment.
    pub fn memory(&self) -> Memory {
        let counters = || self.partitions.iter().filter_map(|p| p.counters.as_ref());
        Memory {
            blocks: self.blocks.bytes(),
            dirty: self.blocks.dirty_bytes(),
            dirty_blocks: counters().map(|c| c.dirty.len()).sum(),
            unwritten: counters().any(|c| c.next != c.frozen),
            archive: self
                .partitions
                .iter()
                .filter_map(|part| part.archive.as_ref())
                .map(|archive| archive.sink.memory())
                .sum(),
            dedup: counters()
                .filter_map(|c| c.dedup.as_ref())
                .map(|dedup| dedup.memory())
                .sum(),
            passed: counters().map(|c| c.passed.memory()).sum(),
            gone: self.gone.memory(),
        }
    }

    /// Keeps `memory().blocks` at `target_bytes`, where it can. Once the groups
    /// in the table take two thirds of that, those that are worth most are put
    /// away as bytes, written or not; once everything together is more, more of
    /// them, what is dead is cleared up, and the oldest bytes are compressed.
    /// Where that is not enough, clean blocks leave memory, oldest first. Each
    /// goes further than it must, to be done rarely. Returns how many left.
    pub fn evict(&mut self, target_bytes: usize) -> Result<usize, EngineError> {
        self.no_open_needs("evict")?;
        let (held, open) = (self.blocks.bytes(), self.blocks.open_bytes());
        let again_at = self.evict_again_at;
        let crowded = held > target_bytes.max(again_at.held);
        if !crowded && open <= part(OPEN, target_bytes).max(again_at.open) && target_bytes > 0 {
            return Ok(0);
        }
        let mut open = self.worth_most();
        self.pack(&mut open, part(OPEN_AFTER, target_bytes), Worth::Most);
        for less in [OPEN_AFTER, OPEN_AFTER / 2, OPEN_AFTER / 4] {
            if self.blocks.bytes() <= target_bytes {
                break;
            }
            self.pack(&mut open, part(less, target_bytes), Worth::Some);
            let held = self.blocks.bytes();
            if held > target_bytes {
                self.blocks
                    .shrink(held - target_bytes + part(1, target_bytes));
            }
        }
        // What could not be helped now will not be soon: blocks of more than a
        // mebibyte as bytes stay open.
        let (held, open) = (self.blocks.bytes(), self.blocks.open_bytes());
        self.evict_again_at.open = if open > part(OPEN, target_bytes) {
            a_bit_more(open)
        } else {
            0
        };
        if held <= target_bytes {
            self.evict_again_at.held = 0;
            return Ok(0);
        }
        // What is held includes room to grow: the living must shrink as much as the whole.
        let live = self.blocks.live_bytes() as u128;
        let target = (live * target_bytes as u128 / held.max(1) as u128) as usize;
        let evicted = self.evict_clean(target.min(target_bytes) / 8 * 7);
        self.stats.blocks_evicted += evicted;
        self.give_back();
        self.evict_again_at.held = a_bit_more(self.blocks.bytes());
        Ok(evicted as usize)
    }

    /// Open blocks, those first that are worth most to be put away: bytes that
    /// become free, for as long as nothing was counted there, for the time that
    /// it takes (as log-structured file systems choose what to clean). Parts of
    /// blocks that are counted in all the time are large, too.
    fn worth_most(&self) -> impl Iterator<Item = u32> + use<S> {
        let worth = |(id, block): (u32, &Block)| {
            let (bytes, time) = self.blocks.to_put_away(id)?;
            let turns = 1 + self.turn.saturating_sub(block.turn);
            Some((Reverse(bytes as u64 * 1_000 / time as u64 * turns), id))
        };
        let known = self.blocks.iter().filter(|(_, block)| !block.pending);
        let mut open: Vec<(Reverse<u64>, u32)> = known.filter_map(worth).collect();
        open.sort_unstable();
        open.into_iter().map(|(_, id)| id)
    }

    /// Puts the next of these blocks away, until what is open takes `target`
    /// bytes, and clears up what is worth it.
    fn pack(&mut self, open: &mut impl Iterator<Item = u32>, target: usize, worth: Worth) {
        while self.blocks.open_bytes() > target
            && let Some(id) = open.next()
        {
            self.stats.blocks_packed += u64::from(self.blocks.pack(&self.program, id));
        }
        self.blocks.tidy(&self.program, worth);
    }

    fn evict_clean(&mut self, target: usize) -> u64 {
        let clean = |(id, block): &(u32, &Block)| {
            let dirty = self.blocks.is_dirty(*id) && !trials::seeded(Bug::DirtyBlocksEvicted);
            !dirty && !block.flying && !block.pending
        };
        let clean = self.blocks.iter().filter(clean);
        let mut oldest: Vec<(u64, u32)> = clean.map(|(id, block)| (block.turn, id)).collect();
        oldest.sort_unstable();
        let mut evicted = 0;
        for (_, id) in oldest {
            if self.blocks.live_bytes() <= target {
                break;
            }
            self.evict_block(id);
            evicted += 1;
        }
        evicted
    }

    /// From now on this block may have a stored cell.
    fn evict_block(&mut self, id: u32) {
        let (Some(block), Some(print)) = (self.blocks.get(id), self.blocks.print_of(id)) else {
            return;
        };
        let (partition, bucket) = (block.partition, block.bucket);
        self.blocks.kill(&self.program, id);
        let counters = self
            .position_of(partition)
            .and_then(|at| self.partitions.get(at)?.counters.as_ref());
        if !counters.is_some_and(|c| c.proves_absent(bucket))
            || trials::seeded(Bug::AbsenceAfterEviction)
        {
            return; // it would be read anyway
        }
        if let Some(forgotten) = self.gone.note(bucket, print) {
            for part in &mut self.partitions {
                if let Some(counters) = &mut part.counters {
                    counters.may_be_stored(forgotten);
                }
            }
        }
    }

    /// Gives memory of what left back, once there is enough of it. Where the
    /// numbers of blocks change, the lists of them are made anew; open needs
    /// know blocks by number, and keep them.
    pub(super) fn give_back(&mut self) {
        self.blocks.tidy(&self.program, Worth::Most);
        if self.open.is_some() || !self.blocks.tidy_numbers() {
            return;
        }
        for part in &mut self.partitions {
            if let Some(counters) = &mut part.counters {
                counters.dirty.clear();
            }
        }
        for (id, block) in self.blocks.iter() {
            if !self.blocks.is_dirty(id) {
                continue;
            }
            let counters = self
                .partitions
                .iter_mut()
                .find(|part| part.number == block.partition)
                .and_then(|part| part.counters.as_mut());
            if let Some(counters) = counters {
                counters.dirty.push(id);
            }
        }
    }
}
