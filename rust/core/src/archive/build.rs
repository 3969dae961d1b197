//! Rows of one partition's archive, from decoded reports to a record batch.

use std::cell::RefCell;

use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType};

use super::columns::{Bytes, Ends, Numbers, OptBytes, Presence, structs};
use super::envelope::Envelope;
use super::schema;
use super::scribe::Scribe;
use super::sessions::{SessionLists, birth_shape};
use crate::engine::sink::Record;
use crate::identity::Fingerprints;
use crate::reason::Reason;
use crate::report::Report;
use crate::wire;

/// The outcome of a readable report; any other outcome is a [`Reason`]'s name.
pub const OUTCOME_OK: &str = "ok";

/// Arrow's texts end at 2 GiB. No column grows by more than a record's own
/// bytes, and no record is longer than 2 GiB, so a batch is closed before its
/// sum passes this, unless it holds one record only.
const MAX_BATCH_BYTES: usize = i32::MAX as usize;

thread_local! {
    /// Where a report is encoded again. One a thread, not one a partition.
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// More than this is not kept between reports.
const SCRATCH_BYTES: usize = 1 << 20;

/// Growing columns of one record batch.
#[derive(Debug, Default)]
pub struct Rows {
    scribe: Scribe,
    offset: Numbers<Int64Type>,
    timestamp: Numbers<TimestampMillisecondType>,
    key: OptBytes,
    headers: Headers,
    outcome: Bytes,
    crc: Numbers<UInt32Type>,
    raw: OptBytes,
    repaired: Numbers<Int32Type>,
    shape: Numbers<Int16Type>,
    envelope: Envelope,
    sessions: SessionLists,
    bytes: usize,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.offset.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An upper bound of what the texts of the columns hold, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the batch has room for one more such record.
    pub fn fits(&self, record: &Record<'_>) -> bool {
        self.is_empty() || self.bytes + weight(record) <= MAX_BATCH_BYTES
    }

    /// Adds one row, whole: the report was decoded before any column grew.
    pub fn push(
        &mut self,
        record: &Record<'_>,
        report: Result<&Report<'_>, Reason>,
        crc: u32,
        fingerprints: &Fingerprints,
    ) {
        self.offset.push(record.offset);
        self.timestamp.push(record.timestamp_ms);
        self.key.push(record.key);
        self.headers.push(record.headers);
        self.crc.push(crc);
        let outcome = report.map_or_else(Reason::name, |_| OUTCOME_OK);
        self.outcome.push(outcome.as_bytes());
        let report = report.ok();
        self.repaired
            .push(report.map_or(0, |r| r.repaired_errors.into()));
        let reproducible = self.push_report(report, record.payload, fingerprints);
        self.raw.push((!reproducible).then_some(record.payload));
        self.bytes += weight(record);
    }

    /// Fills the columns of the report; says whether they hold all of `payload`.
    fn push_report(
        &mut self,
        report: Option<&Report<'_>>,
        payload: &[u8],
        fingerprints: &Fingerprints,
    ) -> bool {
        self.scribe.start(report.is_none_or(|r| !r.non_ascii));
        self.envelope.push(&mut self.scribe, report);
        let mut shape = 0;
        if let Some(report) = report {
            let device = fingerprints.device(report.api_key, report.device_id());
            for session in &report.sessions {
                self.sessions
                    .push(&mut self.scribe, report, session, &device);
            }
            match birth_shape(report) {
                Some(bits) => shape = bits,
                None => self.scribe.lose(),
            }
            if report.non_ascii {
                shape |= schema::shape::CONVERTED;
            }
        }
        self.sessions.close();
        self.shape.push(shape);
        report.is_some_and(|report| self.scribe.exact() && encodes_to(report, payload))
    }

    /// The rows so far, as one batch of [`schema::SCHEMA`]; begins the next.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            self.offset.finish(&DataType::Int64)?,
            self.timestamp.finish(&schema::TIME)?,
            self.key.finish_binary()?,
            self.headers.finish()?,
            self.outcome.finish_text(None)?,
            self.crc.finish(&DataType::UInt32)?,
            self.raw.finish_binary()?,
            self.repaired.finish(&DataType::Int32)?,
            self.shape.finish(&DataType::Int16)?,
        ];
        self.envelope.finish(&mut columns)?;
        columns.push(self.sessions.finish()?);
        self.bytes = 0;
        RecordBatch::try_new(schema::SCHEMA.clone(), columns)
    }
}

/// What a record can add to any one column at most, in bytes.
fn weight(record: &Record<'_>) -> usize {
    let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    // Shown text is at most as long as wire text, but for bytes that are not
    // UTF-8: each may become the three of U+FFFD.
    record.payload.len() * 3 + len(record.key) + len(record.headers) + 64
}

/// Whether the report's canonical bytes are `payload`.
fn encodes_to(report: &Report<'_>, payload: &[u8]) -> bool {
    ENCODED.with_borrow_mut(|encoded| {
        encoded.clear();
        wire::encode(report, encoded);
        let same = encoded == payload;
        encoded.shrink_to(SCRATCH_BYTES);
        same
    })
}

/// `list<struct<name, value>>` of Kafka headers; names are bytes there.
#[derive(Debug, Default)]
struct Headers {
    present: Presence,
    ends: Ends,
    name: Bytes,
    value: OptBytes,
}

impl Headers {
    fn push(&mut self, flattened: Option<&[u8]>) {
        self.present.push(flattened.is_some());
        let mut rest = flattened.unwrap_or_default();
        while let Some((name, value, after)) = next_header(rest) {
            self.name.push(name);
            self.value.push(value);
            rest = after;
        }
        if !rest.is_empty() {
            // Not made by our drain; kept, whatever it is.
            self.name.push(&[]);
            self.value.push(Some(rest));
        }
        self.ends.push(self.name.len());
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![self.name.finish_binary(None)?, self.value.finish_binary()?];
        let headers = structs(&schema::HEADER_FIELDS, children, None)?;
        let nulls = self.present.finish();
        self.ends.finish(&schema::HEADER, headers, nulls)
    }
}

/// Name, value, and the bytes behind them.
type Header<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// Splits the first header off what `csrc/batch.h` calls flattened headers.
fn next_header(bytes: &[u8]) -> Option<Header<'_>> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    match i32::from_le_bytes(*len) {
        -1 => Some((name, None, rest)),
        len => {
            let (value, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            Some((name, Some(value), rest))
        }
    }
}
