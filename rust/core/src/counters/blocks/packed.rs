//! Blocks that were not touched for long: their groups put away as the bytes
//! that a stored cell would have. They take a fifth of the room that way, and
//! coming back costs microseconds where a read of the store costs hundreds.

use super::Blocks;
use crate::counters::arena::MAX_KEY;
use crate::counters::block::{self, Decoded, Header};
use crate::counters::index::NONE;
use crate::counters::program::Program;
use crate::plan::Plan;
use crate::trials::{self, Bug};

impl Blocks {
    /// Whether a block's groups are put away.
    #[inline]
    pub fn is_packed(&self, id: u32) -> bool {
        self.get(id).is_some_and(|block| block.packed != 0)
    }

    /// What is put away of a block, as it was.
    pub(super) fn body(&mut self, id: u32) -> Option<&[u8]> {
        let place = self.get(id)?.packed;
        let (form, kept) = self.bodies.get(place);
        let body = self.shrinker.restore(form, kept);
        // Nobody but `put_away` wrote it: what can not be read was damaged in memory.
        self.full |= body.is_none();
        body
    }

    /// About the bytes of the blocks whose groups lie in the table.
    pub fn open_bytes(&self) -> usize {
        self.live_bytes - self.packed_bytes
    }

    /// Puts the groups of a block away; what it is otherwise stays. False if
    /// they are already, or can not be.
    pub fn pack(&mut self, program: &Program, id: u32) -> bool {
        let packable = |block: &&super::Block| !block.dead && !block.pending && block.packed == 0;
        if self.get(id).filter(packable).is_none() {
            return false;
        }
        let mut value = std::mem::take(&mut self.encoding.value);
        value.clear();
        self.encode(program, id, Header::default(), &mut value);
        let done = self.put_away(program, id, block::body(&value));
        self.encoding.value = value;
        if done && trials::seeded(Bug::PackedTakenAsWritten) {
            self.set_dirty(id, false);
        }
        done
    }

    fn put_away(&mut self, program: &Program, id: u32, body: &[u8]) -> bool {
        if body.len() > MAX_KEY {
            return false;
        }
        let (form, kept) = self.shrinker.shrink(body);
        let write = |out: &mut Vec<u8>| out.extend_from_slice(kept);
        let Ok((place, size)) = self.bodies.push(form as u8, kept.len(), write) else {
            return false; // no number is left to name it by: it stays as it is
        };
        self.body_bytes += size;
        self.close(program, id);
        if let Some(block) = self.blocks.get_mut(id as usize) {
            block.packed = place;
        }
        let now = self.closed_bytes(id) + size;
        self.weigh(id, now);
        self.packed_bytes += now;
        true
    }

    /// Something is added to a block soon: its groups come back if they are put away.
    #[inline]
    pub fn prepare(&mut self, program: &Program, plan: &Plan, id: u32) {
        if self.is_packed(id) {
            self.open(program, plan, id);
        } else if let Some(block) = self.get(id) {
            self.heads.soon(block.head);
        }
    }

    #[inline(never)]
    fn open(&mut self, program: &Program, plan: &Plan, id: u32) {
        let mut decoded: Decoded = std::mem::take(&mut self.decoded);
        let read = self.body(id).map(|body| decoded.read_body(plan, body));
        self.full |= !matches!(read, Some(Ok(())));
        self.body_is_dead(self.get(id).map_or(0, |block| block.packed));
        self.packed_bytes -= self.bytes_of(id);
        if let Some(block) = self.blocks.get_mut(id as usize) {
            block.packed = 0;
            block.head = self.heads.take();
        }
        self.weigh(id, self.closed_bytes(id) + self.heads.each());
        self.fill(program, id, &decoded);
        self.decoded = decoded;
    }

    /// Gives back what an open block has, or has put away: it has no groups then.
    pub(super) fn close(&mut self, program: &Program, id: u32) {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return;
        };
        let place = std::mem::take(&mut block.packed);
        if place != 0 {
            self.packed_bytes -= block.bytes as usize;
            self.body_is_dead(place);
            return;
        }
        self.table.release(std::mem::take(&mut block.region));
        let head = std::mem::replace(&mut block.head, NONE);
        let states = program.rollups.iter().zip(self.heads.states(head));
        for (_, state) in states.filter(|(step, _)| step.single.is_some()) {
            self.single_groups -= state.groups as usize;
        }
        self.heads.give_back(head);
    }

    fn body_is_dead(&mut self, place: u32) {
        let bytes = self.bodies.get(place).1.len();
        self.body_bytes -= bytes;
        self.dead_body_bytes += bytes;
    }

    fn bytes_of(&self, id: u32) -> usize {
        self.get(id).map_or(0, |block| block.bytes as usize)
    }

    /// Of a block without head, groups and body.
    fn closed_bytes(&self, id: u32) -> usize {
        self.get(id).map_or(0, |block| {
            Self::place_bytes(self.table.key(block.key).1.len())
        })
    }

    /// From now on a block takes so many bytes.
    fn weigh(&mut self, id: u32, bytes: usize) {
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
        for block in self.blocks.iter_mut().filter(|block| block.packed != 0) {
            block.packed = place;
        }
    }
}
