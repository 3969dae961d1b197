//! Blocks out: all dirty ones as they stand at one instant.

use super::column::{Column, MAX_BYTES};
use super::memory::AgainAt;
use super::sink::ReportSink;
use super::{CountersPosition, Engine, EngineError};
use crate::counters::block::Header;
use crate::counters::blocks::Worth;
use crate::counters::row;
use crate::trials::{self, Bug};

/// What one flush writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flush {
    pub id: u64,
    pub parts: Vec<FlushPart>,
    pub positions: Vec<FlushPosition>,
}

/// Cells of one table, column and timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushPart {
    pub table: String,
    pub partition: i32,
    pub qualifier: [u8; row::QUALIFIER_BYTES],
    /// E, of every cell.
    pub timestamp: i64,
    /// In increasing order.
    pub rows: Column,
    pub values: Column,
}

/// Where a partition's counters stand once the parts are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushPosition {
    pub partition: i32,
    pub position: CountersPosition,
}

/// The flush in flight, as the engine remembers it.
pub(super) struct Flight {
    id: u64,
    /// (partition, epoch, position)
    positions: Vec<(i32, u64, i64)>,
}

impl<S: ReportSink> Engine<S> {
    /// Freezes what is not durable yet, of these partitions or of all. Counting
    /// may go on while it is written. `None`: everything is durable.
    pub fn freeze(&mut self, partitions: Option<&[i32]>) -> Result<Option<Flush>, EngineError> {
        self.no_open_needs("freeze")?;
        self.check_room()?;
        if self.flight.is_some() {
            return Err(EngineError::misuse("freeze: a flush is in flight"));
        }
        trials::fail_point("engine.freeze.before");
        let mut flush = Flush {
            id: self.flushes + 1,
            parts: Vec::new(),
            positions: Vec::new(),
        };
        let mut flight = Flight {
            id: flush.id,
            positions: Vec::new(),
        };
        for at in 0..self.partitions.len() {
            let Some(part) = self.partitions.get_mut(at) else {
                break;
            };
            let wanted = partitions.is_none_or(|wanted| wanted.contains(&part.number));
            if !wanted || part.stopped {
                continue;
            }
            let (number, epoch, batch_start) = (part.number, part.epoch, part.batch_start);
            let Some(counters) = &mut part.counters else {
                continue;
            };
            if counters.next == counters.durable {
                continue;
            }
            let position = counters.position();
            counters.frozen = counters.next;
            let mut dirty = std::mem::take(&mut counters.dirty);
            if trials::seeded(Bug::CleanBlocksWritten) {
                dirty = self.blocks.of_partition(number);
            }
            counters.oldest_flying = counters.oldest_unflushed.take();
            flight.positions.push((number, epoch, position.position));
            flush.positions.push(FlushPosition {
                partition: number,
                position,
            });
            trials::fail_point("engine.freeze.inside");
            let mut counted = position;
            if trials::seeded(Bug::FlushWithoutSnapshot) {
                counted.position = batch_start;
            }
            self.freeze_blocks(number, &counted, dirty, &mut flush.parts);
        }
        self.check_room()?; // nothing may go out of what was found damaged
        if flush.positions.is_empty() {
            return Ok(None);
        }
        self.blocks.tidy(&self.program, Worth::Most); // of what was written again the old bytes are dead
        self.flushes = flush.id;
        self.flight = Some(flight);
        Ok(Some(flush))
    }

    fn freeze_blocks(
        &mut self,
        partition: i32,
        position: &CountersPosition,
        dirty: Vec<u32>,
        parts: &mut Vec<FlushPart>,
    ) {
        let header = Header {
            end: position.position,
            plan: self.program.plan.id,
            // Known wherever a record was counted, and only then a block is dirty.
            last_crc: position.crc.unwrap_or(0),
        };
        let mut rows: Vec<(u32, Vec<u8>, u32)> = Vec::with_capacity(dirty.len());
        for id in dirty {
            let Some(block) = self.blocks.get_mut(id) else {
                continue;
            };
            block.flying = true;
            let month = row::month(block.bucket);
            self.blocks.set_dirty(id, false);
            let mut row = Vec::new();
            self.blocks.write_row(id, &mut row);
            rows.push((month, row, id));
        }
        rows.sort_unstable();
        self.stats.blocks_frozen += rows.len() as u64;
        let first = parts.len();
        for (month, row, id) in rows {
            let table = row::table_name(month);
            let fits =
                |part: &FlushPart| part.table == table && part.values.bytes.len() < MAX_BYTES;
            if parts.len() == first || !parts.last().is_some_and(fits) {
                parts.push(FlushPart {
                    table,
                    partition,
                    qualifier: row::qualifier(
                        self.program.plan.id,
                        self.incarnation,
                        partition as u16,
                    ),
                    timestamp: header.end,
                    rows: Column::default(),
                    values: Column::default(),
                });
            }
            if let Some(part) = parts.last_mut() {
                part.rows.push(|out| out.extend_from_slice(&row));
                let (blocks, program) = (&mut self.blocks, &self.program);
                part.values.push(|out| {
                    let start = out.len();
                    blocks.encode(program, id, header, out);
                    blocks.keep(program, id, out.get(start..).unwrap_or(&[]));
                });
            }
        }
    }

    /// Every part and position of the flush is durable.
    pub fn acknowledge(&mut self, id: u64) -> Result<(), EngineError> {
        let flight = self.land(id, "acknowledge")?;
        let mut landed = Vec::new();
        for (partition, epoch, position) in flight.positions {
            if let Some(counters) = self.counters_of(partition, epoch) {
                counters.durable = position;
                counters.oldest_flying = None;
                landed.push(partition);
            }
        }
        trials::fail_point("engine.acknowledge.inside");
        self.stats.blocks_flushed += self.settle(&landed, false);
        Ok(())
    }

    /// The flush was given up, whatever of it may be written: its blocks are
    /// dirty again.
    pub fn abandon(&mut self, id: u64) -> Result<(), EngineError> {
        let flight = self.land(id, "abandon")?;
        let mut landed = Vec::new();
        for (partition, epoch, _) in flight.positions {
            if let Some(counters) = self.counters_of(partition, epoch) {
                counters.frozen = counters.durable;
                let oldest = [counters.oldest_flying.take(), counters.oldest_unflushed];
                counters.oldest_unflushed = oldest.into_iter().flatten().min();
                landed.push(partition);
            }
        }
        self.settle(&landed, true);
        Ok(())
    }

    fn land(&mut self, id: u64, what: &str) -> Result<Flight, EngineError> {
        match self.flight.take_if(|flight| flight.id == id) {
            Some(flight) => {
                self.evict_again_at = AgainAt::default(); // its blocks may be clean now
                Ok(flight)
            }
            None => Err(EngineError::misuse(format!(
                "{what}: flush {id} is not in flight"
            ))),
        }
    }

    fn counters_of(
        &mut self,
        partition: i32,
        epoch: u64,
    ) -> Option<&mut super::partition::Counters> {
        self.partitions
            .iter_mut()
            .find(|part| part.number == partition && part.epoch == epoch)
            .and_then(|part| part.counters.as_mut())
    }

    /// Takes these partitions' blocks out of the air; returns how many there were.
    fn settle(&mut self, partitions: &[i32], still_dirty: bool) -> u64 {
        let flying: Vec<(u32, i32)> = self
            .blocks
            .iter()
            .filter(|(_, block)| block.flying && partitions.contains(&block.partition))
            .map(|(id, block)| (id, block.partition))
            .collect();
        for (id, partition) in &flying {
            if let Some(block) = self.blocks.get_mut(*id) {
                block.flying = false;
            }
            if still_dirty
                && self.blocks.set_dirty(*id, true)
                && let Ok(part) = self.partition_mut(*partition)
                && let Some(counters) = &mut part.counters
            {
                counters.dirty.push(*id);
            }
        }
        flying.len() as u64
    }
}
