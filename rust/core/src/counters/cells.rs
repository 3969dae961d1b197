//! A block's groups: open addressing by fingerprint, the numbers beside it.

use super::pack::Packed;
use super::slots::{Print, start};

/// One group in 32 bytes, two to a cache line and none across two. `key` 0 is
/// an empty cell.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
pub(super) struct Cell {
    tag: u64,
    check: u32,
    /// Where its key is.
    pub key: u32,
    pub values: Packed,
}

impl Cell {
    #[inline]
    pub fn new(print: Print, key: u32, values: Packed) -> Self {
        Self {
            tag: print.tag,
            check: print.check,
            key,
            values,
        }
    }

    #[inline]
    fn is(&self, print: Print) -> bool {
        self.tag == print.tag && self.check == print.check
    }

    fn print(&self) -> Print {
        Print {
            tag: self.tag,
            check: self.check,
        }
    }
}

/// The cell of a fingerprint, if it is there. The number of cells is a power of
/// two, and one of them at least is empty (or there are none).
#[inline(always)]
pub(super) fn find_mut(cells: &mut [Cell], print: Print) -> Option<&mut Cell> {
    let mask = cells.len().wrapping_sub(1);
    let mut place = start(print, cells.len());
    loop {
        let cell = cells.get(place).filter(|cell| cell.key != 0)?;
        if cell.is(print) {
            return cells.get_mut(place);
        }
        place = (place + 1) & mask;
    }
}

/// Puts a cell where it will be found; nobody has its fingerprint yet.
#[inline]
pub(super) fn put(cells: &mut [Cell], new: Cell) {
    let mask = cells.len().wrapping_sub(1);
    let mut place = start(new.print(), cells.len());
    while let Some(cell) = cells.get_mut(place) {
        if cell.key == 0 {
            *cell = new;
            return;
        }
        place = (place + 1) & mask;
    }
}
