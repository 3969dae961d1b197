//! Bit packing, and the hybrid of runs and packed groups that levels,
//! dictionary ids and booleans are written in.

/// Runs of fewer groups of eight are cheaper packed.
const MIN_RUN_GROUPS: usize = 4;

/// An unsigned LEB128 number.
#[inline]
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bits that a number up to `greatest` takes.
pub fn width(greatest: u32) -> u32 {
    u32::BITS - greatest.leading_zeros()
}

/// Thirty-two values of `W` bits each. The loop has no branch left once unrolled.
#[inline]
fn pack_block<const W: usize>(values: &[u32; 32], out: &mut Vec<u8>) {
    let mut words = [[0u8; 4]; W];
    let mut word = 0u64;
    let mut filled = 0;
    let mut full = 0;
    for value in values {
        word |= u64::from(*value) << filled;
        filled += W;
        if filled >= 32 {
            if let Some(place) = words.get_mut(full) {
                *place = (word as u32).to_le_bytes();
            }
            full += 1;
            word >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(words.as_flattened());
}

fn pack_blocks<const W: usize>(values: &[u32], out: &mut Vec<u8>) {
    let (blocks, rest) = values.as_chunks::<32>();
    out.reserve(values.len().div_ceil(8) * W + 32);
    for block in blocks {
        pack_block::<W>(block, out);
    }
    if !rest.is_empty() {
        let mut block = [0; 32];
        for (place, value) in block.iter_mut().zip(rest) {
            *place = *value;
        }
        let end = out.len() + rest.len().div_ceil(8) * W;
        pack_block::<W>(&block, out);
        out.truncate(end);
    }
}

macro_rules! by_width {
    ($values:expr, $width:expr, $out:expr, $($w:literal)*) => {
        match $width { $( $w => pack_blocks::<$w>($values, $out), )* _ => {} }
    };
}

/// Values of `width` bits, lowest bit first, the last group of eight filled up
/// with zeros. Nothing for a width of 0.
pub fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    by_width!(values, width, out, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
        17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

/// As `pack`, of up to 64 bits.
pub fn pack_wide(values: &[u64], width: u32, out: &mut Vec<u8>) {
    let mut word = 0u128;
    let mut filled = 0;
    for value in values {
        word |= u128::from(*value) << filled;
        filled += width;
        while filled >= 8 {
            out.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(word as u8);
    }
}

/// The low `width` bits of eight bytes, together in as many bytes.
#[inline]
fn squeeze(group: [u8; 8], width: u32) -> [u8; 8] {
    let x = u64::from_le_bytes(group);
    let packed = match width {
        1 => {
            let x = (x | x >> 7) & 0x0003_0003_0003_0003;
            let x = (x | x >> 14) & 0x0000_000F_0000_000F;
            (x | x >> 28) & 0xFF
        }
        2 => {
            let x = (x | x >> 6) & 0x000F_000F_000F_000F;
            let x = (x | x >> 12) & 0x0000_00FF_0000_00FF;
            (x | x >> 24) & 0xFFFF
        }
        _ => {
            let x = (x | x >> 5) & 0x003F_003F_003F_003F;
            let x = (x | x >> 10) & 0x0000_0FFF_0000_0FFF;
            (x | x >> 20) & 0xFF_FFFF
        }
    };
    packed.to_le_bytes()
}

/// Levels of `width` bits (1 to 3), one a byte, as runs and packed groups.
pub fn levels(values: &[u8], width: u32, out: &mut Vec<u8>) {
    let (groups, rest) = values.as_chunks::<8>();
    let packed = |groups: &[[u8; 8]], tail: &[u8], out: &mut Vec<u8>| {
        let count = groups.len() + usize::from(!tail.is_empty());
        if count == 0 {
            return;
        }
        varint(out, (count as u64) << 1 | 1);
        let bytes = width as usize;
        for group in groups {
            out.extend_from_slice(squeeze(*group, width).get(..bytes).unwrap_or_default());
        }
        if !tail.is_empty() {
            let mut group = [0; 8];
            for (place, level) in group.iter_mut().zip(tail) {
                *place = *level;
            }
            out.extend_from_slice(squeeze(group, width).get(..bytes).unwrap_or_default());
        }
    };
    let mut pending = 0; // the first group that is not written yet
    let mut place = 0;
    while let Some(group) = groups.get(place) {
        let level = group[0];
        if *group != [level; 8] {
            place += 1;
            continue;
        }
        let same = groups.iter().skip(place).take_while(|next| *next == group);
        let run = same.count();
        let end = place + run;
        let reaches = end == groups.len();
        if run >= MIN_RUN_GROUPS || (reaches && pending == place) {
            packed(groups.get(pending..place).unwrap_or_default(), &[], out);
            let mut length = run * 8;
            let mut tail = rest;
            if reaches {
                let more = rest.iter().take_while(|next| **next == level).count();
                length += more;
                tail = rest.get(more..).unwrap_or_default();
            }
            varint(out, (length as u64) << 1);
            out.push(level);
            if reaches {
                packed(&[], tail, out);
                return;
            }
            pending = end;
        }
        place = end;
    }
    packed(groups.get(pending..).unwrap_or_default(), rest, out);
}

/// Dictionary ids: their width, then runs and packed groups.
pub fn indices(ids: &[u32], out: &mut Vec<u8>) {
    let greatest = ids.iter().fold(0, |all, id| all | id);
    let width = match width(greatest) {
        // Whole bytes are larger, and smaller once Zstandard has seen them.
        wide @ 9.. => wide.next_multiple_of(8),
        narrow => narrow,
    };
    out.push(width as u8);
    let run = |length: usize, id: u32, out: &mut Vec<u8>| {
        varint(out, (length as u64) << 1);
        let bytes = id.to_le_bytes();
        out.extend_from_slice(bytes.get(..width.div_ceil(8) as usize).unwrap_or_default());
    };
    let packed = |ids: &[u32], out: &mut Vec<u8>| {
        if !ids.is_empty() {
            varint(out, (ids.len().div_ceil(8) as u64) << 1 | 1);
            pack(ids, width, out);
        }
    };
    let (groups, rest) = ids.as_chunks::<8>();
    let mut pending = 0;
    let mut place = 0;
    while let Some(group) = groups.get(place) {
        let id = group[0];
        // Most groups differ in their first two: one comparison for eight values.
        if group[1] != id || *group != [id; 8] {
            place += 1;
            continue;
        }
        let same = groups.iter().skip(place).take_while(|next| *next == group);
        let count = same.count();
        let end = place + count;
        let reaches = end == groups.len() && rest.iter().all(|next| *next == id);
        if count >= MIN_RUN_GROUPS || (reaches && pending == place) {
            packed(ids.get(pending * 8..place * 8).unwrap_or_default(), out);
            run(count * 8 + if reaches { rest.len() } else { 0 }, id, out);
            if reaches {
                return;
            }
            pending = end;
        }
        place = end;
    }
    let left = ids.get(pending * 8..).unwrap_or_default();
    match left.split_first() {
        Some((id, others)) if left.len() < 8 && others.iter().all(|next| next == id) => {
            run(left.len(), *id, out);
        }
        _ => packed(left, out),
    }
}
