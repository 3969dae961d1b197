//! What open blocks have beside the groups in the common table: how far each
//! rollup is, and the numbers of rollups without dimensions.

use std::num::NonZeroU32;

use flurry_hints as hints;

use crate::counters::program::Program;

/// A rollup of a block.
#[derive(Clone, Copy, Default)]
pub(super) struct State {
    /// Those that have a line of their own.
    pub groups: u32,
    /// Where the numbers of `(other)` are, if there is one.
    pub other: Option<NonZeroU32>,
}

/// Heads, each `rollups` states and `numbers` numbers; those that are given back are taken again.
pub(super) struct Heads {
    rollups: usize,
    numbers: usize,
    states: Vec<State>,
    singles: Vec<u64>,
    free: Vec<u32>,
}

impl Heads {
    pub fn new(program: &Program) -> Self {
        Self {
            rollups: program.rollups.len(),
            numbers: program.single_numbers,
            states: Vec::new(),
            singles: Vec::new(),
            free: Vec::new(),
        }
    }

    /// None, of the same size as others.
    pub fn like(other: &Self) -> Self {
        Self {
            states: Vec::new(),
            singles: Vec::new(),
            free: Vec::new(),
            ..*other
        }
    }

    /// Copies one from elsewhere; returns where it is.
    pub fn copy(&mut self, from: &Self, at: u32) -> u32 {
        let to = self.take();
        self.states_mut(to).copy_from_slice(from.states(at));
        self.singles_mut(to).copy_from_slice(from.singles(at));
        to
    }

    /// Bytes of one.
    pub fn each(&self) -> usize {
        self.rollups * size_of::<State>() + self.numbers * size_of::<u64>()
    }

    /// Bytes that are held on to.
    pub fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<State>()
            + self.singles.capacity() * size_of::<u64>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// One that is all zeros.
    pub fn take(&mut self) -> u32 {
        if let Some(at) = self.free.pop() {
            return at;
        }
        let at = self.states.len() / self.rollups.max(1);
        hints::grow(&mut self.states, self.rollups);
        let states = self.states.len() + self.rollups;
        self.states.resize(states, State::default());
        hints::grow(&mut self.singles, self.numbers);
        self.singles.resize(self.singles.len() + self.numbers, 0);
        at as u32
    }

    /// Nobody uses it any more.
    pub fn give_back(&mut self, at: u32) {
        self.states_mut(at).fill(State::default());
        self.singles_mut(at).fill(0);
        self.free.push(at);
    }

    /// It is needed soon.
    #[inline]
    pub fn soon(&self, at: u32) {
        // Eight of either to a cache line.
        for place in (0..self.rollups).step_by(8) {
            hints::soon(&self.states, at as usize * self.rollups + place);
        }
        for place in (0..self.numbers).step_by(8) {
            hints::soon(&self.singles, at as usize * self.numbers + place);
        }
    }

    /// One state a rollup; nothing for a place that is nobody's.
    #[inline]
    pub fn states(&self, at: u32) -> &[State] {
        let first = at as usize * self.rollups;
        self.states.get(first..first + self.rollups).unwrap_or(&[])
    }

    /// One state a rollup.
    #[inline]
    pub fn states_mut(&mut self, at: u32) -> &mut [State] {
        let first = at as usize * self.rollups;
        let states = self.states.get_mut(first..first + self.rollups);
        states.unwrap_or(&mut [])
    }

    /// The numbers of rollups without dimensions, all of them.
    #[inline]
    pub fn singles(&self, at: u32) -> &[u64] {
        let first = at as usize * self.numbers;
        self.singles.get(first..first + self.numbers).unwrap_or(&[])
    }

    /// The numbers of rollups without dimensions, all of them.
    #[inline]
    pub fn singles_mut(&mut self, at: u32) -> &mut [u64] {
        let first = at as usize * self.numbers;
        let singles = self.singles.get_mut(first..first + self.numbers);
        singles.unwrap_or(&mut [])
    }
}
