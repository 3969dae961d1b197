//! Memory of what left is given back, kind by kind, each once there is more of
//! it than of what stays: moving the living costs no more than they did.

use std::num::NonZeroU32;

use super::Blocks;
use super::heads::Heads;
use super::shrink::Form;
use crate::counters::arena::KeyBytes;
use crate::counters::index::{Index, NONE};
use crate::counters::program::Program;
use crate::counters::table::TableFull;

/// How much must be dead for the living to be moved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// Most: moving costs no more than what is dead did.
    Most,
    /// A quarter of that: memory is short, and to read a block again costs more.
    Some,
}

impl Worth {
    fn moving(self, dead: usize, living: usize) -> bool {
        let most = match self {
            Worth::Most => living,
            Worth::Some => living / 4,
        };
        dead > most
    }
}

impl Blocks {
    /// Moves what is worth moving.
    pub fn tidy(&mut self, program: &Program, worth: Worth) {
        let moved = self.tidy_contents(program, worth);
        self.full |= moved.is_err();
    }

    /// Lets blocks move up where most are dropped; whether their numbers changed.
    pub fn tidy_numbers(&mut self) -> bool {
        let most = self.blocks.len() > 2 * self.len();
        if most {
            self.renumber();
        }
        most
    }

    /// Everything that can move does.
    #[cfg(test)]
    pub fn move_all(&mut self, program: &Program) {
        self.move_bodies(0).unwrap();
        self.move_texts(program).unwrap();
        self.move_cells().unwrap();
    }

    fn tidy_contents(&mut self, program: &Program, worth: Worth) -> Result<(), TableFull> {
        if worth.moving(self.dead_body_bytes, self.body_bytes / 2) {
            self.move_bodies(0)?;
        }
        if worth.moving(self.table.dead(), self.table.len()) {
            self.move_texts(program)?;
        }
        if worth.moving(self.table.free_cells(), self.table.taken_cells()) {
            self.move_cells()?;
        }
        Ok(())
    }

    /// Compresses what was put away longest ago, to free so many bytes; nothing
    /// where that would be next to nothing.
    pub fn shrink(&mut self, bytes: usize) {
        if self.plain_bytes > bytes / 16 {
            let moved = self.move_bodies(bytes);
            self.full |= moved.is_err();
        }
    }

    /// In the order in which they lie, which is that of their age, so that what is
    /// behind can go at once. The first are compressed until so many bytes are saved.
    fn move_bodies(&mut self, save: usize) -> Result<(), TableFull> {
        let packed = (0u32..).zip(&self.blocks);
        let mut places: Vec<(u32, u32)> = packed
            .filter(|(_, block)| block.packed != 0)
            .map(|(id, block)| (block.packed, id))
            .collect();
        places.sort_unstable();
        let mut old = std::mem::replace(&mut self.bodies, KeyBytes::new());
        self.dead_body_bytes = 0;
        let mut plain = 0;
        let mut saved = 0;
        for (place, id) in places {
            old.forget_before(place);
            let (mut form, body) = old.get(place);
            let mut kept = body;
            if form == Form::Plain as u8 && saved < save {
                let (now, shrunk) = self.shrinker.shrink(body);
                (form, kept) = (now as u8, shrunk);
            }
            let write = |out: &mut Vec<u8>| out.extend_from_slice(kept);
            let (place, size) = self.bodies.push(form, kept.len(), write)?;
            if let Some(block) = self.blocks.get_mut(id as usize) {
                block.packed = place;
            }
            plain += if form == Form::Plain as u8 { size } else { 0 };
            let less = body.len() - size;
            saved += less;
            self.weigh(id, self.bytes_of(id) - less);
        }
        self.plain_bytes = plain;
        self.body_bytes -= saved;
        self.packed_bytes -= saved;
        Ok(())
    }

    fn move_texts(&mut self, program: &Program) -> Result<(), TableFull> {
        let old = self.table.take_texts();
        for block in self.blocks.iter_mut().filter(|block| !block.dead) {
            block.key = self.table.copy_key(&old, block.key)?;
            self.table
                .copy_texts(&old, block.region, &program.layouts)?;
            let states = self.heads.states_mut(block.head).iter_mut();
            for (state, layout) in states.zip(&program.layouts) {
                if let Some(other) = state.other {
                    let other = self.table.copy_other(&old, other.get(), layout)?;
                    state.other = NonZeroU32::new(other);
                }
            }
        }
        Ok(())
    }

    fn move_cells(&mut self) -> Result<(), TableFull> {
        let old = self.table.take_cells();
        let mut heads = Heads::like(&self.heads);
        for block in self.blocks.iter_mut().filter(|block| !block.dead) {
            block.region = self.table.copy_cells(&old, block.region)?;
            if block.head != NONE {
                block.head = heads.copy(&self.heads, block.head);
            }
        }
        self.heads = heads;
        Ok(())
    }

    /// Lets the living move up. Every number of a block may change.
    fn renumber(&mut self) {
        let room = self.len();
        let living = |block: &super::Block| !block.dead;
        let mut kept = self.blocks.iter().map(living);
        self.prints.retain(|_| kept.next().unwrap_or(false));
        self.blocks.retain(living);
        self.prints.shrink_to(room + room / 4);
        self.blocks.shrink_to(room + room / 4);
        self.index = Index::with_room(room);
        for (id, print) in (0u32..).zip(&self.prints) {
            self.index.insert(*print, id);
        }
    }
}
