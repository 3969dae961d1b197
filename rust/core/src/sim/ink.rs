//! Texts of one chunk of reports, written into an arena that is emptied when
//! the chunk is encoded, so that a `Report` can borrow them.

use bumpalo::Bump;

use crate::report::Text;

/// Writes texts that live as long as the arena.
#[derive(Clone, Copy)]
pub struct Ink<'a>(pub &'a Bump);

impl<'a> Ink<'a> {
    pub fn copy(self, bytes: &[u8]) -> Text<'a> {
        self.0.alloc_slice_copy(bytes)
    }

    /// The parts, one after the other.
    pub fn join(self, parts: &[&[u8]]) -> Text<'a> {
        let total = parts.iter().map(|part| part.len()).sum();
        let text = self.0.alloc_slice_fill_copy(total, 0u8);
        let mut rest = &mut *text;
        for part in parts {
            let Some((here, after)) = rest.split_at_mut_checked(part.len()) else {
                break;
            };
            here.copy_from_slice(part);
            rest = after;
        }
        text
    }

    pub fn repeat(self, part: &[u8], times: usize) -> Text<'a> {
        self.0.alloc_slice_copy(&part.repeat(times))
    }

    pub fn decimal(self, number: u64) -> Text<'a> {
        self.copy(Decimal::of(number).bytes())
    }

    /// 16 lower-case hexadecimal digits after a prefix.
    pub fn hex(self, prefix: &[u8], number: u64) -> Text<'a> {
        let mut digits = [0u8; 16];
        for (i, digit) in digits.iter_mut().enumerate() {
            let nibble = (number >> (60 - 4 * i)) as u8 & 15;
            *digit = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
        }
        self.join(&[prefix, &digits])
    }
}

/// A number as ASCII digits, without an allocation.
pub struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub fn of(mut number: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = 20;
        for (i, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (number % 10) as u8;
            start = i;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        Decimal { digits, start }
    }

    pub fn bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_texts() {
        let bump = Bump::new();
        let ink = Ink(&bump);
        assert_eq!(ink.join(&[b"a", b"", b"bc"]), b"abc");
        assert_eq!(ink.decimal(0), b"0");
        assert_eq!(ink.decimal(u64::MAX), u64::MAX.to_string().as_bytes());
        assert_eq!(
            ink.hex(b"AND", 0x9f3c_0d5b_7a1e_2468),
            b"AND9f3c0d5b7a1e2468"
        );
        assert_eq!(ink.repeat(b"ab", 2), b"abab");
    }
}
