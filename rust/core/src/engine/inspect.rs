//! Looking in: for metrics, audits and tests.

use super::sink::ReportSink;
use super::{Column, Engine, EngineError, Stats};
use crate::counters::block::Header;
use crate::counters::row;

/// Where one partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    pub partition: i32,
    /// The next offset that may come.
    pub next: i64,
    pub stopped: bool,
    /// (in memory, durable)
    pub counters: Option<(i64, i64)>,
    /// The next offset of the archive's buffer.
    pub archive_next: Option<i64>,
    /// Sessions that the counters would know again.
    pub known_sessions: usize,
    pub dirty_blocks: usize,
    /// Whether a flush would write something: counted, and not frozen or durable.
    pub unwritten: bool,
    /// Kafka timestamp of the oldest record that is counted and not durable, ms.
    pub oldest_unflushed_ms: Option<i64>,
}

impl<S: ReportSink> Engine<S> {
    /// Totals.
    pub fn stats(&self) -> Stats {
        Stats {
            updates: self.blocks.updates,
            ..self.stats.clone()
        }
    }

    /// Blocks in memory.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Groups in memory.
    pub fn group_count(&self) -> usize {
        self.blocks.groups()
    }

    /// Every assigned partition.
    pub fn partitions(&self) -> Vec<PartitionState> {
        self.partitions
            .iter()
            .map(|part| {
                let counters = part.counters.as_ref();
                PartitionState {
                    partition: part.number,
                    next: part.next,
                    stopped: part.stopped,
                    counters: counters.map(|c| (c.next, c.durable)),
                    archive_next: part.archive.as_ref().map(|archive| archive.next),
                    known_sessions: counters
                        .and_then(|c| c.dedup.as_ref())
                        .map_or(0, |dedup| dedup.len()),
                    dirty_blocks: counters.map_or(0, |c| c.dirty.len()),
                    unwritten: !part.stopped && counters.is_some_and(|c| c.next != c.frozen),
                    oldest_unflushed_ms: counters.and_then(|c| {
                        let both = [c.oldest_flying, c.oldest_unflushed];
                        both.into_iter().flatten().min()
                    }),
                }
            })
            .collect()
    }

    /// The canonical value of a block as it stands in memory, for an audit.
    /// Its end offset is the counters' position, or `end` (with the CRC of the
    /// record before) where that lies between the last record counted in the
    /// block and the position. `None` if the block is not in memory or has no
    /// groups.
    pub fn peek_block(
        &mut self,
        partition: i32,
        row: &[u8],
        end: Option<(i64, u32)>,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.no_open_needs("peek_block")?;
        self.check_room()?;
        let part = self.partition_mut(partition)?;
        let Some(counters) = &part.counters else {
            return Err(EngineError::misuse("peek_block: counters are not run here"));
        };
        let (next, crc) = (counters.next, counters.crc);
        let found = row::parse_row(row).and_then(|(api_key, bucket)| {
            self.blocks
                .find_row(&self.program, partition, api_key, bucket)
        });
        let Some(id) = found else { return Ok(None) };
        let Some(block) = self.blocks.get(id) else {
            return Ok(None);
        };
        let last = block.touched.max(block.base - 1);
        if last < 0 {
            return Ok(None);
        }
        let (end, last_crc) = end.unwrap_or((next.max(block.base), crc.unwrap_or(0)));
        if end <= last || end > next.max(block.base) {
            return Err(EngineError::misuse(format!(
                "peek_block: the block stands at {last}, not below {end}"
            )));
        }
        let header = Header {
            end,
            plan: self.program.plan.id,
            last_crc,
        };
        let mut value = Vec::new();
        self.blocks.encode(&self.program, id, header, &mut value);
        self.check_room()?;
        Ok(Some(value))
    }

    /// Rows of a partition's blocks that something was counted in, with the
    /// offset of the last record that was.
    pub fn touched(&self, partition: i32) -> (Column, Vec<i64>) {
        let (mut rows, mut offsets) = (Column::default(), Vec::new());
        for (id, block) in self.blocks.iter() {
            if block.partition == partition && block.touched >= 0 {
                rows.push(|out| self.blocks.write_row(id, out));
                offsets.push(block.touched);
            }
        }
        (rows, offsets)
    }
}
