//! Archive rows become the bytes of the records again, exactly, or an error:
//! from `raw` where it is there, else encoded from the columns. Every row is
//! checked against its CRC-32C.

mod rows;
mod view;

use std::fmt;

use arrow_array::types::{Int16Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{Array, BinaryArray, PrimitiveArray, RecordBatch, StringArray};

use self::rows::ReportColumns;
use self::view::Columns;
use super::OUTCOME_OK;
use super::chunk::RowChecksum;
use crate::crc::crc32c;
use crate::report::Report;
use crate::wire;

/// Why rows cannot be turned back into bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreError {
    /// The batch is not of the archive's schema.
    Column { name: String, fault: &'static str },
    /// A row's columns contradict each other.
    Row { offset: i64, fault: String },
    /// The bytes do not have the CRC-32C that was stored with them.
    Checksum {
        offset: i64,
        stored: u32,
        found: u32,
    },
}

impl RestoreError {
    fn column(name: &str, fault: &'static str) -> Self {
        Self::Column {
            name: name.to_owned(),
            fault,
        }
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column { name, fault } => write!(f, "column {name} {fault}"),
            Self::Row { offset, fault } => write!(f, "the row of offset {offset}: {fault}"),
            Self::Checksum {
                offset,
                stored,
                found,
            } => write!(
                f,
                "the row of offset {offset} restores to bytes of CRC-32C {found:08x}, not {stored:08x}"
            ),
        }
    }
}

impl std::error::Error for RestoreError {}

/// Records as they were read from Kafka, but for headers.
#[derive(Debug, Default)]
pub struct Restored {
    /// Payloads, one after the other.
    pub payload: Vec<u8>,
    /// Where each payload starts, and the end of the last: rows + 1 numbers.
    pub payload_offsets: Vec<i64>,
    pub offsets: Vec<i64>,
    /// Kafka timestamps, ms.
    pub timestamps: Vec<i64>,
    pub keys: Vec<u8>,
    /// As `payload_offsets`; a missing key is empty.
    pub key_offsets: Vec<i64>,
    /// Of these rows; goes on from batch to batch if handed over.
    pub checksum: RowChecksum,
    /// CRC-32C of the last payload.
    pub last_crc: Option<u32>,
    /// Rows whose bytes came from `raw`.
    pub raw_rows: u64,
}

/// The bytes of every row of `batch`, which must hold all columns of the schema.
pub fn restore(batch: &RecordBatch, checksum: RowChecksum) -> Result<Restored, RestoreError> {
    let offset: PrimitiveArray<Int64Type> = batch.get("offset")?;
    let timestamp: PrimitiveArray<TimestampMillisecondType> = batch.get("kafka_timestamp")?;
    let key: BinaryArray = batch.get("key")?;
    let outcome: StringArray = batch.get("outcome")?;
    let crc: PrimitiveArray<UInt32Type> = batch.get("crc32c")?;
    let raw: BinaryArray = batch.get("raw")?;
    let shape: PrimitiveArray<Int16Type> = batch.get("shape")?;
    let columns = ReportColumns::new(batch)?;

    let mut out = Restored {
        payload_offsets: vec![0],
        key_offsets: vec![0],
        checksum,
        ..Restored::default()
    };
    let mut report = Report::default();
    for row in 0..batch.num_rows() {
        let at = offset.value(row);
        let start = out.payload.len();
        if raw.is_valid(row) {
            out.payload.extend_from_slice(raw.value(row));
            out.raw_rows += 1;
        } else if outcome.value(row) == OUTCOME_OK {
            columns
                .fill(row, shape.value(row), &mut report)
                .map_err(|fault| RestoreError::Row { offset: at, fault })?;
            wire::encode(&report, &mut out.payload);
        } else {
            let fault = format!("outcome {:?} without raw bytes", outcome.value(row));
            return Err(RestoreError::Row { offset: at, fault });
        }
        let payload = out.payload.get(start..).unwrap_or_default();
        let found = crc32c(payload);
        let stored = crc.value(row);
        if found != stored {
            return Err(RestoreError::Checksum {
                offset: at,
                stored,
                found,
            });
        }
        out.checksum.update(at, found);
        out.last_crc = Some(found);
        out.payload_offsets.push(out.payload.len() as i64);
        out.offsets.push(at);
        out.timestamps.push(timestamp.value(row));
        if key.is_valid(row) {
            out.keys.extend_from_slice(key.value(row));
        }
        out.key_offsets.push(out.keys.len() as i64);
    }
    Ok(out)
}
