//! Flat, growing buffers: what a row group holds before it becomes pages of
//! Parquet or Arrow arrays. None of them allocates per value.

use arrow_array::ArrowPrimitiveType;

use flurry_hints::scattered;

use super::intern::Texts;
use super::key::Key;
use super::presence::{Bits, Presence};

/// From here on a column is on its way to a whole row group …
const LARGE: usize = 1 << 17;
/// … which is so many times as long: enough for a dozen values a report.
const WHOLE: usize = 12;

/// Makes room for more values in a column that has several a report. A small one
/// doubles, as any vector. A large one is given room for a row group at once, so
/// that it is moved once and not four times: pages that are never written cost
/// no memory.
#[inline]
pub fn room<T>(column: &mut Vec<T>, more: usize) {
    if column.capacity() - column.len() < more {
        make_room(column, more);
    }
}

#[cold]
fn make_room<T>(column: &mut Vec<T>, more: usize) {
    let jump = if (LARGE / 2..LARGE * WHOLE / 2).contains(&column.len()) {
        LARGE * WHOLE - column.len()
    } else {
        0
    };
    column.reserve(more.max(jump));
    scattered(column.spare_capacity_mut());
}

/// Where texts go, numbered or as they are.
pub trait TextColumn {
    /// `around` is what the text most likely lies in: see [`Key::within`].
    fn push(&mut self, text: &[u8], around: &[u8]);
}

/// Texts or byte strings that hardly repeat, one after the other.
#[derive(Debug)]
pub struct Bytes {
    /// Where each value ends in `bytes`, behind a 0.
    pub ends: Vec<i32>,
    pub bytes: Vec<u8>,
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            ends: vec![0],
            bytes: Vec::new(),
        }
    }
}

impl TextColumn for Bytes {
    #[inline]
    fn push(&mut self, text: &[u8], _: &[u8]) {
        Bytes::push(self, text);
    }
}

impl TextColumn for Texts {
    #[inline]
    fn push(&mut self, text: &[u8], around: &[u8]) {
        Texts::push(self, &Key::within(text, around), text);
    }
}

impl Bytes {
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        // The builder seals a batch long before 2 GiB: see `Rows::fits`.
        self.ends.push(self.bytes.len() as i32);
    }

    pub fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// The value at `place`; none is empty.
    pub fn get(&self, place: usize) -> &[u8] {
        match self.ends.get(place..place + 2) {
            Some(&[start, end]) => self.bytes.get(start as usize..end as usize),
            _ => None,
        }
        .unwrap_or_default()
    }

    pub fn memory(&self) -> usize {
        self.bytes.len() + self.ends.len() * 4
    }
}

/// Texts or byte strings that may be absent.
#[derive(Debug, Default)]
pub struct Opt<C> {
    pub values: C,
    pub present: Presence,
}

pub type OptBytes = Opt<Bytes>;
pub type OptTexts = Opt<Texts>;

impl OptBytes {
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>) {
        self.present.push(value.is_some());
        self.values.push(value.unwrap_or_default());
    }
}

impl OptTexts {
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>, around: &[u8]) {
        self.present.push(value.is_some());
        match value {
            Some(value) => self.values.push(&Key::within(value, around), value),
            None => self.values.column.push_absent(),
        }
    }
}

/// Where texts go that may be absent.
pub trait OptTextColumn {
    /// As [`TextColumn::push`].
    fn push(&mut self, text: Option<&[u8]>, around: &[u8]);
}

impl OptTextColumn for OptBytes {
    #[inline]
    fn push(&mut self, text: Option<&[u8]>, _: &[u8]) {
        OptBytes::push(self, text);
    }
}

impl OptTextColumn for OptTexts {
    #[inline]
    fn push(&mut self, text: Option<&[u8]>, around: &[u8]) {
        OptTexts::push(self, text, around);
    }
}

/// Numbers of an Arrow type.
#[derive(Debug)]
pub struct Numbers<T: ArrowPrimitiveType> {
    pub values: Vec<T::Native>,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    #[inline]
    pub fn push(&mut self, value: T::Native) {
        self.values.push(value);
    }

    /// Several at once.
    #[inline]
    pub fn extend(&mut self, values: impl ExactSizeIterator<Item = T::Native>) {
        room(&mut self.values, values.len());
        self.values.extend(values);
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}

/// Numbers that may be absent. Only those that are there are kept.
#[derive(Debug)]
pub struct OptNumbers<T: ArrowPrimitiveType> {
    pub values: Numbers<T>,
    pub present: Presence,
}

impl<T: ArrowPrimitiveType> Default for OptNumbers<T> {
    fn default() -> Self {
        Self {
            values: Numbers::default(),
            present: Presence::default(),
        }
    }
}

impl<T: ArrowPrimitiveType> OptNumbers<T> {
    /// Several at once: most often all or none are there.
    #[inline]
    pub fn extend(&mut self, values: impl ExactSizeIterator<Item = Option<T::Native>> + Clone) {
        let there = values.clone().filter(Option::is_some).count();
        let column = &mut self.values.values;
        room(column, there);
        if there == values.len() {
            self.present.push_alike(true, there);
            column.extend(values.map(Option::unwrap_or_default));
        } else if there == 0 {
            self.present.push_alike(false, values.len());
        } else {
            self.present
                .extend(values.clone().map(|value| value.is_some()));
            column.extend(values.flatten());
        }
    }

    #[inline]
    pub fn push(&mut self, value: Option<T::Native>) {
        self.present.push(value.is_some());
        self.values.values.extend(value);
    }
}

/// Truth values that may be absent.
#[derive(Debug, Default)]
pub struct OptFlags {
    pub values: Bits,
    pub present: Presence,
}

impl OptFlags {
    #[inline]
    pub fn push(&mut self, value: Option<bool>) {
        self.present.push(value.is_some());
        self.values.push(value.unwrap_or_default());
    }
}

/// Where the lists of a list column end in its element column, behind a 0.
#[derive(Debug)]
pub struct Ends(pub Vec<i32>);

impl Default for Ends {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Ends {
    #[inline]
    pub fn push(&mut self, elements: usize) {
        self.0.push(elements as i32);
    }

    #[inline]
    pub fn extend(&mut self, ends: impl Iterator<Item = usize>) {
        room(&mut self.0, ends.size_hint().0);
        self.0.extend(ends.map(|elements| elements as i32));
    }
}
