//! A report of most protocols ends in a CRC-32, behind which no changed input
//! would ever come. A mutator changes what stands before it and writes a new one.

use flurry_core::crc::crc32;

const CRC_BYTES: usize = 4;

/// Changes the report in the first `size` of `bytes` with `mutate` (bytes, size,
/// most → size) and seals the result; `size` again.
pub fn mutate(
    bytes: &mut [u8],
    size: usize,
    mutate: impl FnOnce(&mut [u8], usize, usize) -> usize,
) -> usize {
    let Some(most) = bytes.len().checked_sub(CRC_BYTES) else {
        return mutate(bytes, size, bytes.len());
    };
    let body = match size.checked_sub(CRC_BYTES) {
        Some(body) if bytes.get(..size).is_some_and(ends_in_crc) => body,
        _ => size.min(most),
    };
    let body = mutate(bytes, body, most);
    match bytes.split_at_mut_checked(body) {
        Some((body, rest)) if ends_in_crc(body) => {
            if let Some(crc) = rest.first_chunk_mut() {
                *crc = crc32(body).to_be_bytes();
            }
            body.len() + CRC_BYTES
        }
        _ => body,
    }
}

/// Whether the report's protocol puts a CRC at its end.
pub fn ends_in_crc(bytes: &[u8]) -> bool {
    matches!(bytes, [high, low, ..] if u16::from_be_bytes([*high, *low]) >= 22)
}
