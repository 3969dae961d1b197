//! Blocks as stored cells: out of one, and into the bytes of one.

use super::Blocks;
use super::apply::New;
use super::heads::State;
use super::merge::{Group, Merged};
use crate::counters::block::{Decoded, Header, KeyParts, Writer, write_body};
use crate::counters::program::Program;
use crate::counters::row::write_row;
use crate::counters::slots::Print;
use crate::counters::table::{Delta, GroupTable, Region};

/// A group to be written.
struct Line {
    /// Its rollup, and as much of its key as decides nearly always: they compare alike.
    order: (u64, u64),
    /// Where its key is, 0 for the empty one.
    key: u32,
    /// Where its numbers begin in `Encoding::numbers`.
    numbers: usize,
}

impl Line {
    fn rollup(&self) -> usize {
        (self.order.0 >> ROLLUP_SHIFT) as usize
    }
}

/// The rollup comes before seven bytes of the key.
const ROLLUP_SHIFT: u32 = 56;

/// Scratch space for a block that is written.
#[derive(Default)]
pub(super) struct Encoding {
    lines: Vec<Line>,
    numbers: Vec<u64>,
    /// A block on its way to be put away.
    pub value: Vec<u8>,
}

impl Blocks {
    /// Puts the contents of a stored cell into a block that has no groups yet:
    /// its value was read as `cell`, so it is canonical and stays as it is, put
    /// away. Of a block that comes back, few groups are added to.
    pub fn seed(&mut self, program: &Program, id: u32, cell: &Decoded, value: &[u8]) {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return;
        };
        block.base = cell.header.end;
        if !self.keep(program, id, value) {
            self.fill(program, id, cell);
        }
    }

    /// Makes the groups of a cell in a block that has none.
    pub(super) fn fill(&mut self, program: &Program, id: u32, cell: &Decoded) {
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

    /// Appends the canonical value of a block. Whether that is one is known
    /// afterwards, by [`Self::is_full`]: what is put away may be damaged.
    pub fn encode(&mut self, program: &Program, id: u32, header: Header, out: &mut Vec<u8>) {
        if self.is_packed(id) {
            return write_body(out, header, self.body(id).unwrap_or(&[]));
        }
        let base = self.take_base(program, id);
        if let Some(block) = self.blocks.get(id as usize) {
            let open = Open {
                table: &self.table,
                region: block.region,
                states: self.heads.states(block.head),
                singles: self.heads.singles(block.head),
                base: &base,
            };
            self.encoding.gather(program, &open);
            self.encoding.write(program, &open, header, out);
        }
        self.decoded = base;
    }
}

/// What a block is written from.
struct Open<'b> {
    table: &'b GroupTable,
    region: Region,
    states: &'b [State],
    singles: &'b [u64],
    /// What was put away before these groups came.
    base: &'b Decoded,
}

impl Encoding {
    /// Lines and numbers of the groups in the table, in the order in which they are written.
    fn gather(&mut self, program: &Program, open: &Open<'_>) {
        let Encoding { lines, numbers, .. } = self;
        lines.clear();
        numbers.clear();
        for (step, state) in program.rollups.iter().zip(open.states) {
            if let Some(at) = step.single
                && state.groups > 0
            {
                lines.push(Line {
                    order: order(step.at as u8, &[]),
                    key: 0,
                    numbers: numbers.len(),
                });
                let single = open.singles.get(at..at + step.measures.len());
                numbers.extend_from_slice(single.unwrap_or(&[]));
            }
        }
        open.table.keys_soon(open.region);
        for cell in open.table.all(open.region) {
            let (rollup, key) = open.table.key(cell.key);
            lines.push(Line {
                order: order(rollup, key),
                key: cell.key,
                numbers: numbers.len(),
            });
            if let Some(layout) = program.layouts.get(usize::from(rollup)) {
                open.table.values(cell, layout, numbers);
            }
        }
        lines.sort_unstable_by(|a, b| {
            let key = |line: &Line| open.table.key(line.key).1;
            a.order.cmp(&b.order).then_with(|| key(a).cmp(key(b)))
        });
    }

    /// Writes them, merged with what was put away before.
    fn write(&mut self, program: &Program, open: &Open<'_>, header: Header, out: &mut Vec<u8>) {
        let Encoding { lines, numbers, .. } = self;
        let mut lines = lines.as_slice();
        let mut before = open.base.sections.iter().peekable();
        let new = open.states.iter().filter(|state| state.groups > 0);
        let mut sections = new.count();
        for section in &open.base.sections {
            let state = open.states.get(section.rollup);
            sections += usize::from(state.is_none_or(|state| state.groups == 0));
        }
        let mut merged = Merged::default();
        let mut writer = Writer::begin(out, header, sections);
        let rollups = program.rollups.iter().zip(&program.layouts);
        for ((step, layout), state) in rollups.zip(open.states) {
            let at = usize::from(step.at);
            let own = lines.partition_point(|line| line.rollup() <= at);
            let (mine, rest) = lines.split_at(own);
            lines = rest;
            let section = before.next_if(|section| section.rollup == at);
            if mine.is_empty() && section.is_none() {
                continue;
            }
            let other = state.other.map(|at| open.table.other(at.get(), layout));
            let Some(section) = section else {
                let groups = mine.iter().map(|line| {
                    let numbers = numbers.get(line.numbers..line.numbers + layout.width);
                    (open.table.key(line.key).1, numbers.unwrap_or(&[]))
                });
                writer.section(step.number, groups, other);
                continue;
            };
            merged.begin(layout.width);
            let mine = mine.iter().map(|line| Group {
                key: open.table.key(line.key).1,
                numbers: line.numbers,
                came: line.key,
            });
            merged.merge(mine, open.base.groups(section), numbers);
            merged.keep_to(step.cap as usize, section.groups, numbers);
            let others = [open.base.other(section), other];
            others
                .into_iter()
                .flatten()
                .for_each(|one| merged.add_other(one));
            let groups = merged.groups.iter().map(|group| {
                let numbers = numbers.get(group.numbers..group.numbers + layout.width);
                (group.key, numbers.unwrap_or(&[]))
            });
            writer.section(step.number, groups, merged.other());
        }
        writer.finish();
    }
}

/// A rollup and the first bytes of a key as numbers that compare alike.
fn order(rollup: u8, key: &[u8]) -> (u64, u64) {
    let first = |key: &[u8]| match key.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => {
            let mut chunk = [0; 8];
            chunk.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
            u64::from_be_bytes(chunk)
        }
    };
    let rollup = u64::from(rollup) << ROLLUP_SHIFT;
    let rest = key.get(7..).unwrap_or(&[]);
    (rollup | first(key) >> 8, first(rest))
}
