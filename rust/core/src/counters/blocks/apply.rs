//! Operations into blocks: existing groups are added to, new ones are made.

use std::num::NonZeroU32;

use flurry_hints as hints;

use super::Blocks;
use crate::counters::block::write_key_part;
use crate::counters::index::NONE;
use crate::counters::ops::{Op, OpScope, Ops};
use crate::counters::program::{Program, Step};
use crate::counters::slots::Print;
use crate::counters::table::{Delta, GroupTable, TableFull};
use crate::counters::varint;
use crate::plan::{MAX_DIMENSIONS, Scope};
use crate::trials::{self, Bug};

/// A group that a block does not have yet.
pub(super) struct New<'n> {
    pub step: &'n Step,
    pub cap: u32,
    pub print: Print,
    pub delta: Delta<'n>,
    /// New groups of the block that may follow, this one included.
    pub expected: u32,
}

impl Blocks {
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
    pub(super) fn add_single(&mut self, block: u32, step: &Step, deltas: &[u64]) {
        let Some(head) = self.get(block).map(|block| block.head) else {
            return;
        };
        if let Some(state) = self.heads.states_mut(head).get_mut(usize::from(step.at)) {
            self.single_groups += usize::from(state.groups == 0);
            state.groups = 1;
        }
        let first = step.single.unwrap_or(0);
        let singles = self.heads.singles_mut(head);
        let numbers = singles.get_mut(first..first + deltas.len());
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
                    if self.is_crowded(program, scope.block, op.rollup) {
                        self.make_room(program, scope.block);
                        continue;
                    }
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
        let mut parts = [&[][..]; MAX_DIMENSIONS];
        let mut most = 0;
        for (part, (kind, slot)) in parts.iter_mut().zip(&step.key) {
            let start = match kind {
                Scope::Report => scope.report,
                Scope::Session => scope.session,
                Scope::Leaf => op.leaf,
            };
            *part = ops.piece(start as usize + slot);
            most += part.len() + varint::MAX_BYTES;
        }
        let key = (most, |out: &mut Vec<u8>| {
            let parts = parts.iter().take(step.key.len());
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
    pub(super) fn insert(
        &mut self,
        id: u32,
        new: New<'_>,
        key: (usize, impl FnOnce(&mut Vec<u8>)),
    ) {
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
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return Ok(());
        };
        let states = self.heads.states_mut(block.head);
        let Some(state) = states.get_mut(usize::from(step.at)) else {
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
        block.bytes = block
            .bytes
            .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if block.dirty {
            self.dirty_bytes += bytes;
        }
        Ok(())
    }
}
