//! Which block has which fingerprint.

use flurry_hints as hints;

use super::slots::{self, Print, Slot};

/// No block.
pub(super) const NONE: u32 = u32::MAX;
const FIRST_SLOTS: usize = 1 << 8;
/// A block was here. It keeps its slot until the blocks are moved.
const GONE: u32 = u32::MAX;

/// Numbers of blocks by fingerprint. A slot holds the number + 1.
pub(super) struct Index {
    slots: Vec<Slot>,
    used: usize,
    live: usize,
}

impl Index {
    /// With room for so many blocks.
    pub fn with_room(blocks: usize) -> Self {
        let slots = (2 * blocks + 1).next_power_of_two().max(FIRST_SLOTS);
        Self {
            slots: vec![Slot::default(); slots],
            used: 0,
            live: 0,
        }
    }

    /// Blocks in it.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Bytes that it holds on to.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    /// [`Self::find`] comes for this block soon.
    #[inline]
    pub fn soon(&self, print: u128) {
        let start = slots::start(Print::of(print), self.slots.len());
        hints::soon(&self.slots, start);
    }

    /// The number of a block, or `NONE`.
    #[inline]
    pub fn find(&self, print: u128) -> u32 {
        match slots::find(&self.slots, Print::of(print)) {
            0 | GONE => NONE,
            at => at - 1,
        }
    }

    /// A block that was not found.
    pub fn insert(&mut self, print: u128, number: u32) {
        if (self.used + 1) * 2 > self.slots.len() {
            let slots = vec![Slot::default(); self.slots.len() * 2];
            let old = std::mem::replace(&mut self.slots, slots);
            self.used = 0;
            for slot in old {
                if slot.at != 0 && slot.at != GONE {
                    slots::put(&mut self.slots, slot);
                    self.used += 1;
                }
            }
        }
        slots::put(&mut self.slots, Slot::of(Print::of(print), number + 1));
        self.used += 1;
        self.live += 1;
    }

    /// From now on it is not found.
    pub fn remove(&mut self, print: u128, number: u32) {
        if let Some(slot) = slots::slot_mut(&mut self.slots, Print::of(print), number + 1) {
            // No fingerprint: that of the block may come again, as another block's.
            *slot = Slot::default().moved(GONE);
            self.live -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::fingerprint::Keys;

    #[test]
    fn blocks_come_go_and_come_again() {
        let keys = Keys::random();
        let print = |number: u32| keys.text(&number.to_le_bytes());
        let mut index = Index::with_room(0);
        for number in 0..5_000 {
            assert_eq!(index.find(print(number)), NONE);
            index.insert(print(number), number);
        }
        for number in (0..5_000).step_by(2) {
            index.remove(print(number), number);
            index.remove(print(number), number);
        }
        assert_eq!(index.len(), 2_500);
        for number in 0..5_000 {
            let there = if number % 2 == 0 { NONE } else { number };
            assert_eq!(index.find(print(number)), there);
        }
        for number in (0..5_000).step_by(2) {
            index.insert(print(number), 5_000 + number);
        }
        for number in 0..5_000 {
            let there = if number % 2 == 0 {
                5_000 + number
            } else {
                number
            };
            assert_eq!(index.find(print(number)), there);
        }
        assert_eq!(index.len(), 5_000);
        assert!(index.slots.len() <= 1 << 14);
    }
}
