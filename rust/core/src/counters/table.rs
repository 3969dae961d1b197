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
    used: usize,
    /// Per group a header (home bits and group number), then its measures.
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

fn header(home: u32, group: u32) -> u64 {
    u64::from(home) << 32 | u64::from(group)
}

impl GroupTable {
    pub fn new() -> Self {
        Self {
            slots: vec![Slot::default(); FIRST_SLOTS],
            used: 0,
            values: Vec::new(),
            groups: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Groups with a line of their own.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Bytes that it holds on to.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.values.capacity() * 8
            + self.groups.capacity() * size_of::<Group>()
            + self.keys.capacity()
    }

    /// Bytes that one group adds, about: for per-block accounts.
    pub fn group_bytes(width: usize, key: usize) -> usize {
        2 * size_of::<Slot>() + size_of::<Group>() + 8 * (width + 1) + key
    }

    /// Reads the slot where a group would be, so that it is in the cache when
    /// [`Self::find`] comes. The result only keeps the load alive.
    #[inline]
    pub fn touch(&self, print: u128) -> u64 {
        let home = Print::of(print).home as usize;
        self.slots
            .get(home & (self.slots.len() - 1))
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
        let mut place = print.home as usize & mask;
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
        let home = Print::of(print).home;
        let at = self.reserve(width, header(home, number))?;
        key(&mut self.keys);
        let key_length = u32::try_from(self.keys.len() - key_start).map_err(|_| TableFull)?;
        self.groups.push(Group {
            at,
            next,
            key_start: key_start as u64,
            key_length,
        });
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow(self.slots.len() * 2);
        }
        self.place(Print::of(print), at);
        Ok((number, at))
    }

    /// Values without a key of their own: an `(other)`.
    pub fn insert_other(&mut self, width: usize) -> Result<u32, TableFull> {
        self.reserve(width, header(0, NONE))
    }

    fn reserve(&mut self, width: usize, header: u64) -> Result<u32, TableFull> {
        let at = u32::try_from(self.values.len() + 1).map_err(|_| TableFull)?;
        u32::try_from(self.values.len() + 1 + width).map_err(|_| TableFull)?;
        self.values.push(header);
        self.values.resize(self.values.len() + width, 0);
        Ok(at)
    }

    fn place(&mut self, print: Print, at: u32) {
        let mask = self.slots.len() - 1;
        let mut place = print.home as usize & mask;
        while let Some(slot) = self.slots.get_mut(place) {
            if slot.at == 0 {
                *slot = Slot {
                    tag: print.tag,
                    check: print.check,
                    at,
                };
                self.used += 1;
                return;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        self.used = 0;
        for slot in old.iter().filter(|slot| slot.at != 0) {
            let home = self.home(slot);
            self.place(
                Print {
                    tag: slot.tag,
                    check: slot.check,
                    home,
                },
                slot.at,
            );
        }
    }

    fn header(&self, slot: &Slot) -> u64 {
        let at = slot.at as usize;
        self.values.get(at.wrapping_sub(1)).copied().unwrap_or(0)
    }

    fn home(&self, slot: &Slot) -> u32 {
        (self.header(slot) >> 32) as u32
    }

    /// Per group number its fingerprint: what is needed to move groups to
    /// another table.
    pub fn prints(&self) -> Vec<u128> {
        let mut prints = vec![0; self.groups.len()];
        for slot in self.slots.iter().filter(|slot| slot.at != 0) {
            let header = self.header(slot);
            if let Some(print) = prints.get_mut(header as u32 as usize) {
                *print = u128::from(slot.tag) << 64
                    | u128::from(slot.check) << 32
                    | u128::from(header >> 32);
            }
        }
        prints
    }

    /// An empty table with room for a share (`part` of `whole`) of this one's groups.
    pub fn room_for(&self, part: usize, whole: usize) -> Self {
        let share = |count: usize| {
            usize::try_from(count as u128 * part as u128 / whole.max(1) as u128).unwrap_or(count)
        };
        let groups = share(self.groups.len());
        let slots = (groups * 3 / 2).next_power_of_two().max(FIRST_SLOTS);
        Self {
            slots: vec![Slot::default(); slots],
            used: 0,
            values: Vec::with_capacity(share(self.values.len())),
            groups: Vec::with_capacity(groups),
            keys: Vec::with_capacity(share(self.keys.len())),
        }
    }
}

/// Keeps loads that only warm the cache from being optimised away.
#[inline]
pub(super) fn keep(sum: u64) {
    black_box(sum);
}
