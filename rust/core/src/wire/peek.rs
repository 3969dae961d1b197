//! Who sent a report, without reading what it says: for message keys.

use crate::crc::crc32;
use crate::reason::Reason;
use crate::report::{Report, Text};
use crate::wire::Limits;
use crate::wire::cursor::Cursor;
use crate::wire::decode::read_identity;
use crate::wire::frame::{Frame, protocol_of};
use crate::wire::layout::Layout;

/// The identity in a report's envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek<'a> {
    /// Field 1.
    pub protocol: u16,
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
    // Up to the last byte: a trailer, if there should be one, is not known here.
    identity_of(bytes, protocol_of(bytes, limits)?, limits)
}

/// As [`peek`], but only of a report whose CRC is right. Nothing behind field
/// 10 is read: it may still be unreadable.
///
/// # Errors
///
/// The reason that a whole decode would give, too.
pub fn peek_checked<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Peek<'a>, Reason> {
    let frame = Frame::of(bytes, limits)?;
    frame.verify()?;
    identity_of(frame.body, frame.layout, limits)
}

fn identity_of<'a>(bytes: &'a [u8], layout: Layout, limits: &Limits) -> Result<Peek<'a>, Reason> {
    let mut report = Report::default();
    let mut cursor = Cursor::new(bytes, limits.max_records);
    read_identity(&mut cursor, layout, &mut report)?;
    let device_id = report.device_ids.iter().find(|(kind, _)| *kind == 0);
    Ok(Peek {
        protocol: report.protocol,
        api_key: report.api_key,
        device_id: device_id.map_or(&[], |(_, bytes)| bytes),
    })
}

impl Peek<'_> {
    /// The Kafka message key: the API key and the device's shard of so many,
    /// so that the same session always meets the same partition.
    pub fn write_key(&self, shards: u32, out: &mut Vec<u8>) {
        let shard = crc32(self.device_id) % shards.max(1);
        out.extend_from_slice(self.api_key);
        out.extend_from_slice(format!("|{shard}").as_bytes());
    }
}

/// The message key of a report whose sender cannot be read: its CRC-32 in hex.
pub fn write_hash_key(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{:08x}", crc32(bytes)).as_bytes());
}

/// The Kafka message key of any bytes.
pub fn message_key(bytes: &[u8], limits: &Limits, shards: u32, out: &mut Vec<u8>) {
    match peek(bytes, limits) {
        Ok(peek) => peek.write_key(shards, out),
        Err(_) => write_hash_key(bytes, out),
    }
}
