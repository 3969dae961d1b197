//! Modified UTF-8, as Java's `DataOutput` writes and `readUTF` accepts it, and
//! its way to UTF-8 and back.

use std::borrow::Cow;

use crate::reason::Reason;
use crate::report::Text;

const HIGH: u64 = 0x8080_8080_8080_8080;

/// Texts of up to so many bytes are looked at in one go, whatever their length.
pub(crate) const SHORT: usize = 32;

/// `KEEP.0[SHORT - n..]` begins with n bytes of ones, then zeros. Aligned, so
/// that no window of it crosses a cache line.
static KEEP: Keep = {
    let mut keep = [0; 2 * SHORT];
    let mut n = 0;
    while n < SHORT {
        keep[n] = 0xff;
        n += 1;
    }
    Keep(keep)
};

#[repr(align(64))]
struct Keep([u8; 2 * SHORT]);

/// The first `n` bytes of `from_here` as words, zeros behind them; `None` if
/// there are more than 32, or fewer than that within reach. Most texts are
/// short, and reading too much with the surplus masked off costs no branch and
/// no loop.
#[inline(always)]
pub(crate) fn words(n: usize, from_here: &[u8]) -> Option<[u64; SHORT / 8]> {
    let from = SHORT.checked_sub(n)?;
    let chunk = from_here.first_chunk::<SHORT>()?;
    let keep = KEEP.0.get(from..)?.first_chunk::<SHORT>()?;
    let (words, _) = chunk.as_chunks::<8>();
    let (masks, _) = keep.as_chunks::<8>();
    let mut kept = [0; SHORT / 8];
    for ((to, word), mask) in kept.iter_mut().zip(words).zip(masks) {
        *to = u64::from_le_bytes(*word) & u64::from_le_bytes(*mask);
    }
    Some(kept)
}

/// Whether `text` has a byte above 0x7F. `from_here` begins where `text` does
/// and reaches as far as anybody may read.
#[inline(always)]
pub(crate) fn has_high_bytes(text: &[u8], from_here: &[u8]) -> bool {
    match words(text.len(), from_here) {
        Some(words) => words.iter().fold(0, |seen, word| seen | word) & HIGH != 0,
        None => long_has_high_bytes(text),
    }
}

#[inline(never)]
fn long_has_high_bytes(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut seen = 0;
    for word in words {
        seen |= u64::from_le_bytes(*word);
    }
    match text.last_chunk::<8>() {
        Some(last) => seen |= u64::from_le_bytes(*last),
        None => {
            for &byte in rest {
                seen |= u64::from(byte);
            }
        }
    }
    seen & HIGH != 0
}

/// Whether Java's `readUTF` accepts the bytes.
pub fn is_accepted(text: &[u8]) -> bool {
    check(text).is_ok()
}

/// [`is_accepted`] as the decoder asks it.
#[cold]
pub(crate) fn check(text: &[u8]) -> Result<(), Reason> {
    let mut rest = text;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        if u64::from_le_bytes(*word) & HIGH == 0 {
            rest = after;
        } else {
            let (_, after) = unit(rest).ok_or(Reason::BadText)?;
            rest = after;
        }
    }
    while !rest.is_empty() {
        let (_, after) = unit(rest).ok_or(Reason::BadText)?;
        rest = after;
    }
    Ok(())
}

/// The first UTF-16 unit and what follows it; `None` where there is no valid one.
#[inline]
fn unit(text: &[u8]) -> Option<(u16, &[u8])> {
    const fn continues(byte: u8) -> bool {
        byte & 0xC0 == 0x80
    }
    match *text {
        [a @ 0x00..=0x7F, ref rest @ ..] => Some((u16::from(a), rest)),
        [a @ 0xC0..=0xDF, b, ref rest @ ..] if continues(b) => {
            Some((u16::from(a & 0x1F) << 6 | u16::from(b & 0x3F), rest))
        }
        [a @ 0xE0..=0xEF, b, c, ref rest @ ..] if continues(b) && continues(c) => Some((
            u16::from(a & 0x0F) << 12 | u16::from(b & 0x3F) << 6 | u16::from(c & 0x3F),
            rest,
        )),
        _ => None,
    }
}

/// Wire text as UTF-8: surrogate pairs joined, lone surrogates U+FFFD.
///
/// Borrows where the bytes are UTF-8 already, which nearly all are. Total: a
/// byte that validated text cannot hold reads as U+FFFD.
pub fn utf8(text: Text<'_>) -> Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut out = String::with_capacity(text.len());
            convert(text, &mut out);
            Cow::Owned(out)
        }
    }
}

/// Appends wire text to `out` as UTF-8; see [`utf8`].
pub fn to_utf8(text: Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(utf8(text).as_bytes());
}

/// Bytes that are not modified UTF-8 by definition (device ids of protocols
/// 22+, traces) as people read them: UTF-8, what is invalid as U+FFFD.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cold]
fn convert(text: &[u8], out: &mut String) {
    let mut rest = text;
    let units = std::iter::from_fn(|| {
        let (&_, after_bad_byte) = rest.split_first()?;
        let (value, after) = unit(rest).unwrap_or((0xFFFD, after_bad_byte));
        rest = after;
        Some(value)
    });
    out.extend(char::decode_utf16(units).map(|found| found.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Appends UTF-8 to `out` as wire text: U+0000 as C0 80, characters beyond the
/// basic plane as two surrogates. The length on the wire is the caller's.
pub fn from_utf8(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        let mut units = [0; 2];
        match character {
            '\u{1}'..='\u{7F}' => out.push(character as u8),
            _ => {
                for &unit in character.encode_utf16(&mut units).iter() {
                    push_unit(unit, out);
                }
            }
        }
    }
}

fn push_unit(unit: u16, out: &mut Vec<u8>) {
    let six = |shift: u16| (unit >> shift & 0x3F) as u8;
    if unit < 0x800 {
        out.extend_from_slice(&[0xC0 | six(6), 0x80 | six(0)]);
    } else {
        out.extend_from_slice(&[0xE0 | (unit >> 12) as u8, 0x80 | six(6), 0x80 | six(0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        from_utf8(text, &mut out);
        out
    }

    #[test]
    fn text_survives_the_way_there_and_back() {
        for text in [
            "",
            "plain",
            "é漢😀",
            "nul\0nul",
            "\u{FFFD}\u{10FFFF}\u{7F}\u{80}\u{7FF}\u{800}",
        ] {
            assert!(is_accepted(&wire(text)));
            assert_eq!(utf8(&wire(text)), text);
        }
        assert_eq!(wire("\0"), [0xC0, 0x80]);
        assert_eq!(wire("😀"), [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80]);
    }

    #[test]
    fn every_unit_of_java_is_accepted() {
        for value in 0..=u16::MAX {
            let mut overlong = vec![
                0xE0 | (value >> 12) as u8,
                0x80 | (value >> 6 & 0x3F) as u8,
                0x80 | (value & 0x3F) as u8,
            ];
            assert_eq!(unit(&overlong), Some((value, &[][..])));
            assert!(is_accepted(&overlong));
            overlong.truncate(2);
            assert!(!is_accepted(&overlong));
        }
        assert!(is_accepted(&[0xC0, 0x80, 0xC1, 0xBF, 0x00]));
    }

    #[test]
    fn what_java_refuses_is_bad() {
        for bad in [
            &[0x80][..],
            &[0xBF, 0x80],
            &[0xC3],
            &[0xC3, 0x41],
            &[0xC3, 0xC3],
            &[0xE2, 0x82],
            &[0xE2, 0x41, 0x80],
            &[0xE2, 0x82, 0xC0],
            &[0xF0, 0x9F, 0x98, 0x80],
            &[0xFF],
        ] {
            for padding in 0..20 {
                let mut text = vec![b'x'; padding];
                text.extend_from_slice(bad);
                assert_eq!(check(&text), Err(Reason::BadText), "{text:x?}");
            }
        }
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        assert_eq!(utf8(&[0xED, 0xA0, 0xBD]), "\u{FFFD}");
        assert_eq!(utf8(&[0x61, 0xED, 0xB8, 0x80, 0x62]), "a\u{FFFD}b");
        assert_eq!(
            utf8(&[0xED, 0xA0, 0xBD, 0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80]),
            "\u{FFFD}😀"
        );
        let mut out = b"> ".to_vec();
        to_utf8(&[0xC0, 0x80], &mut out);
        assert_eq!(out, b"> \0");
    }

    #[test]
    fn a_high_byte_is_seen_wherever_it_stands() {
        let plain = [b'x'; 64];
        for n in 0..=40 {
            for reach in n..=64 {
                assert!(!has_high_bytes(&plain[..n], &plain[..reach]));
            }
            for at in 0..64 {
                let mut bytes = plain;
                bytes[at] = 0x80;
                for reach in [n, n.max(16), 64] {
                    assert_eq!(has_high_bytes(&bytes[..n], &bytes[..reach]), at < n);
                }
            }
        }
    }
}
