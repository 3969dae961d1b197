//! What an engine knows of one assigned partition: where reading stands, and
//! where each of its two sinks stands.

use super::dedup::Dedup;
use super::passed::Passed;
use super::sink::ReportSink;
use crate::plan::DedupRules;
use crate::reason::Reason;
use crate::report::Report;

use super::sink::Record;
use crate::trials::{self, Bug};

/// Where the counters of a partition stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountersPosition {
    /// The first offset that is not in the stored cells.
    pub position: i64,
    /// M: the highest bucket of any record below it; −1 = there was none;
    /// `None` = unknown, so that no block can be proved absent.
    pub max_bucket: Option<i64>,
    /// CRC-32C of record `position` − 1, if it is known.
    pub crc: Option<u32>,
    /// T: running maximum of Kafka timestamps, ms.
    pub max_timestamp: i64,
}

/// Where the archive of a partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivePosition {
    /// The first offset that no published file holds.
    pub position: i64,
    /// CRC-32C of record `position` − 1, if it is known.
    pub crc: Option<u32>,
}

/// Why a partition was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// An offset came that is not the next one.
    GapInOffsets,
    /// A record differs from the one that was read at its offset before: the
    /// log was truncated or replaced.
    Truncated,
    /// The records that were read again to know their sessions are not those
    /// that were counted.
    OtherHistory,
}

impl StopKind {
    /// The name that Python sees.
    pub const fn name(self) -> &'static str {
        match self {
            StopKind::GapInOffsets => "gap_in_offsets",
            StopKind::Truncated => "truncated",
            StopKind::OtherHistory => "other_history",
        }
    }
}

/// A stopped partition: its records are ignored until it is assigned anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStop {
    pub partition: i32,
    pub kind: StopKind,
    pub detail: String,
}

/// The counters' side of a partition.
pub(super) struct Counters {
    /// Where they stand, in memory: everything below is folded (or deferred).
    pub next: i64,
    /// CRC-32C of record `next` − 1.
    pub crc: Option<u32>,
    pub max_bucket: Option<i64>,
    pub max_timestamp: i64,
    /// Of the first records that were counted.
    pub passed: Passed,
    /// Which sessions are known again; `None` where the plan counts all.
    pub dedup: Option<Dedup>,
    /// Nobody has said yet from where the known sessions are to be read again.
    pub asleep: bool,
    /// Blocks of higher buckets have no stored cell, but for those that were
    /// evicted (`gone.rs`): M at the start, raised where evicted ones were
    /// forgotten. `None`: nothing is known to be absent.
    pub absent_above: Option<i64>,
    /// The position that is durable.
    pub durable: i64,
    /// The position of the flush in flight, or the durable one.
    pub frozen: i64,
    /// Blocks to be written.
    pub dirty: Vec<u32>,
    /// Kafka timestamp of the oldest record that is counted and not durable.
    pub oldest_unflushed: Option<i64>,
    /// The same for what is in the flush in flight.
    pub oldest_flying: Option<i64>,
}

impl Counters {
    /// `recall_from`: where the records begin whose sessions must be known.
    pub fn at(position: &CountersPosition, rules: &DedupRules, recall_from: Option<i64>) -> Self {
        let needs_none = rules.since(position.max_timestamp).is_none();
        let from = recall_from.unwrap_or(position.position);
        Self {
            dedup: rules.is_on().then(|| Dedup::from(rules, from)),
            asleep: recall_from.is_none() && !needs_none,
            next: position.position,
            crc: position.crc,
            passed: Passed::from(position.position),
            max_bucket: position.max_bucket,
            max_timestamp: position.max_timestamp,
            absent_above: position.max_bucket,
            durable: position.position,
            frozen: position.position,
            dirty: Vec::new(),
            oldest_unflushed: None,
            oldest_flying: None,
        }
    }

    /// Whether a block of this bucket can have no stored cell below our position, unless it was evicted.
    pub fn proves_absent(&self, bucket: u32) -> bool {
        self.absent_above
            .is_some_and(|highest| i64::from(bucket) > highest)
    }

    /// Blocks of this bucket, and of lower ones, may have stored cells.
    pub fn may_be_stored(&mut self, bucket: u32) {
        if let Some(highest) = &mut self.absent_above {
            *highest = (*highest).max(i64::from(bucket));
        }
    }

    pub fn raise_bucket(&mut self, bucket: u32) {
        if let Some(highest) = &mut self.max_bucket {
            *highest = (*highest).max(i64::from(bucket));
        }
    }

    /// The first record below `next` whose sessions are not known yet; `next`
    /// if there is none.
    #[inline]
    pub fn missing_from(&self) -> i64 {
        self.dedup.as_ref().map_or(self.next, |dedup| dedup.next)
    }

    /// Whether a record of this offset is the next one to be counted.
    #[inline]
    pub fn counts(&self, offset: i64) -> bool {
        self.next == offset && !self.asleep
    }

    /// Whether a record of this offset is the next one to be remembered only.
    #[inline]
    pub fn recalls(&self, offset: i64) -> bool {
        offset < self.next && self.missing_from() == offset
    }

    pub fn position(&self) -> CountersPosition {
        CountersPosition {
            position: self.next,
            max_bucket: self.max_bucket,
            crc: self.crc,
            max_timestamp: self.max_timestamp,
        }
    }
}

/// The archive's side of a partition.
pub(super) struct Archive<S> {
    pub sink: S,
    /// The next offset that goes into the buffer.
    pub next: i64,
    /// CRC-32C of record `next` − 1.
    pub crc: Option<u32>,
}

impl<S: ReportSink> Archive<S> {
    /// Takes a record if it is the next one; others pass by.
    pub fn take(
        &mut self,
        record: &Record<'_>,
        report: Result<&Report<'_>, Reason>,
        crc: u32,
    ) -> bool {
        if record.offset != self.next {
            return false;
        }
        self.sink.append(record, report, crc);
        self.next += 1;
        self.crc = Some(crc);
        true
    }
}

/// One assigned partition.
pub(super) struct Partition<S> {
    pub number: i32,
    /// Tells assignments of the same partition apart.
    pub epoch: u64,
    /// The next offset that may come.
    pub next: i64,
    /// The first of the batch at hand.
    pub batch_start: i64,
    pub stopped: bool,
    pub counters: Option<Counters>,
    pub archive: Option<Archive<S>>,
    /// CRCs of records that are to come again: (offset, CRC), in order.
    checks: Vec<(i64, u32)>,
}

impl<S> Partition<S> {
    pub fn new(number: i32, epoch: u64, next: i64) -> Self {
        Self {
            number,
            epoch,
            next,
            batch_start: next,
            stopped: false,
            counters: None,
            archive: None,
            checks: Vec::new(),
        }
    }

    /// Whoever passes this offset compares the record with this CRC.
    pub fn expect(&mut self, offset: i64, crc: u32) {
        if let Err(at) = self.checks.binary_search(&(offset, crc)) {
            self.checks.insert(at, (offset, crc));
        }
    }

    /// Whether a record of this offset was read before.
    #[inline]
    pub fn expects(&self, offset: i64) -> bool {
        self.checks
            .first()
            .is_some_and(|(first, _)| *first <= offset)
    }

    /// Takes out what was known up to this offset; the CRC that differs, if one does.
    #[cold]
    pub fn contradiction(&mut self, offset: i64, crc: u32) -> Option<u32> {
        let passed = self.checks.partition_point(|(at, _)| *at <= offset);
        self.checks
            .drain(..passed)
            .find(|(at, known)| *at == offset && *known != crc)
            .filter(|_| !trials::seeded(Bug::TruncationUnchecked))
            .map(|(_, known)| known)
    }

    /// A seeded bug: goes on at a higher offset, as if nothing were missing.
    pub fn jump(&mut self, offset: i64) {
        self.next = offset;
        if let Some(counters) = &mut self.counters {
            counters.next = counters.next.max(offset);
            if let Some(dedup) = &mut counters.dedup {
                dedup.next = counters.next;
            }
        }
        if let Some(archive) = &mut self.archive {
            archive.next = archive.next.max(offset);
        }
    }

    /// Whether the CRC-32C of a record of this offset is kept, beyond that of the last one.
    #[inline]
    pub fn keeps_crc(&self, offset: i64) -> bool {
        self.archive.as_ref().is_some_and(|a| a.next == offset)
            || self.counters.as_ref().is_some_and(|c| !c.passed.is_full())
    }

    /// Whether any sink takes a record of this offset.
    #[inline]
    pub fn wants(&self, offset: i64) -> bool {
        self.counters
            .as_ref()
            .is_some_and(|c| c.counts(offset) || c.recalls(offset))
            || self.archive.as_ref().is_some_and(|a| a.next == offset)
    }

    /// Everything below the counters' position is known: its highest Kafka time
    /// must be the recorded one.
    pub fn note_recalled(&mut self) -> Option<PartitionStop> {
        let number = self.number;
        let counters = self.counters.as_mut()?;
        let (recorded, found) = (counters.max_timestamp, counters.dedup.as_ref()?.latest);
        // Where nothing was read (a beginning), or nothing was recorded, what was found holds.
        counters.max_timestamp = found;
        if found < 0 || recorded < 0 || found == recorded {
            return None;
        }
        self.stopped = true;
        Some(PartitionStop {
            partition: number,
            kind: StopKind::OtherHistory,
            detail: format!(
                "the records below offset {} end at Kafka time {found} ms, they ended at {recorded} ms when they were counted: the log or the archive was replaced",
                counters.next
            ),
        })
    }
}
