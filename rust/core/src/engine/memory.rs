//! What is held in memory, and how it is given back.

use super::sink::ReportSink;
use super::{Engine, EngineError};

/// Bytes held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Allocated for blocks and groups.
    pub blocks: usize,
    /// Of these, in use: what eviction can bring down.
    pub blocks_live: usize,
    /// In archive buffers.
    pub archive: usize,
}

impl<S: ReportSink> Engine<S> {
    /// Bytes held at this moment.
    pub fn memory(&self) -> Memory {
        Memory {
            blocks: self.blocks.bytes(),
            blocks_live: self.blocks.live_bytes(),
            archive: self
                .partitions
                .iter()
                .filter_map(|part| part.archive.as_ref())
                .map(|archive| archive.sink.bytes())
                .sum(),
        }
    }

    /// Evicts clean blocks, those first that were not touched for longest,
    /// until the blocks need at most `target_bytes` or no clean one is left.
    /// Returns how many went.
    pub fn evict(&mut self, target_bytes: usize) -> Result<usize, EngineError> {
        self.no_open_needs("evict")?;
        let mut clean: Vec<(u64, u32)> = self
            .blocks
            .iter()
            .filter(|(_, block)| !block.dirty && !block.flying && !block.pending)
            .map(|(id, block)| (block.turn, id))
            .collect();
        clean.sort_unstable();
        let mut evicted = 0;
        for (_, id) in clean {
            if self.blocks.live_bytes() <= target_bytes {
                break;
            }
            self.evict_block(id);
            evicted += 1;
        }
        if evicted > 0 {
            self.stats.blocks_evicted += evicted as u64;
            self.rebuild();
        }
        Ok(evicted)
    }

    /// From now on a block of this bucket may have a stored cell.
    fn evict_block(&mut self, id: u32) {
        let Some(block) = self.blocks.get(id) else {
            return;
        };
        let (partition, bucket) = (block.partition, i64::from(block.bucket));
        if let Ok(part) = self.partition_mut(partition)
            && let Some(counters) = &mut part.counters
            && let Some(highest) = &mut counters.absent_above
        {
            *highest = (*highest).max(bucket);
        }
        self.blocks.kill(id);
    }

    /// Gives the memory of dropped blocks back. Numbers of blocks change, so
    /// the lists of them are made anew.
    pub(super) fn rebuild(&mut self) {
        self.blocks.rebuild(&self.program);
        for part in &mut self.partitions {
            if let Some(counters) = &mut part.counters {
                counters.dirty.clear();
            }
        }
        for (id, block) in self.blocks.iter().filter(|(_, block)| block.dirty) {
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
