//! Memory of a table, in chunks: it grows without moving what is there, and
//! takes no more than it needs. A place is a chunk's number and a place in it.

use std::ops::Range;

use flurry_hints as hints;

use super::cells::Cell;
use super::table::TableFull;

/// Chunks are of 8 MiB, so that most of one lies on large pages: the kernel
/// then makes 2 MiB of it at once, and the processor finds its way there in one
/// step less. The first begins small.
const NUMBER_BITS: u32 = 20;
const CELL_BITS: u32 = 18;
/// Keys begin at multiples of four bytes.
const KEY_BITS: u32 = 21;
const KEY_UNIT: usize = 4;
/// Bits of what stands before a key for its length; the rest says whose it is.
const LENGTH_BITS: u32 = 24;
/// A longer key has no place.
pub(super) const MAX_KEY: usize = (1 << 20) - 1;

/// An empty chunk with room for so many.
fn chunk<T>(room: usize) -> Vec<T> {
    let mut chunk = Vec::with_capacity(room);
    hints::scattered(chunk.spare_capacity_mut());
    chunk
}

/// Numbers of 64 bits, some at a time. Place 0 is nobody's.
pub(super) struct Numbers {
    chunks: Vec<Vec<u64>>,
}

impl Numbers {
    pub fn new() -> Self {
        Self {
            chunks: vec![vec![0]],
        }
    }

    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Vec::capacity);
        8 * chunks.sum::<usize>() + self.chunks.capacity() * size_of::<Vec<u64>>()
    }

    /// Adds so many zeros; returns where they are.
    pub fn push(&mut self, width: usize) -> Result<u32, TableFull> {
        let room = |chunk: &&mut Vec<u64>| chunk.len() + width <= 1 << NUMBER_BITS;
        if self.chunks.last_mut().filter(room).is_none() {
            if self.chunks.len() >> (32 - NUMBER_BITS) != 0 {
                return Err(TableFull);
            }
            self.chunks.push(chunk(1 << NUMBER_BITS));
        }
        let number = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().ok_or(TableFull)?;
        let at = number << NUMBER_BITS | chunk.len();
        hints::grow(chunk, width);
        chunk.resize(chunk.len() + width, 0);
        Ok(at as u32)
    }

    /// Copies some from elsewhere; returns where they are.
    pub fn copy(&mut self, from: &Self, at: u32, width: usize) -> Result<u32, TableFull> {
        let to = self.push(width)?;
        self.add(to, from.get(at, width).iter().copied());
        Ok(to)
    }

    /// So many numbers.
    #[inline]
    pub fn get(&self, at: u32, width: usize) -> &[u64] {
        let first = offset(at, NUMBER_BITS);
        let chunk = self.chunks.get((at >> NUMBER_BITS) as usize);
        let values = chunk.and_then(|chunk| chunk.get(first..first + width));
        values.unwrap_or(&[])
    }

    /// Adds to as many numbers as there are.
    #[inline]
    pub fn add(&mut self, at: u32, deltas: impl Iterator<Item = u64>) {
        let chunk = self.chunks.get_mut((at >> NUMBER_BITS) as usize);
        let values = chunk.and_then(|chunk| chunk.get_mut(offset(at, NUMBER_BITS)..));
        for (value, delta) in values.unwrap_or(&mut []).iter_mut().zip(deltas) {
            *value = value.saturating_add(delta);
        }
    }
}

/// Keys, one behind the other, each with a number that says whose it is. Place
/// 0 is nobody's.
pub(super) struct KeyBytes {
    chunks: Vec<Vec<u8>>,
}

impl KeyBytes {
    pub fn new() -> Self {
        Self {
            chunks: vec![vec![0; KEY_UNIT]],
        }
    }

    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Vec::capacity);
        chunks.sum::<usize>() + self.chunks.capacity() * size_of::<Vec<u8>>()
    }

    /// Adds what `write` writes, `most` bytes at most: its place and length.
    #[inline]
    pub fn push(
        &mut self,
        whose: u8,
        most: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(u32, usize), TableFull> {
        let room = |chunk: &&mut Vec<u8>| chunk.len() + most + 2 * KEY_UNIT <= KEY_UNIT << KEY_BITS;
        if self.chunks.last_mut().filter(room).is_none() {
            if most > MAX_KEY || self.chunks.len() >> (32 - KEY_BITS) != 0 {
                return Err(TableFull);
            }
            self.chunks.push(chunk(KEY_UNIT << KEY_BITS));
        }
        let number = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().ok_or(TableFull)?;
        hints::grow(chunk, most + 2 * KEY_UNIT);
        let start = chunk.len();
        chunk.extend_from_slice(&[0; KEY_UNIT]);
        write(chunk);
        let length = chunk.len().saturating_sub(start + KEY_UNIT);
        if length > most || length > MAX_KEY {
            chunk.truncate(start);
            return Err(TableFull);
        }
        let head = u32::from(whose) << LENGTH_BITS | length as u32;
        if let Some(place) = chunk.get_mut(start..start + KEY_UNIT) {
            place.copy_from_slice(&head.to_le_bytes());
        }
        // As many zeros as there may have to be, and back to the multiple.
        let end = chunk.len().next_multiple_of(KEY_UNIT);
        chunk.extend_from_slice(&[0; KEY_UNIT - 1]);
        chunk.truncate(end);
        let at = number << KEY_BITS | (start / KEY_UNIT);
        Ok((at as u32, length))
    }

    /// Copies one from elsewhere; returns where it is.
    pub fn copy(&mut self, from: &Self, at: u32) -> Result<u32, TableFull> {
        let (whose, key) = from.get(at);
        let write = |out: &mut Vec<u8>| out.extend_from_slice(key);
        Ok(self.push(whose, key.len(), write)?.0)
    }

    /// Gives back what lies before the chunk of a key: it is needed no more.
    pub fn forget_before(&mut self, at: u32) {
        let before = self.chunks.iter_mut().take((at >> KEY_BITS) as usize);
        // From the last one back to one that is gone already.
        for chunk in before.rev().take_while(|chunk| chunk.capacity() > 0) {
            *chunk = Vec::new();
        }
    }

    /// A key is needed soon.
    #[inline]
    pub fn soon(&self, at: u32) {
        if let Some(chunk) = self.chunks.get((at >> KEY_BITS) as usize) {
            hints::soon(chunk, offset(at, KEY_BITS) * KEY_UNIT);
        }
    }

    /// Whose a key is, and the key.
    #[inline]
    pub fn get(&self, at: u32) -> (u8, &[u8]) {
        let chunk = self.chunks.get((at >> KEY_BITS) as usize);
        let from_here = chunk.and_then(|chunk| chunk.get(offset(at, KEY_BITS) * KEY_UNIT..));
        let Some((head, rest)) = from_here.and_then(<[u8]>::split_first_chunk) else {
            return (0, &[]);
        };
        let head = u32::from_le_bytes(*head);
        let key = rest.get(..offset(head, LENGTH_BITS));
        ((head >> LENGTH_BITS) as u8, key.unwrap_or(&[]))
    }
}

/// A block's part of the cells: a power of two of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Region {
    first: u32,
    pub cells: u32,
    pub used: u32,
}

impl Region {
    /// Where it lies: a chunk's number and places in it. A large region has a
    /// chunk of its own, which is then longer than others.
    #[inline]
    fn places(self) -> (usize, Range<usize>) {
        let first = offset(self.first, CELL_BITS);
        let places = first..first + self.cells as usize;
        ((self.first >> CELL_BITS) as usize, places)
    }
}

/// Cells, in regions that come and go.
#[derive(Default)]
pub(super) struct Regions {
    chunks: Vec<Vec<Cell>>,
    /// Regions that nobody uses, by the binary logarithm of their size.
    free: Vec<Vec<u32>>,
    /// Cells of regions that somebody uses.
    taken: usize,
}

impl Regions {
    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Vec::capacity);
        let free = self.free.iter().map(Vec::capacity);
        chunks.sum::<usize>() * size_of::<Cell>()
            + self.chunks.capacity() * size_of::<Vec<Cell>>()
            + free.sum::<usize>() * 4
    }

    /// Cells that nobody uses.
    pub fn free_cells(&self) -> usize {
        let cells: usize = self.chunks.iter().map(Vec::len).sum();
        cells - self.taken
    }

    /// Cells of regions that somebody uses.
    pub fn taken_cells(&self) -> usize {
        self.taken
    }

    /// The cells of a region.
    #[inline]
    pub fn get(&self, region: Region) -> &[Cell] {
        let (chunk, places) = region.places();
        let cells = self.chunks.get(chunk).and_then(|chunk| chunk.get(places));
        cells.unwrap_or(&[])
    }

    /// The cells of a region.
    #[inline]
    pub fn get_mut(&mut self, region: Region) -> &mut [Cell] {
        let (chunk, places) = region.places();
        let chunk = self.chunks.get_mut(chunk);
        let cells = chunk.and_then(|chunk| chunk.get_mut(places));
        cells.unwrap_or(&mut [])
    }

    /// A region of so many empty cells, a power of two.
    pub fn take(&mut self, cells: u32) -> Result<Region, TableFull> {
        self.taken += cells as usize;
        let class = cells.trailing_zeros() as usize;
        if let Some(first) = self.free.get_mut(class).and_then(Vec::pop) {
            let region = Region {
                first,
                cells,
                used: 0,
            };
            self.get_mut(region).fill(Cell::default());
            return Ok(region);
        }
        let room = |chunk: &Vec<Cell>| chunk.len() + cells as usize <= 1 << CELL_BITS;
        if !self.chunks.last().is_some_and(room) {
            self.give_rest();
            if self.chunks.len() >> (32 - CELL_BITS) != 0 {
                return Err(TableFull);
            }
            let room = if self.chunks.is_empty() {
                0
            } else {
                1 << CELL_BITS
            };
            self.chunks.push(chunk(room.max(cells as usize)));
        }
        let number = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().ok_or(TableFull)?;
        let first = (number << CELL_BITS | chunk.len()) as u32;
        hints::grow(chunk, cells as usize);
        chunk.resize(chunk.len() + cells as usize, Cell::default());
        Ok(Region {
            first,
            cells,
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
        let end = first.max(1 << CELL_BITS);
        chunk.resize(end, Cell::default());
        while first < end {
            let cells = 1 << (end - first).ilog2();
            self.free(Region {
                first: (number << CELL_BITS | first) as u32,
                cells,
                used: 0,
            });
            first += cells as usize;
        }
    }

    /// Gives a region back.
    pub fn release(&mut self, region: Region) {
        if region.cells != 0 {
            self.taken -= region.cells as usize;
            self.free(region);
        }
    }

    fn free(&mut self, region: Region) {
        let class = region.cells.trailing_zeros() as usize;
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
