//! Several records in one input: for each two bytes of length, then its body.

use flurry_core::crc::crc32;

use crate::seal;

/// Half of the lengths that a file says are those of records that stay unsealed.
const UNSEALED: u16 = 0x8000;

/// The payloads, with a CRC where their protocol has one.
pub fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = u16::from_be_bytes(*length);
        let body = rest.len().min(usize::from(length & !UNSEALED));
        let (body, rest) = rest.split_at(body);
        let mut payload = body.to_vec();
        if length & UNSEALED == 0 && seal::ends_in_crc(body) {
            payload.extend(crc32(body).to_be_bytes());
        }
        payloads.push(payload);
        bytes = rest;
    }
    payloads
}

/// The input that `split` makes payloads of, if none is longer than a length can say.
pub fn join<'p>(payloads: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in payloads {
        let (body, unsealed) = match payload.split_last_chunk() {
            Some((body, crc))
                if seal::ends_in_crc(body) && crc32(body) == u32::from_be_bytes(*crc) =>
            {
                (body, 0)
            }
            _ => (payload, UNSEALED),
        };
        out.extend((body.len() as u16 | unsealed).to_be_bytes());
        out.extend(body);
    }
    out
}
