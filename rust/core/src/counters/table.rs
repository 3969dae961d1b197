//! The groups of all blocks: for each block a small table of fingerprints with
//! the numbers beside them; keys of all of them in the order in which they came.

use flurry_hints as hints;

use super::arena::{KeyBytes, Numbers, Regions};
use super::cells::{Cell, find_mut, put};
use super::ops::Op;
use super::pack::{Layout, Packed};
use super::slots::{Print, start};

pub(super) use super::arena::Region;

/// Cells that a block has at least, if it has any.
const FIRST_CELLS: u32 = 8;
/// Groups that a new block gets room for at most.
const FIRST_GROUPS: u32 = 48;

/// There is no number left that could name a group: 2^32 cells, 2^32 numbers or
/// 16 GiB of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFull;

/// What is added to a group, one number a measure.
#[derive(Clone, Copy)]
pub(super) struct Delta<'d> {
    pub layout: &'d Layout,
    /// The numbers, or where they begin in `elsewhere`.
    pub packed: Packed,
    pub elsewhere: &'d [u64],
}

impl<'d> Delta<'d> {
    /// Of numbers as they are.
    pub fn of(layout: &'d Layout, numbers: &'d [u64]) -> Self {
        let packed = layout.pack(numbers.iter().copied());
        Self {
            layout,
            packed: packed.unwrap_or(Packed::wide(0)),
            elsewhere: numbers,
        }
    }

    fn add_to(self, numbers: &mut Numbers, at: u32) {
        match self.packed.place() {
            Some(start) => {
                let deltas = self.elsewhere.get(start as usize..).unwrap_or(&[]);
                let deltas = deltas.iter().take(self.layout.width);
                numbers.add(at, deltas.copied());
            }
            None => numbers.add(at, self.layout.unpack(self.packed)),
        }
    }
}

/// Groups by block and fingerprint.
pub(super) struct GroupTable {
    cells: Regions,
    /// Of groups whose numbers do not fit into their cells.
    numbers: Numbers,
    keys: KeyBytes,
    count: usize,
    /// Groups whose cells were given back, and their keys and numbers not yet.
    dead: usize,
    /// On their way from one region to another.
    moving: Vec<Cell>,
}

impl GroupTable {
    pub fn new() -> Self {
        Self {
            cells: Regions::default(),
            numbers: Numbers::new(),
            keys: KeyBytes::new(),
            count: 0,
            dead: 0,
            moving: Vec::new(),
        }
    }

    /// Groups that have a cell.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes that it holds on to.
    pub fn bytes(&self) -> usize {
        let moving = self.moving.capacity() * size_of::<Cell>();
        self.cells.bytes() + self.numbers.bytes() + self.keys.bytes() + moving
    }

    /// Bytes that one group adds, about: for per-block accounts.
    pub fn group_bytes(layout: &Layout, key: usize) -> usize {
        let elsewhere = if layout.is_wide() {
            8 * layout.width
        } else {
            0
        };
        2 * size_of::<Cell>() + elsewhere + 6 + key
    }

    /// [`Self::add`] comes for these groups soon.
    #[inline]
    pub fn soon(&self, region: Region, ops: &[Op]) {
        let cells = self.cells.get(region);
        for op in ops {
            hints::soon(cells, start(op.print(), cells.len()));
        }
    }

    /// Adds to groups of one block, in order, until one is not there; returns
    /// how many were.
    #[inline]
    pub fn add(
        &mut self,
        region: Region,
        ops: &[Op],
        layouts: &[Layout],
        elsewhere: &[u64],
    ) -> Result<usize, TableFull> {
        let cells = self.cells.get_mut(region);
        for (done, op) in ops.iter().enumerate() {
            let (Some(cell), Some(layout)) = (
                find_mut(cells, op.print()),
                layouts.get(usize::from(op.rollup)),
            ) else {
                return Ok(done);
            };
            match cell.values.plus(op.add, layout.guards) {
                Some(sum) => cell.values = sum,
                None => {
                    let delta = Delta {
                        layout,
                        packed: op.add,
                        elsewhere,
                    };
                    add_wide(&mut cell.values, delta, &mut self.numbers)?;
                }
            }
        }
        Ok(ops.len())
    }

    /// Makes a group that was not found; returns the length of its key. A first
    /// group brings room for `expected` ones. `key` writes `most` bytes at most.
    pub fn insert(
        &mut self,
        (region, expected): (&mut Region, u32),
        (print, rollup): (Print, u16),
        delta: Delta<'_>,
        (most, key): (usize, impl FnOnce(&mut Vec<u8>)),
    ) -> Result<usize, TableFull> {
        if (region.used + 1) * 4 > region.cells * 3 {
            self.grow(region, expected)?;
        }
        let rollup = u8::try_from(rollup).map_err(|_| TableFull)?;
        let (key, length) = self.keys.push(rollup, most, key)?;
        let mut values = Packed::default();
        match values.plus(delta.packed, delta.layout.guards) {
            Some(sum) => values = sum,
            None => add_wide(&mut values, delta, &mut self.numbers)?,
        }
        put(self.cells.get_mut(*region), Cell::new(print, key, values));
        region.used += 1;
        self.count += 1;
        Ok(length)
    }

    /// Makes numbers without a group: those of an `(other)`.
    pub fn insert_other(&mut self, layout: &Layout) -> Result<u32, TableFull> {
        self.numbers.push(layout.width)
    }

    /// Adds to an `(other)`.
    pub fn add_other(&mut self, at: u32, delta: Delta<'_>) {
        delta.add_to(&mut self.numbers, at);
    }

    /// The numbers of an `(other)`.
    pub fn other(&self, at: u32, layout: &Layout) -> &[u64] {
        self.numbers.get(at, layout.width)
    }

    /// The groups of a block, in no order.
    pub fn all(&self, region: Region) -> impl Iterator<Item = &Cell> {
        self.cells.get(region).iter().filter(|cell| cell.key != 0)
    }

    /// Rollup (as its place in the plan) and encoded key of a group.
    #[inline]
    pub fn key(&self, at: u32) -> (u8, &[u8]) {
        self.keys.get(at)
    }

    /// [`Self::key`] comes for all groups of a block soon.
    pub fn keys_soon(&self, region: Region) {
        for cell in self.all(region) {
            self.keys.soon(cell.key);
        }
    }

    /// Appends the numbers of a group.
    pub fn values(&self, cell: &Cell, layout: &Layout, out: &mut Vec<u64>) {
        match cell.values.place() {
            Some(at) => out.extend_from_slice(self.numbers.get(at, layout.width)),
            None => out.extend(layout.unpack(cell.values)),
        }
    }

    /// Keeps a text that is no group's; [`Self::key`] has it.
    pub fn keep(&mut self, text: &[u8]) -> Result<u32, TableFull> {
        let write = |out: &mut Vec<u8>| out.extend_from_slice(text);
        Ok(self.keys.push(0, text.len(), write)?.0)
    }

    /// Moves the cells of a block to a region of twice the size, or makes its first.
    fn grow(&mut self, region: &mut Region, expected: u32) -> Result<(), TableFull> {
        let old = *region;
        let cells = match old.cells {
            0 => (expected.min(FIRST_GROUPS) * 4 / 3 + 1)
                .next_power_of_two()
                .max(FIRST_CELLS),
            cells => cells * 2,
        };
        *region = self.cells.take(cells)?;
        region.used = old.used;
        self.moving.clear();
        let living = self.cells.get(old).iter().filter(|cell| cell.key != 0);
        self.moving.extend(living);
        let cells = self.cells.get_mut(*region);
        for cell in &self.moving {
            put(cells, *cell);
        }
        self.cells.release(old);
        Ok(())
    }

    /// Gives the cells of a block back: none of its groups is found any more.
    /// What they have elsewhere stays until the living are moved.
    pub fn release(&mut self, region: Region) {
        self.count -= region.used as usize;
        self.dead += region.used as usize;
        self.cells.release(region);
    }

    /// Groups whose keys and numbers are nobody's any more.
    pub fn dead(&self) -> usize {
        self.dead
    }

    /// Cells that nobody uses.
    pub fn free_cells(&self) -> usize {
        self.cells.free_cells()
    }

    /// Cells of regions that somebody uses.
    pub fn taken_cells(&self) -> usize {
        self.cells.taken_cells()
    }

    /// Its keys and numbers, of which it has none then: they are to be copied back.
    pub fn take_texts(&mut self) -> Texts {
        self.dead = 0;
        Texts {
            keys: std::mem::replace(&mut self.keys, KeyBytes::new()),
            numbers: std::mem::replace(&mut self.numbers, Numbers::new()),
        }
    }

    /// A text that is no group's; returns where it is.
    pub fn copy_key(&mut self, from: &Texts, at: u32) -> Result<u32, TableFull> {
        self.keys.copy(&from.keys, at)
    }

    /// Keys and numbers of a block's groups, which keep the order in which they came.
    pub fn copy_texts(
        &mut self,
        from: &Texts,
        region: Region,
        layouts: &[Layout],
    ) -> Result<(), TableFull> {
        let cells = self.cells.get_mut(region).iter_mut();
        let mut living: Vec<&mut Cell> = cells.filter(|cell| cell.key != 0).collect();
        living.sort_unstable_by_key(|cell| cell.key);
        for cell in living {
            let (rollup, _) = from.keys.get(cell.key);
            cell.key = self.keys.copy(&from.keys, cell.key)?;
            let layout = layouts.get(usize::from(rollup));
            if let (Some(at), Some(layout)) = (cell.values.place(), layout) {
                let at = self.numbers.copy(&from.numbers, at, layout.width)?;
                cell.values = Packed::wide(at);
            }
        }
        Ok(())
    }

    /// The numbers of an `(other)`; returns where they are.
    pub fn copy_other(&mut self, from: &Texts, at: u32, layout: &Layout) -> Result<u32, TableFull> {
        self.numbers.copy(&from.numbers, at, layout.width)
    }

    /// Its cells, of which it has none then: they are to be copied back.
    pub fn take_cells(&mut self) -> Regions {
        std::mem::take(&mut self.cells)
    }

    /// The cells of a block; returns where they are.
    pub fn copy_cells(&mut self, from: &Regions, region: Region) -> Result<Region, TableFull> {
        if region.cells == 0 {
            return Ok(region);
        }
        let mut copy = self.cells.take(region.cells)?;
        copy.used = region.used;
        self.cells.get_mut(copy).copy_from_slice(from.get(region));
        Ok(copy)
    }
}

/// Keys and numbers of a table, on their way.
pub(super) struct Texts {
    keys: KeyBytes,
    numbers: Numbers,
}

/// Adds what does not fit into a cell, or to what does not.
#[cold]
#[inline(never)]
fn add_wide(values: &mut Packed, delta: Delta<'_>, numbers: &mut Numbers) -> Result<(), TableFull> {
    let at = match values.place() {
        Some(at) => at,
        None => {
            let at = numbers.push(delta.layout.width)?;
            numbers.add(at, delta.layout.unpack(*values));
            *values = Packed::wide(at);
            at
        }
    };
    delta.add_to(numbers, at);
    Ok(())
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
