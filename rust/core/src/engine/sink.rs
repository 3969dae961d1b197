//! What a consumer of decoded records offers the engine: one call a record,
//! in offset order, with the report already read.

use crate::reason::Reason;
use crate::report::Report;

/// One Kafka record, borrowed from the batch it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub partition: i32,
    pub offset: i64,
    /// Kafka's timestamp, ms since the epoch; as it stands, even if negative.
    pub timestamp_ms: i64,
    /// The value; a tombstone's (null) is empty.
    pub payload: &'a [u8],
    /// `None`: the record has no key.
    pub key: Option<&'a [u8]>,
    /// Flattened as `csrc/batch.h` says; `None`: no headers.
    pub headers: Option<&'a [u8]>,
}

/// Takes the records of one partition. `report` is all or nothing: a record
/// that did not decode whole arrives as its reason, so nothing is ever undone.
pub trait ReportSink {
    /// `crc` is the CRC-32C of the whole payload, readable or not.
    fn append(&mut self, record: &Record<'_>, report: Result<&Report<'_>, Reason>, crc: u32);

    /// An estimate of the memory that it holds, in bytes.
    fn memory(&self) -> usize {
        0
    }
}

/// Takes nothing: an engine that only counts.
impl ReportSink for () {
    fn append(&mut self, _: &Record<'_>, _: Result<&Report<'_>, Reason>, _: u32) {}
}
