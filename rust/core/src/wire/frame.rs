//! What surrounds the body: size, protocol number and CRC-32 trailer.

use crate::crc::crc32;
use crate::reason::Reason;
use crate::wire::Limits;
use crate::wire::layout::Layout;

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

    /// Compares the trailer, where there is one.
    pub(crate) fn verify(&self) -> Result<(), Reason> {
        match self.trailer {
            Some(trailer) if crc32(self.body) != u32::from_be_bytes(trailer) => Err(Reason::BadCrc),
            _ => Ok(()),
        }
    }
}
