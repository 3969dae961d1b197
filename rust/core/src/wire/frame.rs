//! What surrounds the body: size, protocol number and CRC-32 trailer.

use crate::reason::Reason;
use crate::wire::Limits;
use crate::wire::layout::Layout;

/// CRC-32 (zlib) of a whole payload, trailer included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub u32);

/// The checksum of any payload; [`crate::wire::decode`] returns the same one
/// without a second pass over the bytes.
pub fn checksum(bytes: &[u8]) -> Checksum {
    Checksum(crc32fast::hash(bytes))
}

/// Steps 1 and 2 of the order of reasons.
pub(crate) fn protocol_of(bytes: &[u8], limits: &Limits) -> Result<Layout, Reason> {
    if bytes.len() > limits.max_report_bytes {
        return Err(Reason::OverBudget);
    }
    let protocol = bytes.first_chunk().ok_or(Reason::Truncated)?;
    Layout::of(u16::from_be_bytes(*protocol)).ok_or(Reason::UnknownProtocol)
}

/// A payload whose frame is sound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) layout: Layout,
    /// Everything but the trailer; the protocol number still stands in it.
    pub(crate) body: &'a [u8],
    /// The trailer, where the protocol has one.
    pub(crate) trailer: Option<[u8; 4]>,
}

impl<'a> Frame<'a> {
    /// Steps 1 to 3 of the order of reasons, but for the comparison of the CRC.
    pub(crate) fn of(bytes: &'a [u8], limits: &Limits) -> Result<Frame<'a>, Reason> {
        let layout = protocol_of(bytes, limits)?;
        if !layout.has_trailer() {
            return Ok(Frame {
                layout,
                body: bytes,
                trailer: None,
            });
        }
        let (body, trailer) = bytes.split_last_chunk().ok_or(Reason::Truncated)?;
        if body.len() < 2 {
            return Err(Reason::Truncated);
        }
        Ok(Frame {
            layout,
            body,
            trailer: Some(*trailer),
        })
    }

    /// Compares the trailer and gives the checksum of the whole payload.
    pub(crate) fn verify(&self) -> Result<Checksum, Reason> {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.body);
        let Some(trailer) = self.trailer else {
            return Ok(Checksum(hasher.finalize()));
        };
        if hasher.clone().finalize() != u32::from_be_bytes(trailer) {
            return Err(Reason::BadCrc);
        }
        hasher.update(&trailer);
        Ok(Checksum(hasher.finalize()))
    }
}
