//! Open addressing by fingerprint: where a slot is looked for, in whatever
//! memory the slots lie.

/// 16 bytes, four to a cache line. `at` 0 is an empty slot.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    tag: u64,
    check: u32,
    pub at: u32,
}

/// What a slot keeps of a fingerprint: 96 bits. The upper ones choose the slot
/// as well, so that growing keeps the order and streams through memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    pub tag: u64,
    pub check: u32,
}

impl Print {
    #[inline]
    pub fn of(print: u128) -> Self {
        Self {
            tag: (print >> 64) as u64,
            check: (print >> 32) as u32,
        }
    }
}

impl Slot {
    #[inline]
    pub fn of(print: Print, at: u32) -> Self {
        Self {
            tag: print.tag,
            check: print.check,
            at,
        }
    }

    #[inline]
    pub fn print(&self) -> Print {
        Print {
            tag: self.tag,
            check: self.check,
        }
    }

    /// The same fingerprint at another place.
    pub fn moved(self, at: u32) -> Self {
        Self { at, ..self }
    }
}

/// Where the search for a fingerprint starts among so many slots.
#[inline]
pub(super) fn start(print: Print, slots: usize) -> usize {
    ((u128::from(print.tag) * slots as u128) >> 64) as usize
}

/// `at` of a fingerprint, 0 if it is not there. The number of slots is a power
/// of two, and one of them at least is empty (or there are none).
#[inline]
pub(super) fn find(slots: &[Slot], print: Print) -> u32 {
    let mut place = start(print, slots.len());
    loop {
        match slots.get(place) {
            Some(slot) if slot.at != 0 => {
                if slot.tag == print.tag && slot.check == print.check {
                    return slot.at;
                }
            }
            _ => return 0,
        }
        place = (place + 1) & (slots.len() - 1);
    }
}

/// Puts a slot where it will be found; nobody has its fingerprint yet.
#[inline]
pub(super) fn put(slots: &mut [Slot], new: Slot) {
    let mut place = start(new.print(), slots.len());
    let mask = slots.len().wrapping_sub(1);
    while let Some(slot) = slots.get_mut(place) {
        if slot.at == 0 {
            *slot = new;
            return;
        }
        place = (place + 1) & mask;
    }
}

/// The slot of a fingerprint that is at `at`.
pub(super) fn slot_mut(slots: &mut [Slot], print: Print, at: u32) -> Option<&mut Slot> {
    let mut place = start(print, slots.len());
    let mask = slots.len().wrapping_sub(1);
    while slots
        .get(place)
        .is_some_and(|slot| slot.at != 0 && slot.at != at)
    {
        place = (place + 1) & mask;
    }
    slots.get_mut(place).filter(|slot| slot.at == at)
}
