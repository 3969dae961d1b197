//! What the archive's columns say of records below the counters' position, so
//! that the sessions in them are known again. The same records may also be read
//! from Kafka (`absorb`): whatever is still missing there is taken by it.

use super::sink::ReportSink;
use super::{Engine, EngineError};
use crate::clock::receive_ms;
use crate::trials::{self, Bug};

/// One archived record, readable or not.
#[derive(Debug, Clone, Copy)]
pub struct Past<'p> {
    pub offset: i64,
    /// Kafka's timestamp, ms.
    pub timestamp_ms: i64,
    /// (fingerprint, duration in ms) of its session records, in wire order.
    pub sessions: &'p [(i64, i64)],
}

impl<S: ReportSink> Engine<S> {
    /// Remembers archived records, in the order of their offsets. Those that
    /// were remembered before are passed by; so are those at or above the
    /// counters' position, which may be archived already: they are yet to be
    /// counted. Returns the first offset that is missing now.
    pub fn recall<'p>(
        &mut self,
        partition: i32,
        records: impl Iterator<Item = Past<'p>>,
    ) -> Result<i64, EngineError> {
        let mut fates = std::mem::take(&mut self.fates);
        let mut recalled = 0;
        let part = self.partition_mut(partition)?;
        let Some(counters) = &mut part.counters else {
            return Err(EngineError::misuse("recall: counters are not run here"));
        };
        for record in records {
            let Some(dedup) = counters.dedup.as_mut() else {
                break;
            };
            if record.offset >= counters.next && !trials::seeded(Bug::DedupFromWholeArchive) {
                break;
            }
            if record.offset < dedup.next {
                continue;
            }
            if record.offset > dedup.next {
                return Err(EngineError::misuse(format!(
                    "recall: record {} came where {} was due",
                    record.offset, dedup.next
                )));
            }
            fates.find(record.sessions.iter().copied());
            let time = receive_ms(record.timestamp_ms);
            dedup.meet(time, &mut fates, i64::cast_unsigned);
            recalled += 1;
        }
        let missing = counters.missing_from();
        let stop = match missing == counters.next {
            true => part.note_recalled(),
            false => None,
        };
        self.stops.extend(stop);
        self.stats.recalled += recalled;
        self.fates = fates;
        Ok(missing)
    }

    /// Where the records begin, in Kafka time (ms), that an engine of this plan
    /// must see before it counts from a position with this highest Kafka time;
    /// `None`: it needs none.
    pub fn recall_since(&self, max_timestamp: i64) -> Option<i64> {
        self.program.plan.dedup.since(max_timestamp)
    }
}
