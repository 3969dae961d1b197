//! The CRC-32Cs of the first records that were counted since a start.
//!
//! Whoever was here before may have written blocks ahead of the position that
//! we start from, and died. If the log was cut and replaced meanwhile, such a
//! block holds records that are gone, and names the CRC-32C of the last one.
//! We may pass the record that stands there now before we read the block.

/// How many are kept: blocks are ahead of a position by what one flush holds.
/// 64 KiB a partition at most.
pub const PASSED_RECORDS: usize = 16_384;

/// What is known of records by their offsets.
pub(super) struct Passed {
    first: i64,
    crcs: Vec<u32>,
}

impl Passed {
    /// Nothing yet; the first record will be `first`.
    pub fn from(first: i64) -> Self {
        Self {
            first,
            crcs: Vec::new(),
        }
    }

    /// The next record was counted.
    #[inline]
    pub fn note(&mut self, crc: u32) {
        if !self.is_full() {
            self.crcs.push(crc);
        }
    }

    /// Whether no more are kept.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.crcs.len() >= PASSED_RECORDS
    }

    /// CRC-32C of the record that was counted at an offset, if it is kept.
    pub fn crc(&self, offset: i64) -> Option<u32> {
        let place = usize::try_from(offset.checked_sub(self.first)?).ok()?;
        self.crcs.get(place).copied()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.crcs.capacity() * size_of::<u32>()
    }
}
