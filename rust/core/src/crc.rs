//! The two checksums of bytes, and what each is for.

/// CRC-32 (zlib), as the agents use it: the trailer of a report. Blocks end
/// with it, too; shards and the salt of rows are made of it.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// CRC-32C (Castagnoli) of a whole payload: what a record is known again by.
///
/// CRC-32 would not do: behind a body, its own CRC-32 in big-endian cancels
/// half of what the CRC-32 of the whole would say, and leaves 65,536 values.
pub fn crc32c(payload: &[u8]) -> u32 {
    crc32c::crc32c(payload)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::wire;
    use crate::wire::samples::rich;

    /// Reports that differ in their creation time: among some hundreds, two
    /// meet in CRC-32, as 65,536 values let expect.
    #[test]
    fn reports_that_share_their_crc32_are_told_apart() {
        let mut seen = HashMap::new();
        let mut met = 0;
        for step in 0..2_000_i64 {
            let mut report = rich(30);
            report.created_ms = step.wrapping_mul(0x5851_F42D_4C95_7F2D); // scattered: a CRC is linear
            let mut bytes = Vec::new();
            wire::encode(&report, &mut bytes);
            if let Some(other) = seen.insert(crc32(&bytes), bytes.clone()) {
                assert_ne!(crc32c(&bytes), crc32c(&other));
                assert_eq!(bytes.len(), other.len());
                met += 1;
            }
        }
        assert!(met > 0);
    }

    #[test]
    fn check_values_of_both() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b""), 0);
    }
}
