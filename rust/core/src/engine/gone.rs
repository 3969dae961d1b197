//! Which blocks were evicted: of an hour that began here these may have a
//! stored cell, and no others. Fingerprints will do, whatever they collide
//! with: a block that is taken for an evicted one is read in vain.

use std::collections::{BTreeMap, HashSet};

/// Most blocks that are remembered: about 20 MB of memory.
pub(super) const MOST: usize = 1_500_000;
/// Of one of them, with the room to grow that a set has.
const ENTRY_BYTES: usize = 16;

/// The evicted blocks, by hour.
pub(super) struct Gone {
    hours: BTreeMap<u32, HashSet<u64>>,
    count: usize,
    most: usize,
}

impl Gone {
    /// None; at most so many.
    pub fn new(most: usize) -> Self {
        Self {
            hours: BTreeMap::new(),
            count: 0,
            most,
        }
    }

    /// Remembers one. Where that are too many the earliest hour is forgotten,
    /// and given back: all of its blocks, and of hours before, may have a cell.
    #[must_use = "blocks of a forgotten hour must not be taken for absent"]
    pub fn note(&mut self, bucket: u32, print: u128) -> Option<u32> {
        if self.hours.entry(bucket).or_default().insert(short(print)) {
            self.count += 1;
        }
        if self.count <= self.most {
            return None;
        }
        let (forgotten, prints) = self.hours.pop_first()?;
        self.count -= prints.len();
        Some(forgotten)
    }

    /// Whether it may be one of them.
    pub fn may_hold(&self, bucket: u32, print: u128) -> bool {
        self.hours
            .get(&bucket)
            .is_some_and(|prints| prints.contains(&short(print)))
    }

    /// About the bytes held.
    pub fn memory(&self) -> usize {
        self.count * ENTRY_BYTES
    }
}

/// Half of a fingerprint.
#[expect(clippy::cast_possible_truncation, reason = "that is meant")]
fn short(print: u128) -> u64 {
    print as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_forgotten_as_a_whole_the_earliest_first() {
        let mut gone = Gone::new(3);
        for (bucket, print) in [(8, 1), (7, 1), (7, 2), (7, 2)] {
            assert_eq!(gone.note(bucket, print), None);
        }
        assert!(gone.may_hold(7, 2) && gone.may_hold(8, 1));
        assert!(!gone.may_hold(8, 2) && !gone.may_hold(9, 1));
        assert_eq!(gone.memory(), 3 * ENTRY_BYTES);
        assert_eq!(gone.note(8, 5), Some(7));
        assert!(!gone.may_hold(7, 1) && gone.may_hold(8, 5));
        assert_eq!(gone.memory(), 2 * ENTRY_BYTES);
    }

    #[test]
    fn one_that_is_too_many_may_be_of_the_earliest_hour_itself() {
        let mut gone = Gone::new(1);
        assert_eq!(gone.note(8, 1), None);
        assert_eq!(gone.note(7, 1), Some(7));
        assert_eq!(gone.note(8, 2), Some(8));
        assert_eq!(gone.memory(), 0);
    }
}
