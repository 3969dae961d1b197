//! Every encoding against a reader that was written from the format's text.

use super::bits::{indices, levels, pack, pack_wide, varint, width};
use super::bloom::Bloom;
use super::chunk::Bounds;
use super::delta;
use super::thrift::{Compact, STRUCT};

/// Bits of a value, lowest first.
fn bits(bytes: &[u8], at: usize, width: usize) -> u64 {
    (0..width)
        .map(|bit| u64::from(bytes[(at + bit) / 8] >> ((at + bit) % 8) & 1) << bit)
        .sum()
}

fn unvarint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7F) << shift;
        if *first < 0x80 {
            break;
        }
    }
    value
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads `count` values of the hybrid of runs and packed groups.
fn read_hybrid(mut bytes: &[u8], width: usize, count: usize) -> Vec<u32> {
    let mut values = Vec::new();
    while values.len() < count {
        let head = unvarint(&mut bytes);
        let length = (head >> 1) as usize;
        if head & 1 == 1 {
            for place in 0..length * 8 {
                values.push(bits(bytes, place * width, width) as u32);
            }
            bytes = &bytes[length * width..];
        } else {
            let value = bits(bytes, 0, width.div_ceil(8) * 8) as u32;
            values.extend(std::iter::repeat_n(value, length));
            bytes = &bytes[width.div_ceil(8)..];
        }
    }
    assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
    assert!(values.len() < count + 8);
    assert!(values[count..].iter().all(|padding| *padding == 0));
    values.truncate(count);
    values
}

fn read_delta(mut bytes: &[u8]) -> (Vec<i64>, &[u8]) {
    assert_eq!(unvarint(&mut bytes), 128);
    assert_eq!(unvarint(&mut bytes), 4);
    let count = unvarint(&mut bytes) as usize;
    let mut values = vec![unzigzag(unvarint(&mut bytes))];
    while values.len() < count {
        let least = unzigzag(unvarint(&mut bytes));
        let (widths, rest) = bytes.split_at(4);
        bytes = rest;
        for width in widths {
            if values.len() == count {
                assert_eq!(*width, 0);
                break;
            }
            let width = *width as usize;
            for place in 0..32 {
                let above = bits(bytes, place * width, width) as i64;
                let last = *values.last().unwrap();
                values.push(last.wrapping_add(least).wrapping_add(above));
            }
            bytes = &bytes[width * 4..];
            if values.len() > count {
                values.truncate(count);
            }
        }
    }
    values.truncate(count);
    (values, bytes)
}

/// A generator that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, sides: u64) -> u64 {
        self.roll() % sides
    }
}

#[test]
fn packed_numbers_of_every_width_come_back() {
    let mut dice = Dice(1);
    for width in 1..=32 {
        for count in [1usize, 7, 8, 31, 32, 33, 64, 100] {
            let mask = u32::MAX >> (32 - width);
            let values: Vec<u32> = (0..count).map(|_| dice.roll() as u32 & mask).collect();
            let mut out = vec![9];
            pack(&values, width, &mut out);
            assert_eq!(out.len() - 1, count.div_ceil(8) * width as usize);
            for (place, value) in values.iter().enumerate() {
                let found = bits(&out[1..], place * width as usize, width as usize);
                assert_eq!(found, u64::from(*value), "width {width}");
            }
        }
    }
    for width in 33..=64 {
        let values: Vec<u64> = (0..32).map(|_| dice.roll() >> (64 - width)).collect();
        let mut out = Vec::new();
        pack_wide(&values, width, &mut out);
        assert_eq!(out.len(), 4 * width as usize);
        for (place, value) in values.iter().enumerate() {
            assert_eq!(bits(&out, place * width as usize, width as usize), *value);
        }
    }
}

#[test]
fn levels_come_back_whatever_their_runs() {
    let mut dice = Dice(2);
    for width in 1..=3u32 {
        for _ in 0..400 {
            let mut values = Vec::new();
            for _ in 0..dice.below(12) {
                let level = dice.below(1 << width) as u8;
                let run = [1, 2, 7, 8, 9, 31, 32, 33, 100][dice.below(9) as usize];
                values.extend(std::iter::repeat_n(level, run));
            }
            let mut out = Vec::new();
            levels(&values, width, &mut out);
            let found = read_hybrid(&out, width as usize, values.len());
            assert!(
                found.iter().eq(values
                    .iter()
                    .map(|level| u32::from(*level))
                    .collect::<Vec<_>>()
                    .iter())
            );
        }
    }
    let mut out = Vec::new();
    levels(&[0; 1000], 1, &mut out);
    assert_eq!(out, [0xD0, 0x0F, 0]); // one run of 1000
}

#[test]
fn dictionary_ids_come_back_whatever_their_runs() {
    let mut dice = Dice(3);
    for round in 0..600 {
        let greatest = 1 << dice.below(31);
        let mut ids = Vec::new();
        for _ in 0..dice.below(20) {
            let id = dice.below(greatest) as u32;
            let run = [1, 1, 1, 8, 31, 32, 33, 100][dice.below(8) as usize];
            ids.extend(std::iter::repeat_n(id, run));
        }
        let mut out = Vec::new();
        indices(&ids, &mut out);
        let (width, rest) = out.split_first().unwrap();
        assert_eq!(
            read_hybrid(rest, *width as usize, ids.len()),
            ids,
            "round {round}"
        );
    }
    let mut out = Vec::new();
    indices(&[], &mut out);
    assert_eq!(out, [0]);
    assert_eq!(
        [0, 1, 2, 255, 256, u32::MAX].map(width),
        [0, 1, 2, 8, 9, 32]
    );
}

#[test]
fn differences_come_back_extremes_included() {
    let mut dice = Dice(4);
    let mut cases = vec![
        vec![7],
        vec![i64::MIN, i64::MAX, 0, -1, i64::MIN],
        vec![3; 500],
    ];
    for count in [2, 31, 32, 33, 128, 129, 130, 161, 257, 1000] {
        cases.push((0..count).map(|_| dice.roll() as i64).collect());
        cases.push((0..count).map(|n| 1_384_000_000_000 + n * 7).collect());
        cases.push((0..count).map(|_| dice.below(1000) as i64 - 500).collect());
    }
    for case in cases {
        for write in [delta::numbers, delta::numbers_in_bytes] {
            let mut out = Vec::new();
            write(&case, &mut out);
            out.push(0xAB);
            let (found, rest) = read_delta(&out);
            assert_eq!(found, case);
            assert_eq!(rest, [0xAB]);
        }
    }
    let mut out = Vec::new();
    delta::numbers(&[], &mut out);
    assert_eq!(out, [0x80, 1, 4, 0, 0]);
    // The example of Encodings.md: 7 5 3 1 2 3 4 5, as differences −2 −2 −2 1 1 1 1.
    out.clear();
    delta::numbers(&[7, 5, 3, 1, 2, 3, 4, 5], &mut out);
    assert_eq!(out[..11], [0x80, 1, 4, 8, 14, 3, 2, 0, 0, 0, 0b1100_0000]);
}

#[test]
fn thrift_is_as_the_compact_protocol_says() {
    let mut out = Vec::new();
    let mut compact = Compact::new(&mut out);
    compact.i32(1, -1);
    compact.bool(2, true);
    compact.begin(20);
    compact.bytes(1, b"ab");
    compact.empty(2);
    compact.end();
    compact.list(21, STRUCT, 16);
    (0..16).for_each(|_| {
        compact.begin_element();
        compact.i8(3, -2);
        compact.end();
    });
    compact.i64(22, 64);
    compact.i16(23, 300);
    compact.end();
    let mut expected = vec![0x15, 1, 0x11, 0x0C, 40, 0x18, 2, b'a', b'b', 0x1C, 0, 0];
    expected.extend([0x19, 0xFC, 16]);
    (0..16).for_each(|_| expected.extend([0x33, 0xFE, 0]));
    expected.extend([0x16, 0x80, 1, 0x14, 0xD8, 4, 0]);
    assert_eq!(out, expected);
    out.clear();
    varint(&mut out, u64::MAX);
    assert_eq!(out.len(), 10);
}

#[test]
fn bloom_filters_hold_what_was_inserted_and_little_else() {
    let mut bloom = Bloom::new(10_000);
    let value = |n: u32| format!("device {n}").into_bytes();
    (0..10_000).for_each(|n| bloom.insert(&value(n)));
    assert!((0..10_000).all(|n| bloom.contains(&value(n))));
    let wrong = (10_000..60_000)
        .filter(|n| bloom.contains(&value(*n)))
        .count();
    assert!(wrong < 500, "{wrong} of 50,000");
    let mut out = Vec::new();
    bloom.write(&mut out);
    // numBytes 16384; BLOCK; XXHASH; UNCOMPRESSED
    assert_eq!(
        out[..15],
        [
            0x15, 0x80, 0x80, 2, 0x1C, 0x1C, 0, 0, 0x1C, 0x1C, 0, 0, 0x1C, 0x1C, 0
        ]
    );
    assert_eq!(out.len(), 17 + 16_384);
    // XXH64 of nothing with seed 0 is EF46DB3751D8E999: its place and one bit a word.
    let mut one = Bloom::new(1);
    one.insert(b"");
    let mut out = Vec::new();
    one.write(&mut out);
    let words: Vec<u32> = out[out.len() - 32..]
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    let salts = [
        0x47b6137bu32,
        0x44974d91,
        0x8824ad5b,
        0xa2b7289d,
        0x705495c7,
        0x2df1424b,
        0x9efc4947,
        0x5c6bfb31,
    ];
    let expected = salts.map(|salt| 1u32 << (0x51D8_E999u32.wrapping_mul(salt) >> 27));
    assert_eq!(words, expected);
}

#[test]
fn bounds_of_long_texts_are_short_and_true() {
    let check = |least: &str, most: &str| match Bounds::texts(least.as_bytes(), most.as_bytes()) {
        Some(Bounds::Texts(low, high, exact)) => {
            assert!(low.as_slice() <= least.as_bytes() && high.as_slice() >= most.as_bytes());
            assert!(low.len() <= 64 && high.len() <= 64);
            assert!(std::str::from_utf8(&low).is_ok() && std::str::from_utf8(&high).is_ok());
            assert_eq!(exact, least.len() <= 64 && most.len() <= 64);
            true
        }
        _ => false,
    };
    assert!(check("", "b"));
    assert!(check(&"a".repeat(64), &"b".repeat(64)));
    assert!(check(&"a".repeat(65), &"b".repeat(65)));
    assert!(check(&"é".repeat(40), &format!("x{}", "é".repeat(40))));
    assert!(check(&"z".repeat(70), &"\u{7f}a".repeat(40)));
    assert!(!check("a", &"😀".repeat(40))); // nothing short is known to be above
}
