//! `DELTA_BINARY_PACKED` and `DELTA_LENGTH_BYTE_ARRAY`.

use super::bits::{pack, pack_wide, varint};

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Differences to the value before, of 64-bit columns; they wrap. The lengths
/// of texts, 32 bits wide, come out as the format wants them, too: no
/// difference of two of them leaves 32 bits.
pub fn numbers(values: &[i64], out: &mut Vec<u8>) {
    write(values, None, out);
}

/// As `numbers`, each difference in whole bytes above the least of all: larger,
/// but with bytes that a compressor sees to be alike.
pub fn numbers_in_bytes(values: &[i64], out: &mut Vec<u8>) {
    let pairs = values.iter().zip(values.iter().skip(1));
    let deltas = pairs.map(|(before, value)| value.wrapping_sub(*before));
    write(values, Some(deltas.min().unwrap_or_default()), out);
}

/// `floor`: at most the least difference, for differences in whole bytes above it.
fn write(values: &[i64], floor: Option<i64>, out: &mut Vec<u8>) {
    varint(out, BLOCK as u64);
    varint(out, MINIBLOCKS as u64);
    varint(out, values.len() as u64);
    let Some((first, rest)) = values.split_first() else {
        varint(out, 0);
        return;
    };
    varint(out, zigzag(*first));
    let mut before = *first;
    for block in rest.chunks(BLOCK) {
        let mut deltas = [0i64; BLOCK];
        for (delta, value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(before);
            before = *value;
        }
        let taken = deltas.get(..block.len()).unwrap_or_default();
        let least = floor.or_else(|| taken.iter().copied().min());
        let least = least.unwrap_or_default();
        let mut above = [0u64; BLOCK];
        for (above, delta) in above.iter_mut().zip(taken) {
            *above = delta.wrapping_sub(least) as u64;
        }
        varint(out, zigzag(least));
        let widths = out.len();
        out.extend_from_slice(&[0; MINIBLOCKS]);
        let (miniblocks, _) = above.as_chunks::<MINIBLOCK>();
        let used = block.len().div_ceil(MINIBLOCK);
        for (number, miniblock) in miniblocks.iter().take(used).enumerate() {
            let all = miniblock.iter().fold(0, |all, value| all | value);
            let mut width = u64::BITS - all.leading_zeros();
            if floor.is_some() {
                width = width.next_multiple_of(8);
            }
            if let Some(place) = out.get_mut(widths + number) {
                *place = width as u8;
            }
            match width {
                0 => {}
                24 => in_bytes::<3>(miniblock, out),
                40 => in_bytes::<5>(miniblock, out),
                1..=32 => pack(&miniblock.map(|value| value as u32), width, out),
                _ => pack_wide(miniblock, width, out),
            }
        }
    }
}

/// Values of so many bytes.
fn in_bytes<const N: usize>(values: &[u64; MINIBLOCK], out: &mut Vec<u8>) {
    let mut bytes = [[0; N]; MINIBLOCK];
    for (place, value) in bytes.iter_mut().zip(values) {
        if let Some(low) = value.to_le_bytes().first_chunk() {
            *place = *low;
        }
    }
    out.extend_from_slice(bytes.as_flattened());
}
