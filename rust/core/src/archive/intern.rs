//! Texts by number: each different one is kept once, as the dictionary page of
//! a Parquet column wants it. A column whose texts do not repeat, or that
//! somebody fills with names made up to fill it, goes on without.

use flurry_hints::soon;

use super::columns::Bytes;

/// A dictionary grows up to here.
const MAX_BYTES: usize = 4 << 20;
/// From this many texts on, one in eight must have been there before.
const MIN_SHARE_AT: usize = 8_192;
/// Texts that meet at one place of the table. Chance does not come near it at
/// half load; whoever chooses texts for it ends the dictionary, not us.
const MAX_PROBES: usize = 128;
const FIRST_SLOTS: usize = 64;

/// Different texts, numbered as they came.
#[derive(Debug, Default)]
pub struct Dictionary {
    slots: Vec<Slot>,
    /// Where each text's length stands in `plain`.
    starts: Vec<u32>,
    /// Length (u32, little-endian) and bytes of each: plain values of Parquet.
    plain: Vec<u8>,
}

/// All that is needed to compare a text, so that looking for one is two steps in
/// memory and not three.
#[derive(Debug, Default, Clone, Copy)]
#[repr(align(16))]
struct Slot {
    /// One more than the number; 0: free.
    after: u32,
    /// Upper half of the hash.
    hash: u32,
    /// Where the text's bytes stand in `plain`, and how many.
    start: u32,
    len: u32,
}

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => 0,
    }
}

/// Good for tables; nothing is decided by it but where a text is looked for.
#[inline]
fn hash(text: &[u8]) -> u64 {
    const K: [u64; 3] = [
        0x9E37_79B9_7F4A_7C15,
        0xD1B5_4A32_D192_ED03,
        0x8CB9_2BA7_2F3D_8DD7,
    ];
    let len = text.len();
    let (a, b) = match text {
        [] => (0, 0),
        _ if len >= 8 => {
            let mut state = K[2];
            let mut rest = text;
            while let Some((block, after)) = rest.split_first_chunk::<16>()
                && !after.is_empty()
            {
                state = mix(word(block) ^ K[0], word(&block[8..]) ^ state);
                rest = after;
            }
            let last = text
                .last_chunk::<8>()
                .map_or(0, |last| u64::from_le_bytes(*last));
            (word(rest) ^ state, last ^ state.rotate_left(32))
        }
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => (
                u32::from_le_bytes(*first).into(),
                u32::from_le_bytes(*last).into(),
            ),
            _ => {
                let byte = |place: usize| u64::from(text.get(place).copied().unwrap_or(0));
                (byte(0) | byte(len / 2) << 8 | byte(len - 1) << 16, 0)
            }
        },
    };
    mix(a ^ K[0] ^ len as u64, b ^ K[1])
}

impl Dictionary {
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    pub fn memory(&self) -> usize {
        self.plain.len() + self.slots.len() * size_of::<Slot>() + self.starts.len() * 4
    }

    /// The texts in the order of their numbers.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.iter().map(|start| self.text(*start))
    }

    /// The text whose length stands at `start`.
    #[inline]
    fn text(&self, start: u32) -> &[u8] {
        let rest = self.plain.get(start as usize..).unwrap_or_default();
        match rest.split_first_chunk::<4>() {
            Some((len, rest)) => rest.get(..u32::from_le_bytes(*len) as usize),
            None => None,
        }
        .unwrap_or_default()
    }

    /// The number of a text; `None`: the dictionary takes no more.
    #[inline]
    pub fn number(&mut self, text: &[u8]) -> Option<u32> {
        let hash = hash(text);
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = hash as usize & mask;
        for _ in 0..MAX_PROBES {
            let slot = self.slots.get(place).copied().unwrap_or_default();
            let Some(number) = slot.after.checked_sub(1) else {
                break;
            };
            if slot.hash == (hash >> 32) as u32 && self.held(&slot) == Some(text) {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
        self.insert(text, hash)
    }

    #[inline]
    fn held(&self, slot: &Slot) -> Option<&[u8]> {
        let start = slot.start as usize;
        self.plain.get(start..start + slot.len as usize)
    }

    /// Texts that are about to be looked for: what of the table has left the
    /// caches is fetched for all of them at once, not for each in turn.
    #[inline]
    fn warm<'t>(&self, texts: impl Iterator<Item = &'t [u8]>) {
        let mask = self.slots.len().wrapping_sub(1);
        for text in texts {
            soon(&self.slots, hash(text) as usize & mask);
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, text: &[u8], hash: u64) -> Option<u32> {
        if self.plain.len() + text.len() + 4 > MAX_BYTES {
            return None;
        }
        if (self.len() + 1) * 2 > self.slots.len() {
            self.grow()?;
        }
        let (number, start) = (self.len() as u32, self.plain.len() as u32);
        place(&mut self.slots, slot(number, start, text, hash), hash)?;
        self.starts.push(start);
        self.plain
            .extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.plain.extend_from_slice(text);
        Some(number)
    }

    fn grow(&mut self) -> Option<()> {
        let mut slots = vec![Slot::default(); (self.slots.len() * 2).max(FIRST_SLOTS)];
        for (number, start) in (0..).zip(&self.starts) {
            let text = self.text(*start);
            let hash = hash(text);
            place(&mut slots, slot(number, *start, text, hash), hash)?;
        }
        self.slots = slots;
        Some(())
    }

    /// Texts are only looked up from now on.
    fn close(&mut self) {
        self.slots = Vec::new();
    }
}

/// Of the text whose length stands at `start`.
fn slot(number: u32, start: u32, text: &[u8], hash: u64) -> Slot {
    Slot {
        after: number + 1,
        hash: (hash >> 32) as u32,
        start: start + 4,
        len: text.len() as u32,
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

/// A column of texts or byte strings that mostly repeat.
#[derive(Debug, Default)]
pub struct Texts {
    pub dictionary: Dictionary,
    /// A number a value, up to where the dictionary was given up.
    pub numbers: Vec<u32>,
    /// The values from there on, if it was.
    pub rest: Option<Bytes>,
}

impl Texts {
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        if let Some(rest) = &mut self.rest {
            rest.push(text);
            return;
        }
        match self.dictionary.number(text) {
            Some(number) => {
                self.numbers.push(number);
                if self.numbers.len() == MIN_SHARE_AT {
                    self.weigh();
                }
            }
            None => self.give_up(text),
        }
    }

    /// To be called with the texts that are about to be pushed, where they are many.
    #[inline]
    pub fn warm<'t>(&self, texts: impl Iterator<Item = &'t [u8]>) {
        if self.rest.is_none() {
            self.dictionary.warm(texts);
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
    fn weigh(&mut self) {
        if self.dictionary.len() > MIN_SHARE_AT / 8 * 7 {
            self.dictionary.close();
            self.rest = Some(Bytes::default());
        }
    }

    #[cold]
    fn give_up(&mut self, text: &[u8]) {
        self.dictionary.close();
        self.rest.get_or_insert_default().push(text);
    }

    pub fn len(&self) -> usize {
        self.numbers.len() + self.rest.as_ref().map_or(0, Bytes::len)
    }

    pub fn memory(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, Bytes::memory);
        self.dictionary.memory() + self.numbers.len() * 4 + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(texts: &Texts) -> Vec<Vec<u8>> {
        let dictionary: Vec<_> = texts.dictionary.texts().collect();
        let rest = texts.rest.as_ref();
        let numbered = texts
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
                    texts.push(&text);
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
        expected.iter().for_each(|text| texts.push(text));
        assert_eq!(texts.numbers.len(), MIN_SHARE_AT);
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
                texts.push(&text);
                expected.push(text.clone());
            }
        }
        assert!(texts.dictionary.plain().len() <= MAX_BYTES);
        assert!(texts.dictionary.len() > 4_000 && texts.rest.is_some());
        assert_eq!(values(&texts), expected);
    }

    #[test]
    fn a_dictionary_ends_where_texts_were_chosen_to_meet() {
        let mut slots = vec![Slot::default(); 1024];
        let new = slot(1, 0, b"text", 7);
        for _ in 0..MAX_PROBES {
            assert!(place(&mut slots, new, 7).is_some());
        }
        assert!(place(&mut slots, new, 7).is_none());
    }
}
