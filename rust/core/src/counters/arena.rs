//! Memory of a table, in chunks: it grows without moving what is there, and
//! takes no more than it needs. A place is a chunk's number and a place in it.

use flurry_hints as hints;

use super::slots::Slot;
use super::table::TableFull;

/// Chunks are of 8 MiB, so that most of one lies on large pages: the kernel
/// then makes 2 MiB of it at once, and the processor finds its way there in one
/// step less. The first begins small.
const NUMBER_BITS: u32 = 20;
const SLOT_BITS: u32 = 19;
const KEY_BITS: u32 = 23;

/// An empty chunk with room for so many.
fn chunk<T>(room: usize) -> Vec<T> {
    let mut chunk = Vec::with_capacity(room);
    hints::scattered(chunk.spare_capacity_mut());
    chunk
}

/// Groups: each a number that says what it is, and its values. Place 0 is nobody's.
pub(super) struct Groups {
    chunks: Vec<Vec<u64>>,
}

impl Groups {
    pub fn new() -> Self {
        Self {
            chunks: vec![vec![0]],
        }
    }

    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Vec::capacity);
        8 * chunks.sum::<usize>() + self.chunks.capacity() * size_of::<Vec<u64>>()
    }

    /// Adds a group of zeros.
    pub fn push(&mut self, head: u64, width: usize) -> Result<u32, TableFull> {
        let room = |chunk: &&mut Vec<u64>| chunk.len() + 1 + width <= 1 << NUMBER_BITS;
        if self.chunks.last_mut().filter(room).is_none() {
            if self.chunks.len() >> (32 - NUMBER_BITS) != 0 {
                return Err(TableFull);
            }
            self.chunks.push(chunk(1 << NUMBER_BITS));
        }
        let number = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().ok_or(TableFull)?;
        let at = number << NUMBER_BITS | chunk.len();
        chunk.push(head);
        chunk.resize(chunk.len() + width, 0);
        Ok(at as u32)
    }

    /// The first number of a group.
    #[inline]
    pub fn head(&self, at: u32) -> u64 {
        let chunk = self.chunks.get((at >> NUMBER_BITS) as usize);
        let head = chunk.and_then(|chunk| chunk.get(offset(at, NUMBER_BITS)));
        head.copied().unwrap_or(0)
    }

    /// A group will be looked at soon.
    #[inline]
    pub fn soon(&self, at: u32) {
        if let Some(chunk) = self.chunks.get((at >> NUMBER_BITS) as usize) {
            hints::soon(chunk, offset(at, NUMBER_BITS) + 1);
        }
    }

    /// The values of a group.
    #[inline]
    pub fn get(&self, at: u32, width: usize) -> &[u64] {
        let first = offset(at, NUMBER_BITS) + 1;
        let chunk = self.chunks.get((at >> NUMBER_BITS) as usize);
        let values = chunk.and_then(|chunk| chunk.get(first..first + width));
        values.unwrap_or(&[])
    }

    /// The values of a group.
    #[inline]
    pub fn get_mut(&mut self, at: u32, width: usize) -> &mut [u64] {
        let first = offset(at, NUMBER_BITS) + 1;
        let chunk = self.chunks.get_mut((at >> NUMBER_BITS) as usize);
        let values = chunk.and_then(|chunk| chunk.get_mut(first..first + width));
        values.unwrap_or(&mut [])
    }
}

/// Keys, one behind the other.
#[derive(Default)]
pub(super) struct KeyBytes {
    chunks: Vec<Vec<u8>>,
    written: Vec<u8>,
}

impl KeyBytes {
    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Vec::capacity);
        chunks.sum::<usize>() + self.chunks.capacity() * size_of::<Vec<u8>>()
    }

    /// Adds what `write` writes: its place and length.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> (usize, usize) {
        self.written.clear();
        write(&mut self.written);
        let length = self.written.len();
        let room = |chunk: &&mut Vec<u8>| chunk.len() + length <= 1 << KEY_BITS;
        if self.chunks.last_mut().filter(room).is_none() {
            let room = if self.chunks.is_empty() {
                0
            } else {
                1 << KEY_BITS
            };
            self.chunks.push(chunk(length.max(room)));
        }
        let number = self.chunks.len() - 1;
        let Some(chunk) = self.chunks.last_mut() else {
            return (0, 0);
        };
        let at = number << KEY_BITS | chunk.len();
        chunk.extend_from_slice(&self.written);
        (at, length)
    }

    #[inline]
    pub fn get(&self, at: usize, length: usize) -> &[u8] {
        let first = at & ((1 << KEY_BITS) - 1);
        let chunk = self.chunks.get(at >> KEY_BITS);
        let key = chunk.and_then(|chunk| chunk.get(first..first + length));
        key.unwrap_or(&[])
    }
}

/// A block's part of the slots: a power of two of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Region {
    first: u32,
    pub slots: u32,
    pub used: u32,
}

impl Region {
    /// Where one of its slots is: a chunk's number and the place in it. A large
    /// region has a chunk of its own, which is then longer than others.
    #[inline]
    fn place(self, slot: usize) -> (usize, usize) {
        let chunk = self.first >> SLOT_BITS;
        (chunk as usize, offset(self.first, SLOT_BITS) + slot)
    }
}

/// Slots, in regions that come and go.
#[derive(Default)]
pub(super) struct Regions {
    chunks: Vec<Vec<Slot>>,
    /// Regions that nobody uses, by the binary logarithm of their size.
    free: Vec<Vec<u32>>,
}

impl Regions {
    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Vec::capacity);
        let free = self.free.iter().map(Vec::capacity);
        chunks.sum::<usize>() * size_of::<Slot>()
            + self.chunks.capacity() * size_of::<Vec<Slot>>()
            + free.sum::<usize>() * 4
    }

    /// One slot of a region will be looked at soon.
    #[inline]
    pub fn soon(&self, region: Region, slot: usize) {
        let (chunk, place) = region.place(slot);
        if let Some(chunk) = self.chunks.get(chunk) {
            hints::soon(chunk, place);
        }
    }

    /// One slot of a region.
    #[inline]
    pub fn slot(&self, region: Region, slot: usize) -> Option<&Slot> {
        let (chunk, place) = region.place(slot);
        self.chunks.get(chunk)?.get(place)
    }

    /// The slots of a region.
    #[inline]
    pub fn get(&self, region: Region) -> &[Slot] {
        let first = offset(region.first, SLOT_BITS);
        let chunk = self.chunks.get((region.first >> SLOT_BITS) as usize);
        let slots = chunk.and_then(|chunk| chunk.get(first..first + region.slots as usize));
        slots.unwrap_or(&[])
    }

    /// The slots of a region.
    #[inline]
    pub fn get_mut(&mut self, region: Region) -> &mut [Slot] {
        let first = offset(region.first, SLOT_BITS);
        let chunk = self.chunks.get_mut((region.first >> SLOT_BITS) as usize);
        let slots = chunk.and_then(|chunk| chunk.get_mut(first..first + region.slots as usize));
        slots.unwrap_or(&mut [])
    }

    /// A region of so many empty slots, a power of two.
    pub fn take(&mut self, slots: u32) -> Result<Region, TableFull> {
        let class = slots.trailing_zeros() as usize;
        if let Some(first) = self.free.get_mut(class).and_then(Vec::pop) {
            let region = Region {
                first,
                slots,
                used: 0,
            };
            self.get_mut(region).fill(Slot::default());
            return Ok(region);
        }
        let room = |chunk: &Vec<Slot>| chunk.len() + slots as usize <= 1 << SLOT_BITS;
        if !self.chunks.last().is_some_and(room) {
            self.give_rest();
            if self.chunks.len() >> (32 - SLOT_BITS) != 0 {
                return Err(TableFull);
            }
            let room = if self.chunks.is_empty() {
                0
            } else {
                1 << SLOT_BITS
            };
            self.chunks.push(chunk(room.max(slots as usize)));
        }
        let number = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().ok_or(TableFull)?;
        let first = (number << SLOT_BITS | chunk.len()) as u32;
        chunk.resize(chunk.len() + slots as usize, Slot::default());
        Ok(Region {
            first,
            slots,
            used: 0,
        })
    }

    /// Makes regions of what the last chunk has left.
    fn give_rest(&mut self) {
        let number = self.chunks.len().saturating_sub(1);
        let Some(chunk) = self.chunks.last_mut() else {
            return;
        };
        let mut first = chunk.len();
        let end = first.max(1 << SLOT_BITS);
        chunk.resize(end, Slot::default());
        while first < end {
            let slots = 1 << (end - first).ilog2();
            self.release(Region {
                first: (number << SLOT_BITS | first) as u32,
                slots,
                used: 0,
            });
            first += slots as usize;
        }
    }

    /// Gives a region back.
    pub fn release(&mut self, region: Region) {
        if region.slots == 0 {
            return;
        }
        let class = region.slots.trailing_zeros() as usize;
        if self.free.len() <= class {
            self.free.resize(class + 1, Vec::new());
        }
        if let Some(free) = self.free.get_mut(class) {
            free.push(region.first);
        }
    }
}

#[inline]
fn offset(at: u32, bits: u32) -> usize {
    at as usize & ((1 << bits) - 1)
}
