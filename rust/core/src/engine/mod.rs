//! The engine: records in, counter blocks and archive rows out. It knows
//! partitions, offsets and stored cells, and nothing of Kafka or of a store:
//! what it needs to read it names ([`Engine::needs`]), what is to be written it
//! hands out ([`Engine::freeze`]).
//!
//! The order of calls: `assign` → `recall`… → (`absorb` → (`seed`… → `resume`)? )…
//! with `freeze` → `acknowledge` | `abandon` between batches. Rules and
//! invariants: docs/exactness.md and docs/counters.md.

mod absorb;
mod assign;
mod column;
mod dedup;
mod error;
mod flush;
mod fold;
mod gone;
mod inspect;
mod memory;
mod needs;
mod partition;
mod passed;
mod recall;
pub mod sink;
mod stats;

use std::sync::Arc;

use crate::counters::blocks::Blocks;
use crate::counters::{Emitter, Fates, Program};
use crate::identity::Fingerprints;
use crate::plan::Plan;

pub use column::{Column, MAX_BYTES};
pub use error::EngineError;
pub use flush::{Flush, FlushPart, FlushPosition};
pub use inspect::PartitionState;
pub use memory::Memory;
pub use needs::{Cell, NeedGroup};
pub use partition::{ArchivePosition, CountersPosition, PartitionStop, StopKind};
pub use passed::PASSED_RECORDS;
pub use recall::Past;
use sink::ReportSink;
pub use stats::Stats;

/// Makes the archive's buffer of a (partition) that stands at a (position).
pub type OpenSink<S> = Box<dyn Fn(i32, i64) -> S + Send + Sync>;

/// Counts, and feeds the archive, for the assigned partitions of one topic.
pub struct Engine<S> {
    program: Program,
    incarnation: u32,
    fingerprints: Fingerprints,
    open_sink: OpenSink<S>,
    partitions: Vec<partition::Partition<S>>,
    /// Where the last record's partition was found.
    last_partition: usize,
    epochs: u64,
    /// Counts batches: how old a block is.
    turn: u64,
    blocks: Blocks,
    evict_again_at: memory::AgainAt,
    gone: gone::Gone,
    emitter: Emitter,
    fates: Fates,
    open: Option<needs::Open>,
    flight: Option<flush::Flight>,
    flushes: u64,
    stops: Vec<PartitionStop>,
    stats: Stats,
}

impl<S: ReportSink> Engine<S> {
    /// An engine without partitions. `incarnation` stands for the topic's id;
    /// `fingerprints` know sessions again, and no result depends on their secret.
    pub fn new(
        plan: Arc<Plan>,
        incarnation: u32,
        fingerprints: Fingerprints,
        open_sink: OpenSink<S>,
    ) -> Self {
        let program = Program::compile(plan);
        Self {
            blocks: Blocks::new(&program),
            evict_again_at: memory::AgainAt::default(),
            gone: gone::Gone::new(gone::MOST),
            program,
            incarnation,
            fingerprints,
            open_sink,
            partitions: Vec::new(),
            last_partition: 0,
            epochs: 0,
            turn: 0,
            emitter: Emitter::default(),
            fates: Fates::default(),
            open: None,
            flight: None,
            flushes: 0,
            stops: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// The plan that is counted by.
    pub fn plan(&self) -> &Plan {
        &self.program.plan
    }

    fn position_of(&self, partition: i32) -> Option<usize> {
        self.partitions
            .iter()
            .position(|part| part.number == partition)
    }

    fn partition_mut(
        &mut self,
        partition: i32,
    ) -> Result<&mut partition::Partition<S>, EngineError> {
        self.partitions
            .iter_mut()
            .find(|part| part.number == partition)
            .ok_or_else(|| EngineError::misuse(format!("partition {partition} is not assigned")))
    }

    fn no_open_needs(&self, what: &str) -> Result<(), EngineError> {
        match self.open {
            None => Ok(()),
            Some(_) => Err(EngineError::misuse(format!(
                "{what}: needs are open, seed them and resume first"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
