//! Groups put away as the bytes that a stored cell would have: a fifth of their
//! room or less. What is added to such a block waits in the table beside it, and
//! is merged with it when the block is written or put away again, which costs
//! microseconds where a read of the store costs hundreds.

use super::Blocks;
use super::shrink::Form;
use crate::counters::arena::MAX_KEY;
use crate::counters::block::{self, Decoded, Header};
use crate::counters::index::NONE;
use crate::counters::program::Program;
use crate::trials::{self, Bug};

impl Blocks {
    /// Whether a block's groups are put away, all of them.
    #[inline]
    pub fn is_packed(&self, id: u32) -> bool {
        self.get(id).is_some_and(|block| block.head == NONE)
    }

    /// What is put away of a block, as it was.
    pub(super) fn body(&mut self, id: u32) -> Option<&[u8]> {
        let place = self.get(id)?.packed;
        let (form, kept) = self.bodies.get(place);
        let body = self.shrinker.restore(form, kept);
        // Nobody but `put_away` and `move_bodies` wrote it: what can not be read was damaged in memory.
        self.full |= body.is_none();
        body
    }

    /// What is put away of a block that was added to since; nothing if that is nothing.
    pub(super) fn take_base(&mut self, program: &Program, id: u32) -> Decoded {
        let mut base = std::mem::take(&mut self.decoded);
        base.clear();
        if self.get(id).is_some_and(|block| block.packed != 0) {
            let read = self
                .body(id)
                .map(|body| base.read_body(&program.plan, body));
            self.full |= !matches!(read, Some(Ok(())));
        }
        base
    }

    /// About the bytes of what lies in the table.
    pub fn open_bytes(&self) -> usize {
        self.live_bytes - self.packed_bytes
    }

    /// Puts the groups of a block away; what it is otherwise stays. False if
    /// they are already, or can not be.
    pub fn pack(&mut self, program: &Program, id: u32) -> bool {
        // What was put away of a block that waits is its stored cell: it waits for nothing else.
        let is_known = |block: &super::Block| !block.pending || block.packed != 0;
        let packable = |block: &&super::Block| !block.dead && is_known(block) && block.head != NONE;
        if self.get(id).filter(packable).is_none() {
            return false;
        }
        let mut value = std::mem::take(&mut self.encoding.value);
        value.clear();
        self.encode(program, id, Header::default(), &mut value);
        let done = !self.full && self.put_away(program, id, block::body(&value));
        self.encoding.value = value;
        if done && trials::seeded(Bug::PackedTakenAsWritten) {
            self.set_dirty(id, false);
        }
        done
    }

    /// Puts the groups of a block away as the value that was just written or
    /// read of it: the next time only what came since is sorted, and merged with
    /// it. False if that can not be: they stay where they are.
    pub fn keep(&mut self, program: &Program, id: u32, value: &[u8]) -> bool {
        !self.full && !self.is_packed(id) && self.put_away(program, id, block::body(value))
    }

    fn put_away(&mut self, program: &Program, id: u32, body: &[u8]) -> bool {
        if body.len() > MAX_KEY {
            return false;
        }
        let write = |out: &mut Vec<u8>| out.extend_from_slice(body);
        let Ok((place, size)) = self.bodies.push(Form::Plain as u8, body.len(), write) else {
            return false; // no number is left to name it by: it stays as it is
        };
        self.body_bytes += size;
        self.plain_bytes += size;
        self.close(program, id);
        if let Some(block) = self.blocks.get_mut(id as usize) {
            block.packed = place;
        }
        let now = self.closed_bytes(id) + size;
        self.weigh(id, now);
        self.packed_bytes += now;
        true
    }

    /// Something is added to a block soon: it gets a head if it has none. What
    /// is put away stays that; groups are gathered beside it, and both are
    /// merged when they are written or put away.
    #[inline]
    pub fn prepare(&mut self, id: u32) {
        match self.get(id).map(|block| block.head) {
            Some(NONE) => self.give_head(id),
            Some(head) => self.heads.soon(head),
            None => {}
        }
    }

    fn give_head(&mut self, id: u32) {
        let head = self.heads.take();
        if let Some(block) = self.blocks.get_mut(id as usize) {
            block.head = head;
        }
        self.weigh(id, self.bytes_of(id) + self.heads.each());
    }

    /// Whether a rollup has as many groups beside what is put away as it may
    /// have at all: of one more nobody could tell whether it has a line of its own.
    #[inline]
    pub(super) fn is_crowded(&self, program: &Program, id: u32, rollup: u16) -> bool {
        let Some(block) = self.get(id).filter(|block| block.packed != 0) else {
            return false;
        };
        let rollup = usize::from(rollup);
        let state = self.heads.states(block.head).get(rollup);
        let step = program.rollups.get(rollup);
        state
            .zip(step)
            .is_some_and(|(state, step)| state.groups >= step.cap)
    }

    /// Puts away what such a block has gathered.
    #[cold]
    pub(super) fn make_room(&mut self, program: &Program, id: u32) {
        if self.pack(program, id) {
            self.give_head(id);
        } else {
            self.open(program, id);
        }
    }

    /// About the bytes that an open block has in the table, and about how many
    /// nanoseconds it takes to put them away.
    pub fn to_put_away(&self, id: u32) -> Option<(usize, usize)> {
        let block = self.get(id).filter(|block| block.head != NONE)?;
        let (body, closed) = match block.packed {
            0 => (0, 0),
            place => (self.bodies.get(place).1.len(), self.closed_bytes(id)),
        };
        let open = (block.bytes as usize).saturating_sub(body + closed);
        Some((open, 1_000 + open + 25 * body))
    }

    /// What is put away of a block comes back, with what was added beside it: as
    /// bytes it would be too much.
    fn open(&mut self, program: &Program, id: u32) {
        let mut value = std::mem::take(&mut self.encoding.value);
        value.clear();
        self.encode(program, id, Header::default(), &mut value);
        let mut decoded = std::mem::take(&mut self.decoded);
        let read = decoded.read_body(&program.plan, block::body(&value));
        self.full |= read.is_err();
        self.encoding.value = value;
        self.close(program, id);
        self.weigh(id, self.closed_bytes(id));
        self.give_head(id);
        self.fill(program, id, &decoded);
        self.decoded = decoded;
    }

    /// Gives back what a block has in the table, and what it has put away: it has no groups then.
    pub(super) fn close(&mut self, program: &Program, id: u32) {
        let closed = self.closed_bytes(id);
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return;
        };
        let place = std::mem::take(&mut block.packed);
        let head = std::mem::replace(&mut block.head, NONE);
        self.table.release(std::mem::take(&mut block.region));
        if place != 0 {
            let (form, body) = self.bodies.get(place);
            let size = body.len();
            if form == Form::Plain as u8 {
                self.plain_bytes -= size;
            }
            self.packed_bytes -= closed + size;
            self.body_bytes -= size;
            self.dead_body_bytes += size;
        }
        if head == NONE {
            return;
        }
        let states = program.rollups.iter().zip(self.heads.states(head));
        for (_, state) in states.filter(|(step, _)| step.single.is_some()) {
            self.single_groups -= state.groups as usize;
        }
        self.heads.give_back(head);
    }

    pub(super) fn bytes_of(&self, id: u32) -> usize {
        self.get(id).map_or(0, |block| block.bytes as usize)
    }

    /// Of a block without head, groups and body.
    fn closed_bytes(&self, id: u32) -> usize {
        self.get(id).map_or(0, |block| {
            Self::place_bytes(self.table.key(block.key).1.len())
        })
    }

    /// From now on a block takes so many bytes.
    pub(super) fn weigh(&mut self, id: u32, bytes: usize) {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return;
        };
        let before = block.bytes as usize;
        block.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.live_bytes = self.live_bytes + bytes - before;
        if block.dirty {
            self.dirty_bytes = self.dirty_bytes + bytes - before;
        }
    }

    /// Whether a block has groups in both places.
    #[cfg(test)]
    pub fn has_both(&self) -> bool {
        let both = |block: &super::Block| block.packed != 0 && block.head != NONE;
        self.blocks.iter().any(both)
    }

    /// Blocks that are put away and not compressed.
    #[cfg(test)]
    pub fn plain(&self) -> Vec<u32> {
        let plain = |place| self.bodies.get(place).0 == Form::Plain as u8;
        let packed = self.iter().filter(|(_, block)| block.packed != 0);
        packed
            .filter(|(_, block)| plain(block.packed))
            .map(|(id, _)| id)
            .collect()
    }

    #[cfg(test)]
    pub fn shrink_after(&mut self, bytes: usize) {
        self.shrinker = super::Shrinker::new(bytes);
    }

    #[cfg(test)]
    pub fn damage_what_is_packed(&mut self) {
        let mut damaged = crate::counters::arena::KeyBytes::new();
        let damage = |out: &mut Vec<u8>| out.extend_from_slice(b"damaged");
        let (place, _) = damaged.push(0, 7, damage).unwrap();
        self.bodies = damaged;
        self.body_bytes = 7;
        self.plain_bytes = 7;
        for block in self.blocks.iter_mut().filter(|block| block.packed != 0) {
            block.packed = place;
        }
    }
}
