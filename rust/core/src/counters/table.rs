//! The groups of all blocks: for each block a small table of fingerprints;
//! values and keys of all of them in the order in which they were made.

use super::arena::{Groups, KeyBytes, Regions};
use super::slots::{self, Print, Slot};

pub(super) use super::arena::Region;

/// No block.
pub(super) const NONE: u32 = u32::MAX;
/// Slots that a block begins with.
const FIRST_SLOTS: u32 = 16;
/// Bits of a group's first number: where its key starts, its length, its rollup.
const START_BITS: u32 = 36;
const LENGTH_BITS: u32 = 20;
const ROLLUP_BITS: u32 = 8;

/// There is no number left that could name a group: 2^32 values, 2^32 slots or
/// 64 GiB of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFull;

/// Groups by block and fingerprint.
pub(super) struct GroupTable {
    slots: Regions,
    groups: Groups,
    keys: KeyBytes,
    count: usize,
}

impl GroupTable {
    pub fn new() -> Self {
        Self {
            slots: Regions::default(),
            groups: Groups::new(),
            keys: KeyBytes::default(),
            count: 0,
        }
    }

    /// Groups with a line of their own.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes that it holds on to.
    pub fn bytes(&self) -> usize {
        self.slots.bytes() + self.groups.bytes() + self.keys.bytes()
    }

    /// Bytes that one group adds, about: for per-block accounts.
    pub fn group_bytes(width: usize, key: usize) -> usize {
        2 * size_of::<Slot>() + 8 * (1 + width) + key
    }

    /// [`Self::find`] comes for this group soon.
    #[inline]
    pub fn soon(&self, region: Region, print: Print) {
        let slot = slots::start(print, region.slots as usize);
        self.slots.soon(region, slot);
    }

    /// [`Self::add`] comes for this group soon.
    #[inline]
    pub fn soon_values(&self, at: u32) {
        self.groups.soon(at);
    }

    /// Where a group is; 0 if it does not exist.
    #[inline]
    pub fn find(&self, region: Region, print: Print) -> u32 {
        slots::find(self.slots.get(region), print)
    }

    /// Adds to the values of a group.
    #[inline]
    pub fn add(&mut self, at: u32, deltas: &[u64]) {
        let values = self.groups.get_mut(at, deltas.len());
        for (value, delta) in values.iter_mut().zip(deltas) {
            *value = value.saturating_add(*delta);
        }
    }

    /// The values of a group.
    #[inline]
    pub fn values(&self, at: u32, width: usize) -> &[u64] {
        self.groups.get(at, width)
    }

    /// The rollup of a group, as its place in the plan.
    pub fn rollup(&self, at: u32) -> u32 {
        self.groups.head(at) as u32 & ((1 << ROLLUP_BITS) - 1)
    }

    /// The encoded key of a group.
    pub fn key(&self, at: u32) -> &[u8] {
        let head = self.groups.head(at);
        let start = (head >> (LENGTH_BITS + ROLLUP_BITS)) as usize;
        let length = (head >> ROLLUP_BITS) as usize & ((1 << LENGTH_BITS) - 1);
        self.keys.get(start, length)
    }

    /// Where the groups of a block are that have a slot, in no order.
    pub fn all(&self, region: Region) -> impl Iterator<Item = u32> {
        let slots = self.slots.get(region).iter();
        slots.map(|slot| slot.at).filter(|at| *at != 0)
    }

    /// Makes a group that was not found. Returns where it is.
    pub fn insert(
        &mut self,
        region: &mut Region,
        print: Print,
        rollup: usize,
        width: usize,
        key: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u32, TableFull> {
        if (region.used + 1) * 4 > region.slots * 3 {
            self.grow(region)?;
        }
        let at = self.insert_alone(rollup, width, key)?;
        slots::put(self.slots.get_mut(*region), Slot::of(print, at));
        region.used += 1;
        Ok(at)
    }

    /// Makes a group that its block finds without a slot.
    pub fn insert_alone(
        &mut self,
        rollup: usize,
        width: usize,
        key: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u32, TableFull> {
        let (start, length) = self.keys.push(key);
        if start >> START_BITS != 0 || length >> LENGTH_BITS != 0 || rollup >> ROLLUP_BITS != 0 {
            return Err(TableFull);
        }
        let head = (start << LENGTH_BITS | length) << ROLLUP_BITS | rollup;
        self.count += 1;
        self.groups.push(head as u64, width)
    }

    /// Values without a key of their own: an `(other)`.
    pub fn insert_other(&mut self, width: usize) -> Result<u32, TableFull> {
        self.groups.push(0, width)
    }

    /// Moves the slots of a block to a region of twice the size.
    fn grow(&mut self, region: &mut Region) -> Result<(), TableFull> {
        let old = *region;
        *region = self.slots.take((old.slots * 2).max(FIRST_SLOTS))?;
        region.used = old.used;
        for place in 0..old.slots as usize {
            if let Some(&slot) = self.slots.slot(old, place).filter(|slot| slot.at != 0) {
                slots::put(self.slots.get_mut(*region), slot);
            }
        }
        self.slots.release(old);
        Ok(())
    }

    /// Gives the slots of a block back: none of its groups is found any more.
    /// Their values and keys stay until the living are moved.
    pub fn release(&mut self, region: Region) {
        self.slots.release(region);
    }

    /// Copies the groups of a block that have a slot from another table; `width`
    /// says how many measures a rollup has.
    pub fn copy(
        &mut self,
        from: &Self,
        region: Region,
        width: impl Fn(u32) -> usize,
    ) -> Result<Region, TableFull> {
        if region.slots == 0 {
            return Ok(region);
        }
        let mut copy = self.slots.take(region.slots)?;
        copy.used = region.used;
        for (place, slot) in from.slots.get(region).iter().enumerate() {
            if slot.at == 0 {
                continue;
            }
            let at = self.copy_alone(from, slot.at, width(from.rollup(slot.at)))?;
            if let Some(to) = self.slots.get_mut(copy).get_mut(place) {
                *to = slot.moved(at);
            }
        }
        Ok(copy)
    }

    /// Copies one group from another table; returns where it is.
    pub fn copy_alone(&mut self, from: &Self, at: u32, width: usize) -> Result<u32, TableFull> {
        let rollup = from.rollup(at) as usize;
        let to = self.insert_alone(rollup, width, |out| out.extend_from_slice(from.key(at)))?;
        self.add(to, from.values(at, width));
        Ok(to)
    }

    /// The same of an `(other)`.
    pub fn copy_other(&mut self, from: &Self, at: u32, width: usize) -> Result<u32, TableFull> {
        let to = self.insert_other(width)?;
        self.add(to, from.values(at, width));
        Ok(to)
    }
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use super::*;
    use crate::counters::fingerprint::Keys;

    fn print(keys: &Keys, text: &str) -> Print {
        Print::of(keys.text(text.as_bytes()))
    }

    /// Of rollup `number` % 256.
    const fn width(number: u32) -> usize {
        1 + number as usize % 256 % 3
    }

    /// Two blocks whose groups come in turn, and where they are.
    fn filled(keys: &Keys, groups: u32) -> (GroupTable, [Region; 2], Vec<u32>) {
        let mut table = GroupTable::new();
        let mut regions = [Region::default(); 2];
        let places = (0..groups)
            .map(|number| {
                let text = number.to_string();
                let print = print(keys, &text);
                let region = &mut regions[number as usize % 2];
                assert_eq!(table.find(*region, print), 0);
                let rollup = number as usize % 256;
                let write = |out: &mut Vec<u8>| out.extend(text.bytes());
                let at = table
                    .insert(region, print, rollup, width(number), write)
                    .unwrap();
                table.add(at, &vec![u64::from(number); width(number)]);
                at
            })
            .collect();
        (table, regions, places)
    }

    fn check(table: &GroupTable, keys: &Keys, regions: [Region; 2], groups: u32) {
        for number in 0..groups {
            let text = number.to_string();
            let at = table.find(regions[number as usize % 2], print(keys, &text));
            assert_ne!(at, 0);
            assert_eq!(table.key(at), text.as_bytes());
            assert_eq!(table.rollup(at), number % 256);
            let value = vec![u64::from(number); width(number)];
            assert_eq!(table.values(at, width(number)), value);
            assert_eq!(
                table.find(regions[1 - number as usize % 2], print(keys, &text)),
                0
            );
        }
    }

    #[test]
    fn every_group_is_found_in_its_block_after_growing() {
        let keys = Keys::random();
        let (mut table, regions, places) = filled(&keys, 50_000);
        check(&table, &keys, regions, 50_000);
        assert_eq!(table.len(), 50_000);
        for (region, odd) in regions.iter().zip([0, 1]) {
            let mut all: Vec<_> = table.all(*region).collect();
            all.sort_unstable();
            let own = places.iter().copied().skip(odd).step_by(2);
            assert!(all.into_iter().eq(own));
        }
        table.add(places[7], &[u64::MAX - 3, u64::MAX]);
        assert_eq!(table.values(places[7], 2), [u64::MAX; 2], "it saturates");
    }

    #[test]
    fn slots_are_given_to_others_and_never_more_than_three_quarters_full() {
        let keys = Keys::random();
        let (mut table, [a, b], _) = filled(&keys, 20_000);
        assert!(a.used * 4 <= a.slots * 3 && a.used == 10_000);
        let held = table.slots.bytes();
        table.release(a);
        let mut c = Region::default();
        for number in 0..10_000 {
            let text = number.to_string();
            let print = print(&keys, &text);
            assert_eq!(table.find(c, print), 0);
            table.insert(&mut c, print, 0, 1, |_| ()).unwrap();
        }
        assert!(
            table.slots.bytes() < held + 4_096,
            "the regions of the first were used"
        );
        assert_eq!(table.all(b).count(), 10_000);
    }

    #[test]
    fn the_living_can_be_moved() {
        let keys = Keys::random();
        let (table, regions, _) = filled(&keys, 5_000);
        let mut moved = GroupTable::new();
        let copies = [1, 0].map(|at: usize| moved.copy(&table, regions[at], width).unwrap());
        assert_eq!(moved.len(), 5_000);
        for number in 0..5_000 {
            let text = number.to_string();
            let at = moved.find(copies[1 - number as usize % 2], print(&keys, &text));
            assert_eq!(moved.key(at), text.as_bytes());
            let value = vec![u64::from(number); width(number)];
            assert_eq!(moved.values(at, width(number)), value);
        }
    }

    /// A rollup may have a million groups: more slots than an ordinary chunk.
    #[test]
    fn a_block_may_be_larger_than_a_chunk() {
        let keys = Keys::random();
        let (mut table, mut region) = (GroupTable::new(), Region::default());
        let print = |number: u32| Print::of(keys.text(&number.to_le_bytes()));
        for number in 0..900_000 {
            let at = table
                .insert(&mut region, print(number), 0, 1, |_| ())
                .unwrap();
            table.add(at, &[u64::from(number)]);
        }
        let mut small = Region::default();
        table.insert(&mut small, print(7), 0, 1, |_| ()).unwrap();
        for number in 0..900_000 {
            let at = table.find(region, print(number));
            assert_eq!(table.values(at, 1), [u64::from(number)]);
        }
        assert_eq!(table.values(table.find(small, print(7)), 1), [0]);
        assert_eq!((table.all(region).count(), region.used), (900_000, 900_000));
    }

    #[test]
    fn what_has_no_name_is_refused() {
        let mut table = GroupTable::new();
        let long = |out: &mut Vec<u8>| out.extend(repeat_n(b'x', 1 << LENGTH_BITS));
        assert_eq!(table.insert_alone(0, 1, long), Err(TableFull));
        assert_eq!(table.insert_alone(256, 1, |_| ()), Err(TableFull));
        let at = table.insert_alone(255, 1, |out| {
            out.extend(repeat_n(b'x', (1 << LENGTH_BITS) - 1))
        });
        let at = at.unwrap();
        assert_eq!(
            (table.key(at).len(), table.rollup(at)),
            ((1 << 20) - 1, 255)
        );
    }
}
