//! Who sent a report, without reading what it says: for message keys.

use crate::crc::crc32;
use crate::reason::Reason;
use crate::report::{Report, Text};
use crate::wire::Limits;
use crate::wire::cursor::Cursor;
use crate::wire::decode::read_identity;
use crate::wire::frame::protocol_of;

/// The identity in a report's envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek<'a> {
    /// Field 8, 1 to 255 bytes.
    pub api_key: Text<'a>,
    /// The first device id of type 0; empty without one.
    pub device_id: &'a [u8],
}

/// Reads fields 1 to 10 and nothing else; the CRC is not looked at.
///
/// # Errors
///
/// The reason why those fields cannot be read.
pub fn peek<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Peek<'a>, Reason> {
    let layout = protocol_of(bytes, limits)?;
    let mut report = Report::default();
    // Up to the last byte: a trailer, if there should be one, is not known here.
    let mut cursor = Cursor::new(bytes, limits.max_records);
    read_identity(&mut cursor, layout, &mut report)?;
    let device_id = report.device_ids.iter().find(|(kind, _)| *kind == 0);
    Ok(Peek {
        api_key: report.api_key,
        device_id: device_id.map_or(&[], |(_, bytes)| bytes),
    })
}

/// The Kafka message key of a report: its API key and the device's shard, so
/// that the same session always meets the same partition.
pub fn message_key(bytes: &[u8], limits: &Limits, shards: u32, out: &mut Vec<u8>) {
    match peek(bytes, limits) {
        Ok(peek) => {
            let shard = crc32(peek.device_id) % shards.max(1);
            out.extend_from_slice(peek.api_key);
            out.extend_from_slice(format!("|{shard}").as_bytes());
        }
        Err(_) => out.extend_from_slice(format!("{:08x}", crc32(bytes)).as_bytes()),
    }
}
