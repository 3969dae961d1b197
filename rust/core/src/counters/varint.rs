//! LEB128 of a u64 in the fewest bytes: one number, one encoding.

/// The most bytes that a u64 takes.
pub const MAX_BYTES: usize = 10;

/// Appends `value`.
#[inline]
pub fn write(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a number from the front of `bytes`; `None` if it is cut short, too
/// large for a u64, or longer than it needs to be.
pub fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for at in 0..MAX_BYTES {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7F);
        if at == MAX_BYTES - 1 && bits > 1 {
            return None;
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            let minimal = bits != 0 || at == 0;
            return minimal.then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let mut values = vec![0, 1, u64::MAX];
        for bit in 0..64 {
            values.extend([(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        }
        for value in values {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            assert!(bytes.len() <= MAX_BYTES);
            for cut in 0..bytes.len() {
                assert_eq!(read(&mut &bytes[..cut]), None);
            }
            bytes.push(7);
            let mut rest = bytes.as_slice();
            assert_eq!(read(&mut rest), Some(value));
            assert_eq!(rest, [7]);
        }
    }

    #[test]
    fn only_the_shortest_form() {
        assert_eq!(read(&mut [0x80, 0x00].as_slice()), None);
        assert_eq!(read(&mut [0xFF, 0x80, 0x00].as_slice()), None);
        let mut max = [0xFF; 10];
        max[9] = 1;
        assert_eq!(read(&mut max.as_slice()), Some(u64::MAX));
        max[9] = 2;
        assert_eq!(read(&mut max.as_slice()), None);
        max[9] = 0x81;
        assert_eq!(read(&mut max.as_slice()), None);
    }
}
