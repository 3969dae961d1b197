//! Split-block bloom filters, as `BloomFilter.md` of the format defines them.

use xxhash_rust::xxh64::xxh64;

use super::thrift::Compact;

/// How often a filter may say yes for what is not there.
const FALSE_POSITIVES: f64 = 0.01;
const BLOCK_BYTES: usize = 32;
const MAX_BYTES: usize = 128 << 20;
const SALT: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// A filter of a column chunk.
#[derive(Debug, Clone)]
pub struct Bloom {
    blocks: Vec<[u32; 8]>,
}

impl Bloom {
    /// For so many distinct values; a power of two of bytes, which some readers insist on.
    pub fn new(values: usize) -> Self {
        let bits = -8.0 * values as f64 / (1.0 - FALSE_POSITIVES.powf(1.0 / 8.0)).ln();
        let bytes = ((bits / 8.0) as usize).clamp(BLOCK_BYTES, MAX_BYTES);
        Self {
            blocks: vec![[0; 8]; bytes.next_power_of_two() / BLOCK_BYTES],
        }
    }

    fn masks(hash: u64) -> [u32; 8] {
        SALT.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
    }

    fn place(&self, hash: u64) -> usize {
        (((hash >> 32) * self.blocks.len() as u64) >> 32) as usize
    }

    /// Remembers the bytes of a value (a text without its length).
    pub fn insert(&mut self, value: &[u8]) {
        let hash = xxh64(value, 0);
        let place = self.place(hash);
        if let Some(block) = self.blocks.get_mut(place) {
            for (word, mask) in block.iter_mut().zip(Self::masks(hash)) {
                *word |= mask;
            }
        }
    }

    /// Whether the value may have been inserted.
    pub fn contains(&self, value: &[u8]) -> bool {
        let hash = xxh64(value, 0);
        let block = self.blocks.get(self.place(hash));
        block.is_some_and(|block| {
            let mut words = block.iter().zip(Self::masks(hash));
            words.all(|(word, mask)| word & mask != 0)
        })
    }

    /// Header and bits, as they stand in a file.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut header = Compact::new(out);
        header.i32(1, (self.blocks.len() * BLOCK_BYTES) as i32);
        for id in 2..=4 {
            // The only choice there is: split blocks, XXH64, uncompressed.
            header.begin(id);
            header.empty(1);
            header.end();
        }
        header.end();
        for word in self.blocks.as_flattened() {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
}
