//! Truth values by the bit, and which entries of a column are there.

use std::ops::Range;

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Truth values, one after the other.
#[derive(Debug, Default)]
pub struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    #[inline]
    pub fn push(&mut self, bit: bool) {
        let place = self.len % 64;
        match self.words.last_mut() {
            Some(word) if place != 0 => *word |= u64::from(bit) << place,
            _ => self.words.push(bit.into()),
        }
        self.len += 1;
    }

    #[inline]
    fn extend(&mut self, bits: impl Iterator<Item = bool>) {
        let mut place = self.len % 64;
        let mut word = match place {
            0 => 0,
            _ => self.words.pop().unwrap_or_default(),
        };
        for bit in bits {
            word |= u64::from(bit) << place;
            place += 1;
            self.len += 1;
            if place == 64 {
                self.words.push(word);
                (word, place) = (0, 0);
            }
        }
        if place != 0 {
            self.words.push(word);
        }
    }

    fn alike(bit: bool, len: usize) -> Self {
        let mut words = vec![if bit { u64::MAX } else { 0 }; len.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && !len.is_multiple_of(64)
        {
            *last &= (1 << (len % 64)) - 1;
        }
        Self { words, len }
    }

    #[inline]
    pub fn get(&self, place: usize) -> bool {
        self.words
            .get(place / 64)
            .is_some_and(|word| word >> (place % 64) & 1 != 0)
    }

    fn count(&self, range: &Range<usize>) -> usize {
        range.clone().filter(|place| self.get(*place)).count()
    }

    pub fn memory(&self) -> usize {
        self.words.len() * 8
    }

    pub fn to_arrow(&self) -> BooleanBuffer {
        // Little-endian words are the bytes that Arrow wants.
        let bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_le_bytes()).collect();
        BooleanBuffer::new(Buffer::from_vec(bytes), 0, self.len)
    }
}

/// Which entries of a column are there. A column of which all or none are,
/// nearly every one, is a count.
#[derive(Debug, Default)]
pub struct Presence {
    /// Entries that stand for themselves: all that came while they were alike.
    alike: usize,
    /// What those are.
    present: bool,
    /// From the first different entry on: every entry, those before included.
    mixed: Option<Bits>,
}

impl Presence {
    #[inline]
    pub fn push(&mut self, present: bool) {
        if let Some(mixed) = &mut self.mixed {
            mixed.push(present);
        } else if self.alike == 0 || present == self.present {
            self.alike += 1;
            self.present = present;
        } else {
            self.mix(present);
        }
    }

    /// So many at once.
    #[inline]
    pub fn push_alike(&mut self, present: bool, count: usize) {
        if self.mixed.is_none() && (self.alike == 0 || present == self.present) {
            self.alike += count;
            self.present = present;
        } else {
            (0..count).for_each(|_| self.push(present));
        }
    }

    /// Several that are not alike.
    #[inline]
    pub fn extend(&mut self, present: impl Iterator<Item = bool>) {
        match &mut self.mixed {
            Some(mixed) => mixed.extend(present),
            None => present.for_each(|present| self.push(present)),
        }
    }

    #[cold]
    fn mix(&mut self, present: bool) {
        let mut mixed = Bits::alike(self.present, self.alike);
        mixed.push(present);
        self.mixed = Some(mixed);
    }

    #[inline]
    pub fn get(&self, place: usize) -> bool {
        self.mixed
            .as_ref()
            .map_or(self.present, |mixed| mixed.get(place))
    }

    pub fn len(&self) -> usize {
        self.mixed.as_ref().map_or(self.alike, |mixed| mixed.len)
    }

    /// How many of the entries in `range` are there.
    pub fn count(&self, range: &Range<usize>) -> usize {
        match &self.mixed {
            Some(mixed) => mixed.count(range),
            None if self.present => range.len(),
            None => 0,
        }
    }

    pub fn memory(&self) -> usize {
        self.mixed.as_ref().map_or(0, Bits::memory)
    }

    pub fn to_arrow(&self) -> Option<NullBuffer> {
        match &self.mixed {
            Some(mixed) => Some(NullBuffer::new(mixed.to_arrow())),
            None if self.present || self.alike == 0 => None,
            None => Some(NullBuffer::new_null(self.alike)),
        }
    }
}
