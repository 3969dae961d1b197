//! The blocks in memory: which are there, what is known of them, and the
//! groups that they hold in the common table.

use std::num::NonZeroU32;

use flurry_hints as hints;

use super::block::{Decoded, Header, KeyParts, Writer, write_key_part};
use super::index::{Index, NONE};
use super::ops::{Op, OpScope, Ops};
use super::program::{Program, Step};
use super::row::write_row;
use super::slots::Print;
use super::table::{Delta, GroupTable, Region, TableFull};
use super::varint;
use crate::plan::Scope;
use crate::trials::{self, Bug};

/// One block's place and state, in a cache line; its groups lie in the common table.
#[derive(Debug)]
#[repr(align(64))]
pub struct Block {
    /// Where its groups are looked for.
    region: Region,
    /// Where its API key is.
    key: u32,
    pub partition: i32,
    pub bucket: u32,
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

/// A rollup of a block.
#[derive(Clone, Copy, Default)]
struct State {
    /// Those that have a line of their own.
    groups: u32,
    /// Where the numbers of `(other)` are, if there is one.
    other: Option<NonZeroU32>,
}

/// A group to be written, with as much of its key as decides nearly always.
struct Line {
    rollup: u8,
    /// Where its key is, 0 for the empty one.
    key: u32,
    /// Where its numbers begin in `Encoding::numbers`.
    numbers: usize,
    prefix: u64,
}

/// Scratch space for a block that is written.
#[derive(Default)]
struct Encoding {
    lines: Vec<Line>,
    numbers: Vec<u64>,
}

/// A group that a block does not have yet.
struct New<'n> {
    step: &'n Step,
    cap: u32,
    print: Print,
    delta: Delta<'n>,
    /// New groups of the block that may follow, this one included.
    expected: u32,
}

/// All blocks of an engine.
pub struct Blocks {
    table: GroupTable,
    index: Index,
    blocks: Vec<Block>,
    /// Fingerprints of the blocks.
    prints: Vec<u128>,
    /// Per block and rollup, `rollups` to a block.
    states: Vec<State>,
    rollups: usize,
    /// Of rollups without dimensions, `single_numbers` to a block.
    singles: Vec<u64>,
    single_numbers: usize,
    /// How many of them exist.
    single_groups: usize,
    live_bytes: usize,
    /// Of dropped blocks that wait for a rebuild.
    dead_bytes: usize,
    dirty_bytes: usize,
    full: bool,
    /// Updates of groups that were applied.
    pub updates: u64,
    encoding: Encoding,
}

impl Blocks {
    /// None yet.
    pub fn new(program: &Program) -> Self {
        Self {
            table: GroupTable::new(),
            index: Index::new(),
            blocks: Vec::new(),
            prints: Vec::new(),
            states: Vec::new(),
            rollups: program.rollups.len(),
            singles: Vec::new(),
            single_numbers: program.single_numbers,
            single_groups: 0,
            live_bytes: 0,
            dead_bytes: 0,
            dirty_bytes: 0,
            full: false,
            updates: 0,
            encoding: Encoding::default(),
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
        self.table.len() + self.single_groups
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
            + self.prints.capacity() * size_of::<u128>()
            + self.states.capacity() * size_of::<State>()
            + self.singles.capacity() * size_of::<u64>()
            + self.index.bytes()
    }

    /// Bytes of a block without groups.
    fn empty_bytes(&self, key: usize) -> usize {
        size_of::<Block>()
            + size_of::<u128>()
            + self.rollups * size_of::<State>()
            + self.single_numbers * size_of::<u64>()
            + key
            + 16
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
        let bytes = self.empty_bytes(api_key.len());
        self.live_bytes += bytes;
        let key = self.table.keep(api_key).unwrap_or_else(|TableFull| {
            self.full = true;
            0
        });
        hints::grow(&mut self.prints, 1);
        self.prints.push(print);
        hints::grow(&mut self.blocks, 1);
        self.blocks.push(Block {
            region: Region::default(),
            key,
            partition,
            bucket,
            base: 0,
            touched: -1,
            turn: 0,
            dirty: false,
            flying: false,
            pending,
            dead: false,
            bytes,
        });
        hints::grow(&mut self.states, self.rollups);
        self.states
            .resize(self.states.len() + self.rollups, State::default());
        hints::grow(&mut self.singles, self.single_numbers);
        self.singles
            .resize(self.singles.len() + self.single_numbers, 0);
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

    /// The fingerprint of a block: of partition, app and hour, under the process's key.
    pub fn print_of(&self, id: u32) -> Option<u128> {
        self.prints.get(id as usize).copied()
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
            let block = scope.block as usize;
            hints::soon(&self.blocks, block);
            // Eight of either to a cache line.
            for place in (0..self.rollups).step_by(8) {
                hints::soon(&self.states, block * self.rollups + place);
            }
            for place in (0..self.single_numbers).step_by(8) {
                hints::soon(&self.singles, block * self.single_numbers + place);
            }
        }
    }

    /// Applies operations, those of a rollup in their order; those of scopes
    /// without a block count nowhere. Passes as above.
    pub fn apply(&mut self, program: &Program, ops: &mut Ops<'_>) {
        for run in ops.ops.chunk_by(|a, b| a.scope == b.scope) {
            if let Some(block) = run.first().and_then(|op| self.get(ops.block(op.scope))) {
                self.table.soon(block.region, run);
            }
        }
        self.add_singles(program, ops);
        let (front, back) = ops.ops.split_at(ops.ops.len() / 2);
        self.add(program, ops, front);
        trials::fail_point("engine.apply.inside");
        self.add(program, ops, back);
        ops.clear_applied();
    }

    fn add_singles(&mut self, program: &Program, ops: &Ops<'_>) {
        for single in &ops.singles {
            let block = ops.block(single.scope);
            let rollup = usize::from(single.rollup);
            let start = single.deltas as usize;
            if block != NONE
                && let Some(step) = program.rollups.get(rollup)
                && let Some(deltas) = ops.deltas.get(start..start + step.measures.len())
            {
                self.add_single(block, step, deltas);
                self.updates += 1;
            }
        }
    }

    /// Adds to the only group of a rollup without dimensions.
    #[inline]
    fn add_single(&mut self, block: u32, step: &Step, deltas: &[u64]) {
        let state = block as usize * self.rollups + usize::from(step.at);
        if let Some(state) = self.states.get_mut(state) {
            self.single_groups += usize::from(state.groups == 0);
            state.groups = 1;
        }
        let first = block as usize * self.single_numbers + step.single.unwrap_or(0);
        let numbers = self.singles.get_mut(first..first + deltas.len());
        for (number, delta) in numbers.unwrap_or(&mut []).iter_mut().zip(deltas) {
            *number = number.saturating_add(*delta);
        }
    }

    fn add(&mut self, program: &Program, ops: &Ops<'_>, some: &[Op]) {
        for run in some.chunk_by(|a, b| a.scope == b.scope) {
            let Some(scope) = run.first().and_then(|op| ops.scopes.get(op.scope as usize)) else {
                continue;
            };
            let mut rest = run;
            while !rest.is_empty()
                && let Some(region) = self.get(scope.block).map(|block| block.region)
            {
                let (layouts, elsewhere) = (&program.layouts, &ops.deltas);
                let done = self.table.add(region, rest, layouts, elsewhere);
                let done = done.unwrap_or_else(|TableFull| {
                    self.full = true;
                    rest.len()
                });
                self.updates += done as u64;
                rest = rest.get(done..).unwrap_or(&[]);
                if let Some((op, after)) = rest.split_first() {
                    self.add_new(program, ops, (scope, op), rest.len());
                    self.updates += 1;
                    rest = after;
                }
            }
        }
    }

    /// Adds to a group that is not there: it is new, or past the cap.
    #[inline(never)]
    fn add_new(
        &mut self,
        program: &Program,
        ops: &Ops<'_>,
        (scope, op): (&OpScope, &Op),
        expected: usize,
    ) {
        let rollup = usize::from(op.rollup);
        let (Some(step), Some(layout)) = (program.rollups.get(rollup), program.layouts.get(rollup))
        else {
            return;
        };
        // The number of updates is the nearest to a clock that this crate has.
        let switched = trials::seeded(Bug::ConfigSwitchedByWallClock) && self.updates > 30;
        let delta = Delta {
            layout,
            packed: op.add,
            elsewhere: &ops.deltas,
        };
        let parts = step.key.iter().map(|(kind, slot)| {
            let start = match kind {
                Scope::Report => scope.report,
                Scope::Session => scope.session,
                Scope::Leaf => op.leaf,
            };
            ops.piece(start as usize + slot)
        });
        let most = parts.clone().map(|part| part.len() + varint::MAX_BYTES);
        let key = (most.sum(), |out: &mut Vec<u8>| {
            parts.for_each(|part| write_key_part(part, out));
        });
        let new = New {
            step,
            cap: if switched { 1 } else { step.cap },
            print: op.print(),
            delta,
            expected: expected as u32,
        };
        self.insert(scope.block, new, key);
    }

    /// Makes a group of a block, or adds to its `(other)`.
    fn insert(&mut self, id: u32, new: New<'_>, key: (usize, impl FnOnce(&mut Vec<u8>))) {
        if self.try_insert(id, new, key) == Err(TableFull) {
            self.full = true;
        }
    }

    fn try_insert(
        &mut self,
        id: u32,
        new: New<'_>,
        key: (usize, impl FnOnce(&mut Vec<u8>)),
    ) -> Result<(), TableFull> {
        let New { step, delta, .. } = new;
        let (Some(state), Some(block)) = (
            self.states
                .get_mut(id as usize * self.rollups + usize::from(step.at)),
            self.blocks.get_mut(id as usize),
        ) else {
            return Ok(());
        };
        let bytes = if state.groups < new.cap {
            let region = (&mut block.region, new.expected);
            let group = (new.print, step.at);
            let key = self.table.insert(region, group, delta, key)?;
            state.groups += 1;
            GroupTable::group_bytes(delta.layout, key)
        } else if let Some(other) = state.other {
            self.table.add_other(other.get(), delta);
            0
        } else {
            let other = self.table.insert_other(delta.layout)?;
            self.table.add_other(other, delta);
            state.other = NonZeroU32::new(other);
            8 * (delta.layout.width + 2)
        };
        self.live_bytes += bytes;
        block.bytes += bytes;
        if block.dirty {
            self.dirty_bytes += bytes;
        }
        Ok(())
    }

    /// Puts the contents of a stored cell into a block that has no groups yet.
    pub fn seed(&mut self, program: &Program, id: u32, cell: &Decoded) {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return;
        };
        block.base = cell.header.end;
        let groups = cell.sections.iter().map(|section| section.groups);
        let expected = groups.sum::<usize>() as u32;
        for section in &cell.sections {
            let (Some(step), Some(layout)) = (
                program.rollups.get(section.rollup),
                program.layouts.get(section.rollup),
            ) else {
                continue;
            };
            for (key, values) in cell.groups(section) {
                if step.single.is_some() {
                    self.add_single(id, step, values);
                    continue;
                }
                let print = (0..)
                    .zip(KeyParts::new(key))
                    .fold(step.salt, |sum, (place, text)| {
                        let print = program.keys.text(text.as_bytes());
                        sum.wrapping_add(print.wrapping_mul(program.keys.of_dimension(place)))
                    });
                let new = New {
                    step,
                    cap: step.cap,
                    print: Print::of(print),
                    delta: Delta::of(layout, values),
                    expected,
                };
                let write = |out: &mut Vec<u8>| out.extend_from_slice(key);
                self.insert(id, new, (key.len(), write));
            }
            if let Some(values) = cell.other(section) {
                // Past the cap whatever the key: this makes the `(other)`.
                let new = New {
                    step,
                    cap: 0,
                    print: Print::of(0),
                    delta: Delta::of(layout, values),
                    expected: 0,
                };
                self.insert(id, new, (0, |_: &mut Vec<u8>| ()));
            }
        }
    }

    /// Appends the row key of a block.
    pub fn write_row(&self, id: u32, out: &mut Vec<u8>) {
        if let Some(block) = self.get(id) {
            // Keys of more than 255 bytes do not get here: the decoder refuses them.
            let (_, api_key) = self.table.key(block.key);
            write_row(api_key, block.bucket, out);
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
        let Encoding { lines, numbers } = &mut self.encoding;
        lines.clear();
        numbers.clear();
        for (step, state) in program.rollups.iter().zip(states) {
            if let Some(at) = step.single
                && state.groups > 0
            {
                lines.push(Line {
                    rollup: step.at as u8,
                    key: 0,
                    numbers: numbers.len(),
                    prefix: 0,
                });
                let first = id as usize * self.single_numbers + at;
                let single = self.singles.get(first..first + step.measures.len());
                numbers.extend_from_slice(single.unwrap_or(&[]));
            }
        }
        for cell in table.all(block.region) {
            let (rollup, key) = table.key(cell.key);
            lines.push(Line {
                rollup,
                key: cell.key,
                numbers: numbers.len(),
                prefix: prefix(key),
            });
            if let Some(layout) = program.layouts.get(usize::from(rollup)) {
                table.values(cell, layout, numbers);
            }
        }
        lines.sort_unstable_by(|a, b| {
            let (left, right) = ((a.rollup, a.prefix), (b.rollup, b.prefix));
            left.cmp(&right)
                .then_with(|| table.key(a.key).1.cmp(table.key(b.key).1))
        });
        let sections = states.iter().filter(|state| state.groups > 0).count();
        let mut writer = Writer::begin(out, header, sections);
        for lines in lines.chunk_by(|a, b| a.rollup == b.rollup) {
            let Some(rollup) = lines.first().map(|line| usize::from(line.rollup)) else {
                continue;
            };
            let (Some(state), Some(step), Some(layout)) = (
                states.get(rollup),
                program.rollups.get(rollup),
                program.layouts.get(rollup),
            ) else {
                continue;
            };
            let groups = lines.iter().map(|line| {
                let numbers = numbers.get(line.numbers..line.numbers + layout.width);
                (table.key(line.key).1, numbers.unwrap_or(&[]))
            });
            let other = state.other.map(|at| table.other(at.get(), layout));
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
        self.table.release(std::mem::take(&mut block.region));
        if let Some(print) = self.prints.get(id as usize) {
            self.index.remove(*print, id);
        }
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
        let (Some(block), Some(print)) = (from.get(id), from.prints.get(id as usize)) else {
            return Ok(());
        };
        let (_, key) = from.table.key(block.key);
        let (partition, bucket) = (block.partition, block.bucket);
        let to = self.create(*print, partition, key, bucket, block.pending);
        let (first, to_first) = (id as usize * self.rollups, to as usize * self.rollups);
        for (rollup, layout) in program.layouts.iter().enumerate() {
            let (Some(old), Some(new)) = (
                from.states.get(first + rollup),
                self.states.get_mut(to_first + rollup),
            ) else {
                continue;
            };
            new.groups = old.groups;
            if program
                .rollups
                .get(rollup)
                .is_some_and(|step| step.single.is_some())
            {
                self.single_groups += old.groups as usize;
            }
            if let Some(other) = old.other {
                let other = self.table.copy_other(&from.table, other.get(), layout)?;
                new.other = NonZeroU32::new(other);
            }
        }
        let width = self.single_numbers;
        let (first, to_first) = (id as usize * width, to as usize * width);
        if let (Some(old), Some(new)) = (
            from.singles.get(first..first + width),
            self.singles.get_mut(to_first..to_first + width),
        ) {
            new.copy_from_slice(old);
        }
        let region = self
            .table
            .copy(&from.table, block.region, &program.layouts)?;
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
