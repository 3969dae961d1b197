//! Rows of one partition's archive: columns that grow report by report.

use std::ops::Range;

use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};

use super::columns::{Ends, Numbers, OptBytes, OptTexts};
use super::envelope::Envelope;
use super::intern::Texts;
use super::key::Key;
use super::presence::Presence;
use super::schema;
use super::scribe::{Scratch, Scribe};
use super::sessions::{SessionLists, birth_shape};
use super::visit::{Memory, Visitor};
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

/// A page of every column ends after this many rows …
const PAGE_ROWS: usize = 20_000;
/// … or this many bytes of payload: a reader holds a page of each column.
const PAGE_BYTES: usize = 24 << 20;

/// Columns are measured again after this many bytes of records; in between a
/// record counts as its payload and what a row costs beside.
const LOOK_BYTES: usize = 1 << 18;
const ROW_BYTES: usize = 512;

/// Growing columns of one row group.
#[derive(Debug, Default)]
pub struct Rows {
    scratch: Scratch,
    offset: Numbers<Int64Type>,
    timestamp: Numbers<TimestampMillisecondType>,
    key: OptTexts,
    headers: Headers,
    outcome: Texts,
    crc: Numbers<UInt32Type>,
    raw: OptBytes,
    repaired: Numbers<Int32Type>,
    shape: Numbers<Int16Type>,
    envelope: Envelope,
    sessions: SessionLists,
    bytes: usize,
    /// Where pages end: the number of rows before each end.
    cuts: Vec<usize>,
    /// Payload bytes behind the last cut.
    page_bytes: usize,
    /// What the columns held when they were last looked at, in bytes.
    held: usize,
    /// Bytes of records behind that.
    since: usize,
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
        self.key.push(record.key, &[]);
        self.headers.push(record.headers);
        self.crc.push(crc);
        let outcome = report.map_or_else(Reason::name, |_| OUTCOME_OK);
        self.outcome
            .push(&Key::of(outcome.as_bytes()), outcome.as_bytes());
        let report = report.ok();
        self.repaired
            .push(report.map_or(0, |r| r.repaired_errors.into()));
        let reproducible = self.push_report(report, record.payload, fingerprints);
        self.raw.push((!reproducible).then_some(record.payload));
        self.bytes += weight(record);
        self.page_bytes += record.payload.len();
        self.since += record.payload.len() + ROW_BYTES;
        let in_page = self.len() - self.cuts.last().copied().unwrap_or(0);
        if in_page >= PAGE_ROWS || self.page_bytes >= PAGE_BYTES {
            self.cuts.push(self.len());
            self.page_bytes = 0;
        }
        if self.since >= LOOK_BYTES {
            let mut memory = Memory::default();
            self.visit(&mut memory);
            (self.held, self.since) = (memory.bytes, 0);
        }
    }

    /// About what the columns hold, in bytes.
    pub fn memory(&self) -> usize {
        self.held + self.since
    }

    /// The rows of each page, one behind the other.
    pub fn pages(&self) -> impl Iterator<Item = Range<usize>> {
        let ends = self.cuts.iter().copied().chain([self.len()]);
        let starts = [0].into_iter().chain(self.cuts.iter().copied());
        starts
            .zip(ends)
            .map(|(a, b)| a..b)
            .filter(|page| !page.is_empty())
    }

    /// Fills the columns of the report; says whether they hold all of `payload`.
    fn push_report(
        &mut self,
        report: Option<&Report<'_>>,
        payload: &[u8],
        fingerprints: &Fingerprints,
    ) -> bool {
        let plain = report.is_none_or(|r| !r.non_ascii);
        let mut scribe = Scribe::new(plain, payload, &mut self.scratch);
        if let Some(report) = report {
            self.envelope.prepare(&scribe, report);
            self.sessions.prepare(&scribe, report);
        }
        self.envelope.push(&mut scribe, report);
        let mut shape = 0;
        if let Some(report) = report {
            let device = fingerprints.device(report.api_key, report.device_id());
            for session in &report.sessions {
                self.sessions.push(&mut scribe, report, session, &device);
            }
            match birth_shape(report) {
                Some(bits) => shape = bits,
                None => scribe.lose(),
            }
            if report.non_ascii {
                shape |= schema::shape::CONVERTED;
            }
        }
        self.sessions.close();
        self.shape.push(shape);
        report.is_some_and(|report| {
            let canonical = canonical(report);
            debug_assert!(!canonical || encodes_to(report, payload));
            canonical && scribe.exact()
        })
    }

    /// Shows every column to `visitor`, in the schema's order.
    pub fn visit(&self, visitor: &mut impl Visitor) {
        visitor.numbers::<Int64Type>(None, &self.offset.values);
        visitor.numbers::<TimestampMillisecondType>(None, &self.timestamp.values);
        visitor.opt_texts(&self.key);
        self.headers.visit(visitor);
        visitor.own_texts(&self.outcome);
        visitor.numbers::<UInt32Type>(None, &self.crc.values);
        visitor.opt_bytes(&self.raw);
        visitor.numbers::<Int32Type>(None, &self.repaired.values);
        visitor.numbers::<Int16Type>(None, &self.shape.values);
        self.envelope.visit(visitor);
        self.sessions.visit(visitor);
    }
}

/// What a record can add to any one column at most, in bytes.
fn weight(record: &Record<'_>) -> usize {
    let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    // Shown text is at most as long as wire text, but for bytes that are not
    // UTF-8: each may become the three of U+FFFD.
    record.payload.len() * 3 + len(record.key) + len(record.headers) + 64
}

/// Whether the report is encoded to the very bytes that it was decoded from.
///
/// Decoding proves it. The plain course reads left to right, and each byte that
/// it takes either goes into a field of the report, whole, or is compared with
/// the one value that the encoder writes there (flags are 0 or 1, reserved
/// fields and tails constants, the trailer the CRC-32 of what is before it);
/// nothing may be left. The encoder writes the same fields in the same order,
/// so what it writes can differ nowhere. Only a repaired report was read in
/// another way. Tests hold it against every byte of every protocol
/// (`wire::tests`), the fuzzer against whatever it finds (`round_trip`), and
/// builds with debug assertions against every row.
fn canonical(report: &Report<'_>) -> bool {
    report.repaired_errors == 0
}

/// Whether the report's encoded bytes are `payload`.
fn encodes_to(report: &Report<'_>, payload: &[u8]) -> bool {
    let mut encoded = Vec::with_capacity(payload.len());
    wire::encode(report, &mut encoded);
    encoded == payload
}

/// `list<struct<name, value>>` of Kafka headers; names are bytes there.
#[derive(Debug, Default)]
struct Headers {
    present: Presence,
    ends: Ends,
    name: Texts,
    value: OptTexts,
}

impl Headers {
    fn push(&mut self, flattened: Option<&[u8]>) {
        self.present.push(flattened.is_some());
        let mut rest = flattened.unwrap_or_default();
        while let Some((name, value, after)) = next_header(rest) {
            self.name.push(&Key::within(name, rest), name);
            self.value.push(value, rest);
            rest = after;
        }
        if !rest.is_empty() {
            // Not made by our drain; kept, whatever it is.
            self.name.push(&Key::of(&[]), &[]);
            self.value.push(Some(rest), &[]);
        }
        self.ends.push(self.name.len());
    }

    fn visit(&self, visitor: &mut impl Visitor) {
        visitor.list(Some(&self.present), &self.ends, |v| {
            v.own_texts(&self.name);
            v.opt_texts(&self.value);
        });
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
