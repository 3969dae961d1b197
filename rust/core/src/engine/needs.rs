//! Blocks whose stored cells must be read before they may be counted, and the
//! records that wait for them.

use super::Engine;
use super::absorb::truncated;
use super::column::Column;
use super::error::EngineError;
use super::sink::ReportSink;
use crate::counters::block::Decoded;
use crate::counters::{Fate, row};
use crate::trials::{self, Bug};

/// One read: rows of one table for one partition's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedGroup {
    pub table: String,
    pub partition: i32,
    pub qualifier: [u8; row::QUALIFIER_BYTES],
    pub rows: Column,
    pub(super) blocks: Vec<u32>,
    pub(super) epoch: u64,
    month: u32,
    started: bool,
    seeded: bool,
}

/// A record that must be read again once the bases are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deferred {
    /// Place in the batch.
    pub index: usize,
    pub partition: i32,
    pub offset: i64,
    pub epoch: u64,
    /// Where the fates of its sessions are in `Open::fates`.
    pub fates: (usize, usize),
}

/// Whose cells are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub plan: u32,
    pub incarnation: u32,
    pub partition: i32,
    pub epoch: u64,
}

/// What is open between `absorb` and `resume`.
#[derive(Default)]
pub(super) struct Open {
    pub groups: Vec<NeedGroup>,
    pub deferred: Vec<Deferred>,
    /// Of the sessions of deferred records: they are decided once.
    pub fates: Vec<Fate>,
}

impl Open {
    /// Asks for the cell of a block.
    pub fn need(&mut self, from: Asker, block: u32, api_key: &[u8], bucket: u32) {
        let Asker {
            plan,
            incarnation,
            partition,
            epoch,
        } = from;
        let month = row::month(bucket);
        let at = self
            .groups
            .iter()
            .position(|g| g.partition == partition && g.month == month && g.epoch == epoch);
        let group = match at {
            Some(at) => self.groups.get_mut(at),
            None => {
                self.groups.push(NeedGroup {
                    table: row::table_name(month),
                    partition,
                    qualifier: row::qualifier(plan, incarnation, partition as u16),
                    rows: Column::default(),
                    blocks: Vec::new(),
                    epoch,
                    month,
                    started: false,
                    seeded: false,
                });
                self.groups.last_mut()
            }
        };
        if let Some(group) = group {
            group.rows.push(|out| {
                row::write_row(api_key, bucket, out);
            });
            group.blocks.push(block);
        }
    }
}

/// A stored cell that a read found.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'c> {
    /// Which row of the group.
    pub index: usize,
    pub timestamp: i64,
    pub value: &'c [u8],
}

impl<S: ReportSink> Engine<S> {
    /// The reads that are open: by their place they are seeded.
    pub fn needs(&self) -> &[NeedGroup] {
        self.open.as_ref().map_or(&[], |open| &open.groups)
    }

    /// Gives a group the cells that its read found; rows without one are
    /// thereby proved absent. `log_end`: the end of the partition's log,
    /// fetched *after* the read.
    pub fn seed<'c>(
        &mut self,
        group: usize,
        cells: impl Iterator<Item = Cell<'c>>,
        log_end: i64,
    ) -> Result<(), EngineError> {
        let Some(need) = self
            .open
            .as_mut()
            .and_then(|open| open.groups.get_mut(group))
        else {
            return Err(EngineError::misuse("seed: no such group is open"));
        };
        // A second try after an error would count what the first had read twice.
        if need.started {
            return Err(EngineError::misuse("seed: the group was seeded already"));
        }
        need.started = true;
        let need = need.clone();
        let corrupt = |row: &[u8], reason: String| EngineError::CellCorrupt {
            partition: need.partition,
            row: row.to_vec(),
            reason,
        };
        let mut seen = vec![false; need.blocks.len()];
        let mut decoded = Decoded::default();
        for cell in cells {
            let (Some(block), Some(row), Some(seen)) = (
                need.blocks.get(cell.index),
                need.rows.get(cell.index),
                seen.get_mut(cell.index),
            ) else {
                return Err(EngineError::misuse(
                    "seed: a cell of a row that nobody asked for",
                ));
            };
            decoded
                .read(&self.program.plan, cell.value)
                .map_err(|error| corrupt(row, error.to_string()))?;
            let end = decoded.header.end;
            if end != cell.timestamp {
                let reason = format!(
                    "its end offset {end} is not its timestamp {}",
                    cell.timestamp
                );
                return Err(corrupt(row, reason));
            }
            if end > log_end {
                let reason = format!("its end offset {end} is beyond the log's end {log_end}");
                return Err(corrupt(row, reason));
            }
            if std::mem::replace(seen, true) {
                return Err(corrupt(row, "the read returned it twice".to_owned()));
            }
            self.stats.base_found += 1;
            self.seed_block(need.partition, need.epoch, *block, &decoded, cell.value);
        }
        if let Some(need) = self
            .open
            .as_mut()
            .and_then(|open| open.groups.get_mut(group))
        {
            need.seeded = true;
        }
        Ok(())
    }

    fn seed_block(&mut self, partition: i32, epoch: u64, block: u32, cell: &Decoded, value: &[u8]) {
        let Some(part) = self
            .partitions
            .iter_mut()
            .find(|part| part.number == partition && part.epoch == epoch)
        else {
            return; // dropped meanwhile
        };
        let (last, known) = (cell.header.end - 1, cell.header.last_crc);
        let passed = part.counters.as_ref().and_then(|c| c.passed.crc(last));
        if last >= part.batch_start {
            part.expect(last, known);
        } else if let Some(found) = passed.filter(|found| *found != known)
            && !part.stopped
            && !trials::seeded(Bug::TruncationUnchecked)
        {
            self.stops.push(truncated(part, last, known, found));
        }
        if self.blocks.get(block).is_some_and(|block| !block.dead) {
            self.blocks.seed(&self.program, block, cell, value);
        }
    }

    /// Takes the open needs for `resume`, if every group was seeded.
    pub(super) fn close_needs(&mut self) -> Result<Open, EngineError> {
        match &self.open {
            None => Err(EngineError::misuse("resume: no needs are open")),
            Some(open) if open.groups.iter().any(|group| !group.seeded) => {
                Err(EngineError::misuse("resume: not every group was seeded"))
            }
            Some(_) => Ok(self.open.take().unwrap_or_default()),
        }
    }
}
