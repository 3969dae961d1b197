//! One flat table for the groups of all blocks: fingerprints in small slots,
//! values beside each other, keys exactly and once.

use std::hint::black_box;

/// No group.
pub(super) const NONE: u32 = u32::MAX;
const FIRST_SLOTS: usize = 1 << 10;

/// 16 bytes, four to a cache line. `at` 0 is an empty slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u64,
    check: u32,
    at: u32,
}

/// A group: where its values and its key are, and the next of its list.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub at: u32,
    pub next: u32,
    key_start: u64,
    key_length: u32,
}

/// The table has no room left that a slot could name: 2^32 values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFull;

/// Groups by fingerprint.
pub(super) struct GroupTable {
    slots: Vec<Slot>,
    /// Per slot the bits that chose it: only growing needs them, so they lie apart.
    homes: Vec<u32>,
    /// 32 less the number of bits of a slot's place.
    shift: u32,
    used: usize,
    /// One unused number, so that no group lies at 0; then the measures of the
    /// groups, in the order in which they were made.
    values: Vec<u64>,
    groups: Vec<Group>,
    keys: Vec<u8>,
}

/// The parts of a fingerprint: 96 bits to compare, 32 to find the slot.
#[derive(Clone, Copy)]
struct Print {
    tag: u64,
    check: u32,
    home: u32,
}

impl Print {
    #[inline]
    fn of(print: u128) -> Self {
        Self {
            tag: (print >> 64) as u64,
            check: (print >> 32) as u32,
            home: print as u32,
        }
    }
}

impl GroupTable {
    pub fn new() -> Self {
        Self::with_slots(FIRST_SLOTS)
    }

    /// `slots` is a power of two, at most 2^32.
    fn with_slots(slots: usize) -> Self {
        Self {
            slots: vec![Slot::default(); slots],
            homes: vec![0; slots],
            shift: 32 - slots.trailing_zeros(),
            used: 0,
            values: vec![0],
            groups: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Where the search for a fingerprint starts: the upper bits, so that
    /// growing keeps the order and streams through memory.
    #[inline]
    fn start(&self, home: u32) -> usize {
        (u64::from(home) >> self.shift) as usize
    }

    /// Groups with a line of their own.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Bytes that it holds on to.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * (size_of::<Slot>() + size_of::<u32>())
            + self.values.capacity() * 8
            + self.groups.capacity() * size_of::<Group>()
            + self.keys.capacity()
    }

    /// Bytes that one group adds, about: for per-block accounts.
    pub fn group_bytes(width: usize, key: usize) -> usize {
        2 * (size_of::<Slot>() + size_of::<u32>()) + size_of::<Group>() + 8 * width + key
    }

    /// Reads the slot where a group would be, so that it is in the cache when
    /// [`Self::find`] comes. The result only keeps the load alive.
    #[inline]
    pub fn touch(&self, print: u128) -> u64 {
        self.slots
            .get(self.start(Print::of(print).home))
            .map_or(0, |slot| slot.tag)
    }

    /// The first value of a group, for the same purpose.
    #[inline]
    pub fn touch_values(&self, at: u32) -> u64 {
        self.values.get(at as usize).copied().unwrap_or(0)
    }

    /// Where the values of a group are; 0 if it does not exist.
    #[inline]
    pub fn find(&self, print: u128) -> u32 {
        let print = Print::of(print);
        let mask = self.slots.len() - 1;
        let mut place = self.start(print.home);
        loop {
            match self.slots.get(place) {
                Some(slot) if slot.at != 0 => {
                    if slot.tag == print.tag && slot.check == print.check {
                        return slot.at;
                    }
                }
                // A free slot always comes: the table is never more than 3/4 full.
                _ => return 0,
            }
            place = (place + 1) & mask;
        }
    }

    /// Adds to the values of a group.
    #[inline]
    pub fn add(&mut self, at: u32, deltas: &[u64]) {
        let start = at as usize;
        if let Some(values) = self.values.get_mut(start..start + deltas.len()) {
            for (value, delta) in values.iter_mut().zip(deltas) {
                *value = value.saturating_add(*delta);
            }
        }
    }

    /// The values of a group.
    pub fn values(&self, at: u32, width: usize) -> &[u64] {
        let start = at as usize;
        self.values.get(start..start + width).unwrap_or(&[])
    }

    /// A group by its number.
    pub fn group(&self, number: u32) -> Option<&Group> {
        self.groups.get(number as usize)
    }

    /// The encoded key of a group.
    pub fn key(&self, group: &Group) -> &[u8] {
        let start = group.key_start as usize;
        self.keys
            .get(start..start + group.key_length as usize)
            .unwrap_or(&[])
    }

    /// Makes a group that was not found. Returns its number and where its values are.
    pub fn insert(
        &mut self,
        print: u128,
        width: usize,
        next: u32,
        key: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(u32, u32), TableFull> {
        let number = u32::try_from(self.groups.len())
            .ok()
            .filter(|number| *number != NONE)
            .ok_or(TableFull)?;
        let key_start = self.keys.len();
        let at = self.reserve(width)?;
        key(&mut self.keys);
        let key_length = u32::try_from(self.keys.len() - key_start).map_err(|_| TableFull)?;
        self.groups.push(Group {
            at,
            next,
            key_start: key_start as u64,
            key_length,
        });
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            if self.shift == 0 {
                return Err(TableFull);
            }
            self.grow();
        }
        self.place(Print::of(print), at);
        Ok((number, at))
    }

    /// Values without a key of their own: an `(other)`.
    pub fn insert_other(&mut self, width: usize) -> Result<u32, TableFull> {
        self.reserve(width)
    }

    fn reserve(&mut self, width: usize) -> Result<u32, TableFull> {
        let at = u32::try_from(self.values.len()).map_err(|_| TableFull)?;
        u32::try_from(self.values.len() + width).map_err(|_| TableFull)?;
        self.values.resize(self.values.len() + width, 0);
        Ok(at)
    }

    fn place(&mut self, print: Print, at: u32) {
        let mask = self.slots.len() - 1;
        let mut place = self.start(print.home);
        while let (Some(slot), Some(home)) = (self.slots.get_mut(place), self.homes.get_mut(place))
        {
            if slot.at == 0 {
                *slot = Slot {
                    tag: print.tag,
                    check: print.check,
                    at,
                };
                *home = print.home;
                self.used += 1;
                return;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        let homes = std::mem::replace(&mut self.homes, vec![0; slots]);
        self.shift -= 1;
        self.used = 0;
        for (slot, home) in old.iter().zip(homes) {
            if slot.at != 0 {
                let (tag, check) = (slot.tag, slot.check);
                self.place(Print { tag, check, home }, slot.at);
            }
        }
    }

    /// Per group number its fingerprint: what is needed to move groups to
    /// another table.
    pub fn prints(&self) -> Vec<u128> {
        let mut by_place = vec![0u128; self.values.len() + 1];
        for (slot, home) in self.slots.iter().zip(&self.homes) {
            if slot.at != 0
                && let Some(print) = by_place.get_mut(slot.at as usize)
            {
                let tag = u128::from(slot.tag) << 64;
                *print = tag | u128::from(slot.check) << 32 | u128::from(*home);
            }
        }
        let place = |group: &Group| by_place.get(group.at as usize).copied();
        self.groups
            .iter()
            .map(|group| place(group).unwrap_or(0))
            .collect()
    }

    /// An empty table with room for a share (`part` of `whole`) of this one's groups.
    pub fn room_for(&self, part: usize, whole: usize) -> Self {
        let share = |count: usize| {
            usize::try_from(count as u128 * part as u128 / whole.max(1) as u128).unwrap_or(count)
        };
        let groups = share(self.groups.len());
        let slots = (groups * 3 / 2).next_power_of_two().max(FIRST_SLOTS);
        let mut table = Self::with_slots(slots);
        table.values.reserve_exact(share(self.values.len()));
        table.groups.reserve_exact(groups);
        table.keys.reserve_exact(share(self.keys.len()));
        table
    }
}

/// Keeps loads that only warm the cache from being optimised away.
#[inline]
pub(super) fn keep(sum: u64) {
    black_box(sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::fingerprint::Keys;

    fn filled(keys: &Keys, groups: u32) -> GroupTable {
        let mut table = GroupTable::new();
        for number in 0..groups {
            let text = number.to_string();
            let print = keys.text(text.as_bytes());
            assert_eq!(table.find(print), 0);
            let width = 1 + number as usize % 3;
            let (made, at) = table
                .insert(print, width, NONE, |out| out.extend(text.bytes()))
                .unwrap();
            assert_eq!(made, number);
            table.add(at, &vec![u64::from(number); width]);
        }
        table
    }

    #[test]
    fn every_group_is_found_again_after_growing() {
        let keys = Keys::random();
        let mut table = filled(&keys, 50_000);
        for number in 0..50_000 {
            let text = number.to_string();
            let at = table.find(keys.text(text.as_bytes()));
            let group = *table.group(number).unwrap();
            assert_eq!(group.at, at);
            assert_eq!(table.key(&group), text.as_bytes());
            let width = 1 + number as usize % 3;
            table.add(at, &vec![u64::MAX - 7; width]);
            let sum = u64::from(number).saturating_add(u64::MAX - 7);
            assert_eq!(table.values(at, width), vec![sum; width]);
        }
        assert_eq!(table.find(keys.text(b"nobody")), 0);
    }

    #[test]
    fn fingerprints_can_be_had_back() {
        let keys = Keys::random();
        let table = filled(&keys, 5_000);
        let prints = table.prints();
        assert_eq!(prints.len(), 5_000);
        for (number, print) in prints.iter().enumerate() {
            assert_eq!(*print, keys.text(number.to_string().as_bytes()));
        }
    }

    /// A growing table keeps slots in order, so most of its life a lookup
    /// looks at fewer than two slots.
    #[test]
    fn the_table_is_never_more_than_three_quarters_full() {
        let table = filled(&Keys::random(), 20_000);
        assert!(table.used * 4 <= table.slots.len() * 3);
        assert_eq!(table.used, 20_000);
        assert!(table.slots.len() <= 1 << 15);
    }
}
