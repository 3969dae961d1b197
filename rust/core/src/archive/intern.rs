//! Texts by number: each different one is kept once, as the dictionary page of
//! a Parquet column wants it. A column whose texts do not repeat, or that
//! somebody fills with names made up to fill it, goes on without.

use flurry_hints::{scattered, soon};

use super::columns::{Bytes, room};
use super::key::{Key, short_hash};

/// A dictionary grows up to here …
const MAX_BYTES: usize = 4 << 20;
/// … or to so many texts.
const MAX_TEXTS: usize = 1 << 18;
/// From this many texts of a column on, one in eight must have been there before.
const MIN_SHARE_AT: usize = 8_192;
/// Texts that meet at one place of the table. Chance does not come near it at
/// half load; whoever chooses texts for it ends the dictionary, not us.
const MAX_PROBES: usize = 128;
const FIRST_SLOTS: usize = 64;

/// Different texts, numbered as they came.
#[derive(Debug, Default)]
pub struct Dictionary {
    slots: Vec<Slot>,
    len: usize,
    /// Length (u32, little-endian) and bytes of each: plain values of Parquet.
    plain: Vec<u8>,
    /// Takes no more, and finds none.
    closed: bool,
}

/// All that is needed to compare a short text, in half a cache line.
#[derive(Debug, Default, Clone, Copy)]
#[repr(align(32))]
struct Slot {
    /// A short text's key. Of a longer one: its hash, and where its bytes stand in `plain`.
    words: [u64; 3],
    len: u32,
    /// One more than the number; 0: free.
    after: u32,
}

impl Slot {
    fn hash(&self) -> u64 {
        let [first, ..] = self.words;
        match (Key {
            len: self.len,
            ..Key::default()
        })
        .is_short()
        {
            true => short_hash(self.words, self.len),
            false => first,
        }
    }
}

impl Dictionary {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    pub fn memory(&self) -> usize {
        self.plain.len() + self.slots.len() * size_of::<Slot>()
    }

    /// The texts in the order of their numbers.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.plain.as_slice();
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<4>()?;
            let (text, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            rest = after;
            Some(text)
        })
    }

    /// The number of a short text that is there.
    #[inline(always)]
    fn find(&self, key: &Key) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = key.hash as usize & mask;
        for _ in 0..MAX_PROBES {
            let slot = self.slots.get(place)?;
            // Without a branch but the one for all: most are found at once.
            let differs = (slot.words[0] ^ key.words[0])
                | (slot.words[1] ^ key.words[1])
                | (slot.words[2] ^ key.words[2])
                | u64::from(slot.len ^ key.len);
            if differs == 0 && slot.after != 0 && key.is_short() {
                return Some(slot.after - 1);
            }
            if slot.after == 0 {
                return None;
            }
            place = (place + 1) & mask;
        }
        None
    }

    /// The number of a text; `None`: the dictionary takes no more.
    #[inline]
    pub fn number(&mut self, key: &Key, text: &[u8]) -> Option<u32> {
        match self.find(key) {
            None if key.is_short() => self.insert(key, text),
            None => self.long_number(key, text),
            found => found,
        }
    }

    #[inline(never)]
    fn long_number(&mut self, key: &Key, text: &[u8]) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = key.hash as usize & mask;
        for _ in 0..MAX_PROBES {
            let slot = self.slots.get(place).copied().unwrap_or_default();
            let Some(number) = slot.after.checked_sub(1) else {
                break;
            };
            if slot.words.first() == key.words.first()
                && slot.len == key.len
                && self.held(&slot) == Some(text)
            {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
        self.insert(key, text)
    }

    /// The bytes of a long text.
    fn held(&self, slot: &Slot) -> Option<&[u8]> {
        let [_, start, _] = slot.words;
        let start = start as usize;
        self.plain.get(start..start + slot.len as usize)
    }

    /// A text that will be looked for soon: the place in the table where it may
    /// be is fetched while something else is done.
    #[inline]
    pub fn soon(&self, key: &Key) {
        soon(
            &self.slots,
            key.hash as usize & self.slots.len().wrapping_sub(1),
        );
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, key: &Key, text: &[u8]) -> Option<u32> {
        if self.closed || self.plain.len() + text.len() + 4 > MAX_BYTES || self.len >= MAX_TEXTS {
            return None;
        }
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow()?;
        }
        let words = match key.words {
            [hash, ..] if !key.is_short() => [hash, self.plain.len() as u64 + 4, 0],
            words => words,
        };
        let number = self.len as u32;
        let slot = Slot {
            words,
            len: key.len,
            after: number + 1,
        };
        place(&mut self.slots, slot, key.hash)?;
        self.plain.extend_from_slice(&key.len.to_le_bytes());
        self.plain.extend_from_slice(text);
        self.len += 1;
        Some(number)
    }

    fn grow(&mut self) -> Option<()> {
        let count = (self.slots.len() * 2).max(FIRST_SLOTS);
        let mut slots = Vec::with_capacity(count);
        scattered(slots.spare_capacity_mut());
        slots.resize(count, Slot::default());
        for slot in self.slots.iter().filter(|slot| slot.after != 0) {
            place(&mut slots, *slot, slot.hash())?;
        }
        self.slots = slots;
        Some(())
    }

    /// No text is looked up from now on; those that are there remain.
    fn close(&mut self) {
        self.slots = Vec::new();
        self.closed = true;
    }
}

/// Puts a slot where its text's hash says, or next to it.
fn place(slots: &mut [Slot], new: Slot, hash: u64) -> Option<()> {
    let mask = slots.len().wrapping_sub(1);
    let mut place = hash as usize & mask;
    for _ in 0..MAX_PROBES {
        let slot = slots.get_mut(place)?;
        if slot.after == 0 {
            *slot = new;
            return Some(());
        }
        place = (place + 1) & mask;
    }
    None
}

/// A column of texts or byte strings that mostly repeat, in numbers of a dictionary.
#[derive(Debug, Default)]
pub struct Numbered {
    /// A number a value, up to where the dictionary was given up.
    pub numbers: Vec<u32>,
    /// The values from there on, if it was.
    pub rest: Option<Bytes>,
}

impl Numbered {
    pub fn push(&mut self, dictionary: &mut Dictionary, key: &Key, text: &[u8]) {
        if let Some(rest) = &mut self.rest {
            rest.push(text);
            return;
        }
        match dictionary.number(key, text) {
            Some(number) => {
                self.numbers.push(number);
                if self.numbers.len() == MIN_SHARE_AT {
                    self.weigh(dictionary);
                }
            }
            None => self.give_up(dictionary, text),
        }
    }

    /// As `push`, of several texts.
    #[inline]
    pub fn extend<'t>(
        &mut self,
        dictionary: &mut Dictionary,
        keys: &[Key],
        texts: impl Iterator<Item = &'t [u8]>,
    ) {
        room(&mut self.numbers, keys.len());
        for (key, text) in keys.iter().zip(texts) {
            match dictionary.find(key) {
                Some(number) if self.rest.is_none() && self.numbers.len() >= MIN_SHARE_AT => {
                    self.numbers.push(number);
                }
                _ => self.push(dictionary, key, text),
            }
        }
    }

    /// An entry that is not there.
    #[inline]
    pub fn push_absent(&mut self) {
        match &mut self.rest {
            Some(rest) => rest.push(&[]),
            None => self.numbers.push(0),
        }
    }

    #[cold]
    fn weigh(&mut self, dictionary: &mut Dictionary) {
        if dictionary.len() > MIN_SHARE_AT / 8 * 7 {
            dictionary.close();
            self.rest = Some(Bytes::default());
        }
    }

    #[cold]
    fn give_up(&mut self, dictionary: &mut Dictionary, text: &[u8]) {
        dictionary.close();
        self.rest.get_or_insert_default().push(text);
    }

    pub fn len(&self) -> usize {
        self.numbers.len() + self.rest.as_ref().map_or(0, Bytes::len)
    }

    pub fn memory(&self) -> usize {
        self.numbers.len() * 4 + self.rest.as_ref().map_or(0, Bytes::memory)
    }
}

/// A column with a dictionary of its own.
#[derive(Debug, Default)]
pub struct Texts {
    pub dictionary: Dictionary,
    pub column: Numbered,
}

impl Texts {
    #[inline]
    pub fn push(&mut self, key: &Key, text: &[u8]) {
        self.column.push(&mut self.dictionary, key, text);
    }

    pub fn len(&self) -> usize {
        self.column.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(texts: &Texts) -> Vec<Vec<u8>> {
        let dictionary: Vec<_> = texts.dictionary.texts().collect();
        let rest = texts.column.rest.as_ref();
        let numbered = texts
            .column
            .numbers
            .iter()
            .map(|n| dictionary[*n as usize].to_vec());
        let others = rest
            .into_iter()
            .flat_map(|rest| (0..rest.len()).map(|n| rest.get(n).to_vec()));
        numbered.chain(others).collect()
    }

    #[test]
    fn texts_of_every_length_are_told_apart() {
        let mut texts = Texts::default();
        let mut expected = Vec::new();
        for round in 0..3 {
            for len in 0..70 {
                for last in [0u8, 1, 200] {
                    let mut text = vec![b'x'; len];
                    if let Some(byte) = text.last_mut() {
                        *byte = last;
                    }
                    texts.push(&Key::of(&text), &text);
                    expected.push(text);
                }
            }
            assert_eq!(texts.dictionary.len(), 69 * 3 + 1, "round {round}");
        }
        assert_eq!(values(&texts), expected);
    }

    #[test]
    fn a_dictionary_ends_where_nothing_repeats() {
        let mut texts = Texts::default();
        let expected: Vec<_> = (0..20_000u32).map(|n| n.to_string().into_bytes()).collect();
        expected
            .iter()
            .for_each(|text| texts.push(&Key::of(text), text));
        assert_eq!(texts.column.numbers.len(), MIN_SHARE_AT);
        assert_eq!(values(&texts), expected);
        assert_eq!(texts.len(), 20_000);
    }

    #[test]
    fn a_dictionary_ends_at_its_limit() {
        let mut texts = Texts::default();
        let mut expected = Vec::new();
        for n in 0..6_000u32 {
            let mut text = vec![b'.'; 1_000];
            text.extend_from_slice(&n.to_le_bytes());
            for _ in 0..2 {
                texts.push(&Key::of(&text), &text);
                expected.push(text.clone());
            }
        }
        assert!(texts.dictionary.plain().len() <= MAX_BYTES);
        assert!(texts.dictionary.len() > 4_000 && texts.column.rest.is_some());
        assert_eq!(values(&texts), expected);
    }

    #[test]
    fn a_dictionary_ends_at_its_number_of_texts() {
        let mut dictionary = Dictionary::default();
        for n in 0..MAX_TEXTS as u32 {
            let text = n.to_le_bytes();
            assert_eq!(dictionary.number(&Key::of(&text), &text), Some(n));
        }
        assert_eq!(dictionary.number(&Key::of(b"more"), b"more"), None);
        assert_eq!(
            dictionary.number(&Key::of(&[7, 0, 0, 0]), &[7, 0, 0, 0]),
            Some(7)
        );
        assert_eq!(dictionary.texts().count(), MAX_TEXTS);
    }

    #[test]
    fn two_columns_share_a_dictionary_and_its_end() {
        let (mut dictionary, mut one, mut two) = Default::default();
        let (dictionary, one, two): (&mut Dictionary, &mut Numbered, &mut Numbered) =
            (&mut dictionary, &mut one, &mut two);
        for text in [&b"a"[..], b"b", b"a"] {
            one.push(dictionary, &Key::of(text), text);
            two.push(dictionary, &Key::of(text), text);
        }
        assert_eq!(
            (&one.numbers, &two.numbers),
            (&vec![0, 1, 0], &vec![0, 1, 0])
        );
        let long = vec![0; MAX_BYTES];
        two.push(dictionary, &Key::of(&long), &long);
        one.push(dictionary, &Key::of(b"a"), b"a");
        one.push_absent();
        let rest = |column: &Numbered| column.rest.as_ref().map_or(0, Bytes::len);
        assert_eq!((one.numbers.len(), rest(one)), (3, 2));
        assert_eq!((two.numbers.len(), rest(two)), (3, 1));
        assert_eq!(dictionary.texts().collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn a_dictionary_ends_where_texts_were_chosen_to_meet() {
        let mut slots = vec![Slot::default(); 1024];
        let new = Slot {
            after: 1,
            ..Slot::default()
        };
        for _ in 0..MAX_PROBES {
            assert!(place(&mut slots, new, 7).is_some());
        }
        assert!(place(&mut slots, new, 7).is_none());
    }
}
