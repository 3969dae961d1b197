//! The blocks in memory: which are there, what is known of them, and the
//! groups that they hold in the common table.

use hashbrown::HashTable;

use super::block::{Decoded, Header, KeyParts, Writer, write_key_part};
use super::ops::Ops;
use super::program::Program;
use super::row::write_row;
use super::table::{GroupTable, NONE, keep};
use crate::plan::Scope;
use crate::trials::{self, Bug};

/// One block's place and state; its groups lie in the common table.
#[derive(Debug)]
pub struct Block {
    print: u128,
    /// What the fingerprints of its groups begin with: no other block's, ever.
    groups_print: u128,
    pub partition: i32,
    pub bucket: u32,
    api_key: Box<[u8]>,
    /// E of the stored cell that it was built on: records below are in it. 0: there was none.
    pub base: i64,
    /// Offset of the last record counted here, −1 before the first.
    pub touched: i64,
    /// The engine's turn at that time: blocks of old turns are evicted first.
    pub turn: u64,
    dirty: bool,
    /// Part of the flush in flight.
    pub flying: bool,
    /// Its stored cell is not known yet: nothing may be counted here.
    pub pending: bool,
    /// Dropped, to be removed at the next rebuild.
    pub dead: bool,
    /// About the bytes that its groups take.
    pub bytes: usize,
}

/// A rollup of a block: the list of its groups.
#[derive(Clone, Copy)]
struct State {
    groups: u32,
    head: u32,
    /// Where the values of `(other)` are, 0 if there is none.
    other: u32,
}

const NO_GROUPS: State = State {
    groups: 0,
    head: NONE,
    other: 0,
};

/// All blocks of an engine.
pub struct Blocks {
    table: GroupTable,
    index: HashTable<u32>,
    blocks: Vec<Block>,
    /// Per block and rollup, `rollups` to a block.
    states: Vec<State>,
    rollups: usize,
    /// Blocks ever made.
    serial: u64,
    live_bytes: usize,
    /// Of dropped blocks that wait for a rebuild.
    dead_bytes: usize,
    dirty_bytes: usize,
    key_bytes: usize,
    full: bool,
    /// Updates of groups that were applied.
    pub updates: u64,
    sorted: Vec<u32>,
}

/// Bytes of a block without groups.
fn empty_bytes(rollups: usize, key: usize) -> usize {
    size_of::<Block>() + rollups * size_of::<State>() + key + 16
}

impl Blocks {
    /// None yet.
    pub fn new(program: &Program) -> Self {
        Self {
            table: GroupTable::new(),
            index: HashTable::new(),
            blocks: Vec::new(),
            states: Vec::new(),
            rollups: program.rollups.len(),
            serial: 0,
            live_bytes: 0,
            dead_bytes: 0,
            dirty_bytes: 0,
            key_bytes: 0,
            full: false,
            updates: 0,
            sorted: Vec::new(),
        }
    }

    /// Blocks in memory.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Groups in memory, those of dropped blocks included until the next rebuild.
    pub fn groups(&self) -> usize {
        self.table.len()
    }

    /// Whether the table has run out of numbers: what was counted since is not to be trusted.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether a rebuild would give back more than it has to move. Dropping
    /// many partitions one by one then costs no more than dropping them at once.
    pub fn is_mostly_dead(&self) -> bool {
        self.dead_bytes > self.live_bytes
    }

    #[cfg(test)]
    pub fn run_out_of_numbers(&mut self) {
        self.full = true;
    }

    /// Bytes that are held on to.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
            + self.blocks.capacity() * size_of::<Block>()
            + self.states.capacity() * size_of::<State>()
            + self.index.capacity() * 5
            + self.key_bytes
    }

    /// About the bytes that the live blocks need: what eviction can bring down.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// The fingerprint of a block.
    #[inline]
    pub fn print(program: &Program, app: u128, partition: i32, bucket: u32) -> u128 {
        program.keys.block(app, partition, bucket)
    }

    /// The number of the block with this fingerprint.
    #[inline]
    pub fn find(&self, print: u128) -> Option<u32> {
        self.index
            .find((print >> 64) as u64, |id| {
                self.blocks
                    .get(*id as usize)
                    .is_some_and(|block| block.print == print)
            })
            .copied()
    }

    /// The block of a row.
    pub fn find_row(
        &self,
        program: &Program,
        partition: i32,
        api_key: &[u8],
        bucket: u32,
    ) -> Option<u32> {
        let app = program.keys.text(api_key);
        self.find(Self::print(program, app, partition, bucket))
    }

    /// Makes a block that was not found, without groups, on a base of nothing.
    pub fn create(
        &mut self,
        program: &Program,
        print: u128,
        partition: i32,
        api_key: &[u8],
        bucket: u32,
        pending: bool,
    ) -> u32 {
        self.serial += 1;
        let groups_print = program.keys.groups_of_block(self.serial);
        let id = self.blocks.len() as u32;
        let bytes = empty_bytes(self.rollups, api_key.len());
        self.live_bytes += bytes;
        self.key_bytes += api_key.len();
        self.blocks.push(Block {
            print,
            groups_print,
            partition,
            bucket,
            api_key: api_key.into(),
            base: 0,
            touched: -1,
            turn: 0,
            dirty: false,
            flying: false,
            pending,
            dead: false,
            bytes,
        });
        self.states
            .resize(self.states.len() + self.rollups, NO_GROUPS);
        let blocks = &self.blocks;
        self.index.insert_unique((print >> 64) as u64, id, |id| {
            blocks
                .get(*id as usize)
                .map_or(0, |block| (block.print >> 64) as u64)
        });
        id
    }

    /// Whether something was counted in it since the last freeze (or since an
    /// abandoned one).
    pub fn is_dirty(&self, id: u32) -> bool {
        self.get(id).is_some_and(|block| block.dirty)
    }

    /// Says so, or takes it back; true if that changed anything.
    pub fn set_dirty(&mut self, id: u32, dirty: bool) -> bool {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return false;
        };
        if block.dirty == dirty {
            return false;
        }
        block.dirty = dirty;
        if dirty {
            self.dirty_bytes += block.bytes;
        } else {
            self.dirty_bytes -= block.bytes;
        }
        true
    }

    /// About the bytes of the dirty blocks.
    pub fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    /// What the fingerprints of a block's groups begin with.
    #[inline]
    pub fn groups_print(&self, id: u32) -> u128 {
        self.get(id).map_or(0, |block| block.groups_print)
    }

    /// A block by its number.
    #[inline]
    pub fn get(&self, id: u32) -> Option<&Block> {
        self.blocks.get(id as usize)
    }

    /// A block by its number.
    #[inline]
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Block> {
        self.blocks.get_mut(id as usize)
    }

    /// All blocks that are not dropped, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Block)> {
        (0u32..).zip(&self.blocks).filter(|(_, block)| !block.dead)
    }

    /// The blocks of one partition.
    pub fn of_partition(&self, partition: i32) -> Vec<u32> {
        self.iter()
            .filter(|(_, block)| block.partition == partition)
            .map(|(id, _)| id)
            .collect()
    }

    /// Applies operations in order. Three passes, so that the misses of the
    /// slots, then those of the values, overlap: the first two only read.
    pub fn apply(&mut self, program: &Program, ops: &mut Ops<'_>) {
        let mut warm = 0u64;
        for op in &ops.ops {
            warm = warm.wrapping_add(self.table.touch(op.print));
        }
        for op in &mut ops.ops {
            op.at = self.table.find(op.print);
            warm = warm.wrapping_add(self.table.touch_values(op.at));
        }
        keep(warm);
        for index in 0..ops.ops.len() {
            let Some(&op) = ops.ops.get(index) else { break };
            let at = match op.at {
                // Not there a moment ago: an earlier operation may have made it.
                0 => match self.table.find(op.print) {
                    0 => self.create_group(program, ops, index),
                    at => at,
                },
                at => at,
            };
            let start = op.deltas as usize;
            if let Some(deltas) = ops.deltas.get(start..start + usize::from(op.width)) {
                self.table.add(at, deltas);
            }
            if index == ops.ops.len() / 2 {
                trials::fail_point("engine.apply.inside");
            }
        }
        self.updates += ops.ops.len() as u64;
        ops.clear_applied();
    }

    /// The place of a group that is not in the table: new, or past the cap.
    #[cold]
    fn create_group(&mut self, program: &Program, ops: &Ops<'_>, index: usize) -> u32 {
        let Some(op) = ops.ops.get(index) else {
            return 0;
        };
        let (Some(step), Some(scope)) = (
            program.rollups.get(usize::from(op.rollup)),
            ops.scopes.get(op.scope as usize),
        ) else {
            return 0;
        };
        // The number of updates is the nearest to a clock that this crate has.
        let switched = trials::seeded(Bug::ConfigSwitchedByWallClock) && self.updates > 30;
        let key = |out: &mut Vec<u8>| {
            for (kind, slot) in &step.key {
                let start = match kind {
                    Scope::Report => scope.report,
                    Scope::Session => scope.session,
                    Scope::Leaf => op.leaf,
                };
                write_key_part(ops.piece(start as usize + slot), out);
            }
        };
        self.insert(
            scope.block,
            usize::from(op.rollup),
            if switched { 1 } else { step.cap },
            step.width,
            op.print,
            key,
        )
    }

    /// Makes a group of a block, or says where its `(other)` is.
    fn insert(
        &mut self,
        block: u32,
        rollup: usize,
        cap: u32,
        width: usize,
        print: u128,
        key: impl FnOnce(&mut Vec<u8>),
    ) -> u32 {
        let state = block as usize * self.rollups + rollup;
        let Some(state) = self.states.get_mut(state) else {
            return 0;
        };
        let (at, bytes) = if state.groups < cap {
            match self.table.insert(print, width, state.head, key) {
                Ok((number, at)) => {
                    state.head = number;
                    state.groups += 1;
                    let key = self
                        .table
                        .group(number)
                        .map_or(0, |g| self.table.key(g).len());
                    (at, GroupTable::group_bytes(width, key))
                }
                Err(_) => {
                    self.full = true;
                    return 0;
                }
            }
        } else if state.other == 0 {
            match self.table.insert_other(width) {
                Ok(at) => {
                    state.other = at;
                    (at, 8 * (width + 1))
                }
                Err(_) => {
                    self.full = true;
                    return 0;
                }
            }
        } else {
            (state.other, 0)
        };
        self.live_bytes += bytes;
        if let Some(block) = self.blocks.get_mut(block as usize) {
            block.bytes += bytes;
            if block.dirty {
                self.dirty_bytes += bytes;
            }
        }
        at
    }

    /// Puts the contents of a stored cell into a block that has no groups yet.
    pub fn seed(&mut self, program: &Program, id: u32, cell: &Decoded) {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return;
        };
        block.base = cell.header.end;
        let of_block = block.groups_print;
        for section in &cell.sections {
            let Some(step) = program.rollups.get(section.rollup) else {
                continue;
            };
            for (key, values) in cell.groups(section) {
                let print = (0..).zip(KeyParts::new(key)).fold(
                    of_block.wrapping_add(step.salt),
                    |sum, (place, text)| {
                        let print = program.keys.text(text.as_bytes());
                        sum.wrapping_add(print.wrapping_mul(program.keys.of_dimension(place)))
                    },
                );
                let at = self.insert(id, section.rollup, step.cap, section.width, print, |out| {
                    out.extend_from_slice(key);
                });
                self.table.add(at, values);
            }
            if let Some(values) = cell.other(section) {
                // Past the cap whatever the key: this makes the `(other)`.
                let at = self.insert(id, section.rollup, 0, section.width, 0, |_| ());
                self.table.add(at, values);
            }
        }
    }

    /// Appends the row key of a block.
    pub fn write_row(&self, id: u32, out: &mut Vec<u8>) {
        if let Some(block) = self.get(id) {
            // Keys of more than 255 bytes do not get here: the decoder refuses them.
            write_row(&block.api_key, block.bucket, out);
        }
    }

    /// Appends the canonical value of a block.
    pub fn encode(&mut self, program: &Program, id: u32, header: Header, out: &mut Vec<u8>) {
        let first = id as usize * self.rollups;
        let Some(states) = self.states.get(first..first + self.rollups) else {
            return;
        };
        let sections = states.iter().filter(|state| state.groups > 0).count();
        let mut writer = Writer::begin(out, header, sections);
        for (state, step) in states.iter().zip(&program.rollups) {
            if state.groups == 0 {
                continue;
            }
            let table = &self.table;
            self.sorted.clear();
            let mut next = state.head;
            while let Some(group) = table.group(next) {
                self.sorted.push(next);
                next = group.next;
            }
            let key = |number: &u32| table.group(*number).map_or(&[][..], |g| table.key(g));
            self.sorted.sort_unstable_by(|a, b| key(a).cmp(key(b)));
            let groups = self.sorted.iter().map(|number| {
                let at = table.group(*number).map_or(0, |group| group.at);
                (key(number), table.values(at, step.width))
            });
            let other = (state.other != 0).then(|| table.values(state.other, step.width));
            writer.section(step.number, groups, other);
        }
        writer.finish();
    }

    /// Takes a block out of the index; its memory is freed by the next [`Self::rebuild`].
    pub fn kill(&mut self, id: u32) {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return;
        };
        if block.dead {
            return;
        }
        block.dead = true;
        self.live_bytes -= block.bytes;
        self.dead_bytes += block.bytes;
        if block.dirty {
            self.dirty_bytes -= block.bytes;
        }
        let hash = (block.print >> 64) as u64;
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
    }

    /// Moves the living to fresh memory. Every number of a block changes.
    pub fn rebuild(&mut self, program: &Program) {
        let mut fresh = Blocks::new(program);
        fresh.updates = self.updates;
        fresh.full = self.full;
        if self.is_empty() {
            fresh.serial = self.serial;
            *self = fresh;
            return;
        }
        let prints = self.table.prints();
        fresh.table = self
            .table
            .room_for(self.live_bytes, self.live_bytes + self.dead_bytes);
        for (id, block) in (0usize..).zip(&self.blocks) {
            if block.dead {
                continue;
            }
            let moved = fresh.create(
                program,
                block.print,
                block.partition,
                &block.api_key,
                block.bucket,
                block.pending,
            );
            if let Some(to) = fresh.blocks.get_mut(moved as usize) {
                // Its groups keep their fingerprints.
                to.groups_print = block.groups_print;
                to.base = block.base;
                to.touched = block.touched;
                to.turn = block.turn;
                to.flying = block.flying;
            }
            fresh.set_dirty(moved, block.dirty);
            for (rollup, step) in program.rollups.iter().enumerate() {
                let Some(state) = self.states.get(id * self.rollups + rollup) else {
                    continue;
                };
                let mut next = state.head;
                while let Some(group) = self.table.group(next) {
                    let print = prints.get(next as usize).copied().unwrap_or(0);
                    let key = self.table.key(group);
                    let at = fresh.insert(moved, rollup, step.cap, step.width, print, |out| {
                        out.extend_from_slice(key);
                    });
                    fresh.table.add(at, self.table.values(group.at, step.width));
                    next = group.next;
                }
                if state.other != 0 {
                    let at = fresh.insert(moved, rollup, 0, step.width, 0, |_| ());
                    fresh
                        .table
                        .add(at, self.table.values(state.other, step.width));
                }
            }
        }
        fresh.serial = self.serial;
        *self = fresh;
    }
}
