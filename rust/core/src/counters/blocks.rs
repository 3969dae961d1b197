//! The blocks in memory: which are there, what is known of them, and the
//! groups that they hold in the common table.

use flurry_hints as hints;

use super::block::{Decoded, Header, KeyParts, Writer, write_key_part};
use super::index::Index;
use super::ops::Ops;
use super::program::{Program, Step};
use super::row::write_row;
use super::slots::Print;
use super::table::{GroupTable, NONE, Region, TableFull};
use crate::plan::Scope;
use crate::trials::{self, Bug};

/// One block's place and state; its groups lie in the common table.
#[derive(Debug)]
pub struct Block {
    print: u128,
    /// Where its groups are looked for.
    region: Region,
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

impl Block {
    /// Its fingerprint: of partition, app and hour, under the process's key.
    pub fn print(&self) -> u128 {
        self.print
    }
}

/// A rollup of a block.
#[derive(Clone, Copy, Default)]
struct State {
    /// Those that have a line of their own.
    groups: u32,
    /// Where the only group of a rollup without dimensions is, 0 if there is none.
    single: u32,
    /// Where `(other)` is, 0 if there is none.
    other: u32,
}

/// A group to be written, with as much of its key as decides nearly always.
struct Line {
    rollup: u32,
    at: u32,
    prefix: u64,
}

/// All blocks of an engine.
pub struct Blocks {
    table: GroupTable,
    index: Index,
    blocks: Vec<Block>,
    /// Per block and rollup, `rollups` to a block.
    states: Vec<State>,
    rollups: usize,
    live_bytes: usize,
    /// Of dropped blocks that wait for a rebuild.
    dead_bytes: usize,
    dirty_bytes: usize,
    key_bytes: usize,
    full: bool,
    /// Updates of groups that were applied.
    pub updates: u64,
    lines: Vec<Line>,
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
            index: Index::new(),
            blocks: Vec::new(),
            states: Vec::new(),
            rollups: program.rollups.len(),
            live_bytes: 0,
            dead_bytes: 0,
            dirty_bytes: 0,
            key_bytes: 0,
            full: false,
            updates: 0,
            lines: Vec::new(),
        }
    }

    /// Blocks in memory.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
            + self.index.bytes()
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
        Some(self.index.find(print)).filter(|id| *id != NONE)
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
        print: u128,
        partition: i32,
        api_key: &[u8],
        bucket: u32,
        pending: bool,
    ) -> u32 {
        let id = self.blocks.len() as u32;
        let bytes = empty_bytes(self.rollups, api_key.len());
        self.live_bytes += bytes;
        self.key_bytes += api_key.len();
        self.blocks.push(Block {
            print,
            region: Region::default(),
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
            .resize(self.states.len() + self.rollups, State::default());
        self.index.insert(print, id);
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

    /// Finds the blocks of scopes that are not decided yet, without making any.
    /// Passes that wait for nothing, so that the misses of many overlap.
    pub fn look_up(&self, ops: &mut Ops<'_>) {
        let scopes = ops.scopes.get_mut(ops.decided..).unwrap_or_default();
        for scope in &*scopes {
            self.index.soon(scope.print);
        }
        for scope in &mut *scopes {
            scope.block = self.index.find(scope.print);
            hints::soon(&self.blocks, scope.block as usize);
            // Four to a cache line.
            let first = scope.block as usize * self.rollups;
            for state in (first..first.saturating_add(self.rollups)).step_by(4) {
                hints::soon(&self.states, state);
            }
        }
    }

    /// Applies operations in order; those of scopes without a block count
    /// nowhere. Passes as above: for the slots, then for the values.
    pub fn apply(&mut self, program: &Program, ops: &mut Ops<'_>) {
        for op in &ops.ops {
            let scope = ops.scopes.get(op.scope as usize);
            if let Some(block) = scope.and_then(|scope| self.get(scope.block)) {
                self.table.soon(block.region, op.print);
            }
        }
        for op in &mut ops.ops {
            let Some(scope) = ops.scopes.get(op.scope as usize) else {
                continue;
            };
            op.at = self.find_group(scope.block, op.rollup, op.single, op.print);
            self.table.soon_values(op.at);
        }
        for index in 0..ops.ops.len() {
            let Some(&op) = ops.ops.get(index) else { break };
            let at = match op.at {
                0 => self.find_or_create(program, ops, index),
                at => at,
            };
            let start = op.deltas as usize;
            if at != 0
                && let Some(deltas) = ops.deltas.get(start..start + usize::from(op.width))
            {
                self.table.add(at, deltas);
                self.updates += 1;
            }
            if index == ops.ops.len() / 2 {
                trials::fail_point("engine.apply.inside");
            }
        }
        ops.clear_applied();
    }

    #[inline]
    fn find_group(&self, block: u32, rollup: u16, single: bool, print: Print) -> u32 {
        let Some(found) = self.get(block) else {
            return 0;
        };
        if single {
            let state = block as usize * self.rollups + usize::from(rollup);
            return self.states.get(state).map_or(0, |state| state.single);
        }
        self.table.find(found.region, print)
    }

    /// The place of a group that was not there a moment ago: an earlier
    /// operation may have made it, or it is new, or past the cap.
    #[inline(never)]
    fn find_or_create(&mut self, program: &Program, ops: &Ops<'_>, index: usize) -> u32 {
        let Some(op) = ops.ops.get(index) else {
            return 0;
        };
        let (Some(step), Some(scope)) = (
            program.rollups.get(usize::from(op.rollup)),
            ops.scopes.get(op.scope as usize),
        ) else {
            return 0;
        };
        if scope.block == NONE {
            return 0;
        }
        let at = self.find_group(scope.block, op.rollup, op.single, op.print);
        if at != 0 {
            return at;
        }
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
        let cap = if switched { 1 } else { step.cap };
        self.insert(scope.block, step, cap, op.print, key)
    }

    /// Makes a group of a block, or says where its `(other)` is; 0 if there is
    /// no room for it.
    fn insert(
        &mut self,
        id: u32,
        step: &Step,
        cap: u32,
        print: Print,
        key: impl FnOnce(&mut Vec<u8>),
    ) -> u32 {
        match self.try_insert(id, step, cap, print, key) {
            Ok(at) => at,
            Err(TableFull) => {
                self.full = true;
                0
            }
        }
    }

    fn try_insert(
        &mut self,
        id: u32,
        step: &Step,
        cap: u32,
        print: Print,
        key: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u32, TableFull> {
        let rollup = usize::from(step.at);
        let (Some(state), Some(block)) = (
            self.states.get_mut(id as usize * self.rollups + rollup),
            self.blocks.get_mut(id as usize),
        ) else {
            return Ok(0);
        };
        let (at, bytes) = if state.groups < cap {
            let at = if step.is_single() {
                state.single = self.table.insert_alone(rollup, step.width, key)?;
                state.single
            } else {
                self.table
                    .insert(&mut block.region, print, rollup, step.width, key)?
            };
            state.groups += 1;
            let key = self.table.key(at).len();
            (at, GroupTable::group_bytes(step.width, key))
        } else if state.other == 0 {
            state.other = self.table.insert_other(step.width)?;
            (state.other, 8 * (step.width + 2))
        } else {
            return Ok(state.other);
        };
        self.live_bytes += bytes;
        block.bytes += bytes;
        if block.dirty {
            self.dirty_bytes += bytes;
        }
        Ok(at)
    }

    /// Puts the contents of a stored cell into a block that has no groups yet.
    pub fn seed(&mut self, program: &Program, id: u32, cell: &Decoded) {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return;
        };
        block.base = cell.header.end;
        for section in &cell.sections {
            let Some(step) = program.rollups.get(section.rollup) else {
                continue;
            };
            for (key, values) in cell.groups(section) {
                let print = (0..)
                    .zip(KeyParts::new(key))
                    .fold(step.salt, |sum, (place, text)| {
                        let print = program.keys.text(text.as_bytes());
                        sum.wrapping_add(print.wrapping_mul(program.keys.of_dimension(place)))
                    });
                let at = self.insert(id, step, step.cap, Print::of(print), |out| {
                    out.extend_from_slice(key);
                });
                self.table.add(at, values);
            }
            if let Some(values) = cell.other(section) {
                // Past the cap whatever the key: this makes the `(other)`.
                let at = self.insert(id, step, 0, Print::of(0), |_| ());
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
        let (Some(states), Some(block)) = (
            self.states.get(first..first + self.rollups),
            self.blocks.get(id as usize),
        ) else {
            return;
        };
        let table = &self.table;
        let singles = states.iter().map(|state| state.single);
        let singles = singles.filter(|single| *single != 0);
        self.lines.clear();
        self.lines
            .extend(table.all(block.region).chain(singles).map(|at| Line {
                rollup: table.rollup(at),
                at,
                prefix: prefix(table.key(at)),
            }));
        self.lines.sort_unstable_by(|a, b| {
            let (left, right) = ((a.rollup, a.prefix), (b.rollup, b.prefix));
            left.cmp(&right)
                .then_with(|| table.key(a.at).cmp(table.key(b.at)))
        });
        let sections = states.iter().filter(|state| state.groups > 0).count();
        let mut writer = Writer::begin(out, header, sections);
        for lines in self.lines.chunk_by(|a, b| a.rollup == b.rollup) {
            let Some(rollup) = lines.first().map(|line| line.rollup as usize) else {
                continue;
            };
            let (Some(state), Some(step)) = (states.get(rollup), program.rollups.get(rollup))
            else {
                continue;
            };
            let groups = lines
                .iter()
                .map(|line| (table.key(line.at), table.values(line.at, step.width)));
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
        self.index.remove(block.print, id);
        self.table.release(std::mem::take(&mut block.region));
    }

    /// Moves the living to fresh memory. Every number of a block changes.
    pub fn rebuild(&mut self, program: &Program) {
        let mut fresh = Blocks::new(program);
        fresh.updates = self.updates;
        fresh.full = self.full;
        if !self.is_empty() {
            for (id, _) in self.iter() {
                if fresh.adopt(self, program, id) == Err(TableFull) {
                    fresh.full = true;
                }
            }
        }
        *self = fresh;
    }

    /// Copies a block with its groups from elsewhere.
    fn adopt(&mut self, from: &Self, program: &Program, id: u32) -> Result<(), TableFull> {
        let Some(block) = from.get(id) else {
            return Ok(());
        };
        let (partition, bucket) = (block.partition, block.bucket);
        let key = &block.api_key;
        let to = self.create(block.print, partition, key, bucket, block.pending);
        let width = |rollup: u32| {
            let step = program.rollups.get(rollup as usize);
            step.map_or(0, |step| step.width)
        };
        let (first, to_first) = (id as usize * self.rollups, to as usize * self.rollups);
        for (rollup, step) in program.rollups.iter().enumerate() {
            let (Some(old), Some(new)) = (
                from.states.get(first + rollup),
                self.states.get_mut(to_first + rollup),
            ) else {
                continue;
            };
            new.groups = old.groups;
            if old.single != 0 {
                new.single = self.table.copy_alone(&from.table, old.single, step.width)?;
            }
            if old.other != 0 {
                new.other = self.table.copy_other(&from.table, old.other, step.width)?;
            }
        }
        let region = self.table.copy(&from.table, block.region, width)?;
        if let Some(new) = self.blocks.get_mut(to as usize) {
            self.live_bytes = self.live_bytes - new.bytes + block.bytes;
            new.bytes = block.bytes;
            new.region = region;
            new.base = block.base;
            new.touched = block.touched;
            new.turn = block.turn;
            new.flying = block.flying;
        }
        self.set_dirty(to, block.dirty);
        Ok(())
    }
}

/// The first bytes of a key as a number that compares alike.
fn prefix(key: &[u8]) -> u64 {
    match key.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => {
            let mut chunk = [0; 8];
            chunk.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
            u64::from_be_bytes(chunk)
        }
    }
}
