//! Names of a block in the store: table, row and column qualifier.

use crate::clock::{HOUR_MS, civil};
use crate::crc::crc32;

/// Bytes of a qualifier.
pub const QUALIFIER_BYTES: usize = 10;
/// Between the api key and the bucket: what kind of row it is.
const HOURS: u8 = b'h';
/// salt, length, marker and bucket.
const FIXED_BYTES: usize = 1 + 1 + 1 + 4;

/// The row of an app's hour, or `None` for an api key of more than 255 bytes.
pub fn row_key(api_key: &[u8], bucket: u32) -> Option<Vec<u8>> {
    let mut row = Vec::with_capacity(FIXED_BYTES + api_key.len());
    write_row(api_key, bucket, &mut row).then_some(row)
}

/// Appends the row of an app's hour; false (and nothing) for a key of more than 255 bytes.
pub fn write_row(api_key: &[u8], bucket: u32, out: &mut Vec<u8>) -> bool {
    let Ok(length) = u8::try_from(api_key.len()) else {
        return false;
    };
    out.extend([salt(api_key), length]);
    out.extend_from_slice(api_key);
    out.push(HOURS);
    out.extend(bucket.to_be_bytes());
    true
}

/// What a row names: (api key, bucket); `None` if it is not the row of a block.
pub fn parse_row(row: &[u8]) -> Option<(&[u8], u32)> {
    let (&[salted, length], rest) = row.split_first_chunk::<2>()?;
    let (api_key, rest) = rest.split_at_checked(usize::from(length))?;
    let &[HOURS, a, b, c, d] = rest else {
        return None;
    };
    (salted == salt(api_key)).then_some((api_key, u32::from_be_bytes([a, b, c, d])))
}

/// Low byte of the CRC-32 of the api key: spreads apps over pre-split regions.
pub fn salt(api_key: &[u8]) -> u8 {
    crc32(api_key) as u8
}

/// `YYYYMM` of the bucket's start in UTC, as a number.
pub fn month(bucket: u32) -> u32 {
    let (year, month, _) = civil(i64::from(bucket) * HOUR_MS);
    u32::try_from(year).unwrap_or(0) * 100 + month
}

/// The table that holds a month's blocks.
pub fn table_name(month: u32) -> String {
    format!("counters_{month:06}")
}

/// The table that holds a bucket's blocks.
pub fn table_of(bucket: u32) -> String {
    table_name(month(bucket))
}

/// The column of one plan, topic incarnation and partition.
pub fn qualifier(plan: u32, incarnation: u32, partition: u16) -> [u8; QUALIFIER_BYTES] {
    let mut bytes = [0; QUALIFIER_BYTES];
    let parts = plan
        .to_be_bytes()
        .into_iter()
        .chain(incarnation.to_be_bytes())
        .chain(partition.to_be_bytes());
    bytes
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_what_they_name() {
        for key in [&b""[..], b"A", b"QFNXVFK2XX4P56GS76EA", &[0xC3; 255]] {
            for bucket in [0, 384_552, u32::MAX] {
                let row = row_key(key, bucket).unwrap();
                assert_eq!(parse_row(&row), Some((key, bucket)));
                for cut in 0..row.len() {
                    assert_eq!(parse_row(&row[..cut]), None);
                }
                let mut other = row.clone();
                other[0] ^= 1;
                assert_eq!(parse_row(&other), None, "the salt is checked");
                other = row.clone();
                other.push(0);
                assert_eq!(parse_row(&other), None);
                other = row;
                let marker = other.len() - 5;
                other[marker] = b'd';
                assert_eq!(parse_row(&other), None);
            }
        }
        assert_eq!(row_key(&[b'x'; 256], 0), None);
    }

    #[test]
    fn golden_names() {
        // CRC-32 of "KEY" is 0x30eddb82... of nothing 0.
        assert_eq!(row_key(b"", 1).unwrap(), b"\0\0h\0\0\0\x01");
        let row = row_key(b"KEY", 384_552).unwrap();
        assert_eq!(row[0], crc32fast::hash(b"KEY") as u8);
        assert_eq!(&row[1..], b"\x03KEYh\x00\x05\xde\x28");
        assert_eq!(table_of(384_552), "counters_201311");
        assert_eq!(table_of(0), "counters_197001");
        assert_eq!(
            table_of(crate::clock::bucket(crate::clock::LAST_MS)),
            "counters_999912"
        );
        assert_eq!(
            qualifier(0x0102_0304, 0x0506_0708, 0x090A),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        );
    }

    #[test]
    fn months_change_at_their_first_hour() {
        let november = 384_240; // 2013-11-01T00Z
        assert_eq!(month(november), 201_311);
        assert_eq!(month(november - 1), 201_310);
    }
}
