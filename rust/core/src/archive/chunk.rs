//! One partition's part of the archive between two claims.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use sha2::{Digest, Sha256};

use super::arrow::record_batch;
use super::build::Rows;
use crate::engine::sink::{Record, ReportSink};
use crate::identity::Fingerprints;
use crate::reason::Reason;
use crate::report::Report;

/// A row group of the file is closed at this many rows …
const BATCH_ROWS: usize = 100_000;
/// … or this many bytes of records.
const BATCH_BYTES: usize = 3 * (128 << 20);

/// SHA-256 over `offset (i64) | CRC-32C (u32)`, big-endian, of every row. The
/// bytes stand in it by their CRC, so that it costs next to nothing, and anyone
/// can compute it from two columns of a file with standard tools.
#[derive(Debug, Clone, Default)]
pub struct RowChecksum(Sha256);

impl RowChecksum {
    pub fn update(&mut self, offset: i64, crc: u32) {
        let mut row = [0; 12];
        let (first, second) = row.split_at_mut(8);
        first.copy_from_slice(&offset.to_be_bytes());
        second.copy_from_slice(&crc.to_be_bytes());
        self.0.update(row);
    }

    pub fn hex(&self) -> String {
        use std::fmt::Write;
        let mut hex = String::with_capacity(64);
        for byte in self.0.clone().finalize() {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// Least and greatest of what was seen; `None` before the first.
pub type Range = Option<(i64, i64)>;

fn widen(range: &mut Range, value: i64) {
    let (least, most) = range.unwrap_or((value, value));
    *range = Some((least.min(value), most.max(value)));
}

/// What the footer of a file says about its rows.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Offset of the first row, and the end of the file before.
    pub start: i64,
    /// One past the last row's offset.
    pub end: i64,
    pub rows: u64,
    /// Payload bytes as they came from Kafka.
    pub wire_bytes: u64,
    /// Kafka timestamps, ms.
    pub timestamps: Range,
    /// Session starts by the devices' own clocks, ms.
    pub event_times: Range,
    /// CRC-32C of the last row's payload.
    pub last_crc: Option<u32>,
    pub checksum: RowChecksum,
}

impl Summary {
    fn starting_at(position: i64) -> Self {
        Self {
            start: position,
            end: position,
            ..Self::default()
        }
    }
}

/// Rows that are ready to become one file.
#[derive(Debug)]
pub struct ArchiveChunk {
    pub summary: Summary,
    /// At least one row each, in offset order: the row groups of the file.
    pub groups: Vec<Rows>,
    /// What the columns hold, in bytes.
    pub memory: usize,
}

impl ArchiveChunk {
    /// The rows as Arrow, one batch a row group.
    pub fn batches(&self) -> Result<Vec<RecordBatch>, ArrowError> {
        self.groups.iter().map(record_batch).collect()
    }
}

/// Gathers the rows of one partition.
#[derive(Debug)]
pub struct ArchiveBuilder {
    fingerprints: Fingerprints,
    summary: Summary,
    rows: Rows,
    sealed: Vec<Rows>,
    sealed_bytes: usize,
}

impl ArchiveBuilder {
    /// Stands at `position`: the first row will be the record of that offset or a later one.
    pub fn new(fingerprints: Fingerprints, position: i64) -> Self {
        Self {
            fingerprints,
            summary: Summary::starting_at(position),
            rows: Rows::default(),
            sealed: Vec::new(),
            sealed_bytes: 0,
        }
    }

    /// What a `take` now would hold.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The next offset it takes; records below are passed by (a rewind for another sink).
    pub fn next_offset(&self) -> i64 {
        self.summary.end
    }

    /// An estimate of the memory that its rows hold, in bytes.
    pub fn memory(&self) -> usize {
        self.sealed_bytes + self.rows.memory()
    }

    /// Drops every row and stands at `position`.
    pub fn reset(&mut self, position: i64) {
        *self = Self::new(self.fingerprints, position);
    }

    /// All rows so far, or nothing if there are none; the next chunk starts at
    /// this one's end.
    pub fn take(&mut self) -> Option<ArchiveChunk> {
        self.seal();
        if self.summary.rows == 0 {
            return None;
        }
        let next = Summary::starting_at(self.summary.end);
        Some(ArchiveChunk {
            memory: std::mem::take(&mut self.sealed_bytes),
            summary: std::mem::replace(&mut self.summary, next),
            groups: std::mem::take(&mut self.sealed),
        })
    }

    fn seal(&mut self) {
        if !self.rows.is_empty() {
            self.sealed_bytes += self.rows.memory();
            self.sealed.push(std::mem::take(&mut self.rows));
        }
    }
}

impl ReportSink for ArchiveBuilder {
    fn memory(&self) -> usize {
        ArchiveBuilder::memory(self)
    }

    fn append(&mut self, record: &Record<'_>, report: Result<&Report<'_>, Reason>, crc: u32) {
        if record.offset < self.summary.end {
            return;
        }
        if !self.rows.fits(record)
            || self.rows.len() >= BATCH_ROWS
            || self.rows.bytes() >= BATCH_BYTES
        {
            self.seal();
        }
        self.rows.push(record, report, crc, &self.fingerprints);
        let summary = &mut self.summary;
        summary.end = record.offset.saturating_add(1);
        summary.rows += 1;
        summary.wire_bytes += record.payload.len() as u64;
        summary.last_crc = Some(crc);
        summary.checksum.update(record.offset, crc);
        widen(&mut summary.timestamps, record.timestamp_ms);
        for session in report.iter().flat_map(|report| &report.sessions) {
            widen(&mut summary.event_times, session.start_ms);
        }
    }
}
