//! The groups of a rollup that is in two places: what was put away, and what
//! was gathered beside it since.

use crate::trials::{self, Bug};

/// A group on its way out.
pub(super) struct Group<'k> {
    pub key: &'k [u8],
    /// Where its numbers begin.
    pub numbers: usize,
    /// Where its key is in the table if it is new there, which says what came first; else 0.
    pub came: u32,
}

/// The groups of a rollup from two places.
#[derive(Default)]
pub(super) struct Merged<'k> {
    pub groups: Vec<Group<'k>>,
    other: Vec<u64>,
    has_other: bool,
}

impl<'k> Merged<'k> {
    /// None yet, each of so many numbers.
    pub fn begin(&mut self, width: usize) {
        self.groups.clear();
        self.other.clear();
        self.other.resize(width, 0);
        self.has_other = false;
    }

    /// Both in the order of their keys. Numbers of groups that are in both are added up.
    pub fn merge(
        &mut self,
        new: impl Iterator<Item = Group<'k>>,
        old: impl Iterator<Item = (&'k [u8], &'k [u64])>,
        numbers: &mut Vec<u64>,
    ) {
        let mut old = old.peekable();
        for mut group in new {
            while let Some((before, values)) = old.next_if(|(old, _)| *old < group.key) {
                self.take(before, values, numbers);
            }
            if let Some((_, values)) = old.next_if(|(old, _)| *old == group.key) {
                group.came = 0;
                if !trials::seeded(Bug::PackedReplaced) {
                    add(numbers.get_mut(group.numbers..), values);
                }
            }
            self.groups.push(group);
        }
        old.for_each(|(key, values)| self.take(key, values, numbers));
    }

    fn take(&mut self, key: &'k [u8], values: &[u64], numbers: &mut Vec<u64>) {
        self.groups.push(Group {
            key,
            numbers: numbers.len(),
            came: 0,
        });
        numbers.extend_from_slice(values);
    }

    /// New groups have lines of their own as long as there is room beside the
    /// `old` ones, in the order in which they came; the others are `(other)`.
    pub fn keep_to(&mut self, cap: usize, old: usize, numbers: &[u64]) {
        if self.groups.len() <= cap {
            return;
        }
        let came = self.groups.iter().map(|group| group.came);
        let mut came: Vec<u32> = came.filter(|came| *came != 0).collect();
        let room = cap.saturating_sub(old);
        if room >= came.len() {
            return;
        }
        let (_, first_out, _) = came.select_nth_unstable(room);
        let first_out = *first_out;
        let mut kept = std::mem::take(&mut self.groups);
        kept.retain(|group| {
            let stays = group.came < first_out;
            if !stays {
                self.add_other(numbers.get(group.numbers..).unwrap_or(&[]));
            }
            stays
        });
        self.groups = kept;
    }

    /// Adds to `(other)`.
    pub fn add_other(&mut self, values: &[u64]) {
        self.has_other = true;
        add(Some(&mut self.other), values);
    }

    /// The numbers of `(other)`, if there is one.
    pub fn other(&self) -> Option<&[u64]> {
        self.has_other.then_some(self.other.as_slice())
    }
}

fn add(sums: Option<&mut [u64]>, values: &[u64]) {
    for (sum, value) in sums.unwrap_or(&mut []).iter_mut().zip(values) {
        *sum = sum.saturating_add(*value);
    }
}
