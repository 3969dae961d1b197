//! A text as a few words, so that finding and comparing a short one is a fixed
//! number of instructions, whatever its length, and touches no other memory.

/// Texts up to here are their own key.
pub const SHORT: usize = 24;

const K: [u64; 4] = [
    0x9E37_79B9_7F4A_7C15,
    0xD1B5_4A32_D192_ED03,
    0x8CB9_2BA7_2F3D_8DD7,
    0xE703_7ED1_A0B4_28DB,
];

/// `KEEP[n]` has ones in the first n bytes.
static KEEP: [[u64; 3]; SHORT + 1] = {
    let mut keep = [[0; 3]; SHORT + 1];
    let mut n = 1;
    while n <= SHORT {
        keep[n] = keep[n - 1];
        keep[n][(n - 1) / 8] |= 0xFF << ((n - 1) % 8 * 8);
        n += 1;
    }
    keep
};

/// What a text is looked for by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Key {
    /// A short text's bytes, filled up with zeros: with `len` they are the text.
    /// Of a longer one the first is the hash.
    pub words: [u64; 3],
    pub len: u32,
    /// Good for tables; nothing is decided by it but where a text is looked for.
    pub hash: u64,
}

#[inline(always)]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Of a short text by its words.
#[inline(always)]
pub fn short_hash([a, b, c]: [u64; 3], len: u32) -> u64 {
    mix(mix(a ^ K[0], b ^ K[1]) ^ u64::from(len), c ^ K[2])
}

impl Key {
    pub fn of(text: &[u8]) -> Self {
        let mut padded = [0; SHORT];
        match padded.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text);
                Self::short(words(&padded), text.len())
            }
            None => Self::long(text),
        }
    }

    /// As `of`. Where the text lies in `around`, as those of a report do in its
    /// payload, what comes behind it is read, too, and masked off: no loop, and
    /// no branch on the length.
    #[inline(always)]
    pub fn within(text: &[u8], around: &[u8]) -> Self {
        let start = text.as_ptr().addr().wrapping_sub(around.as_ptr().addr());
        let window = around.get(start..).and_then(<[u8]>::first_chunk::<SHORT>);
        match (window, KEEP.get(text.len())) {
            (Some(window), Some(keep)) => {
                let [a, b, c] = words(window);
                Self::short([a & keep[0], b & keep[1], c & keep[2]], text.len())
            }
            _ => Self::of(text),
        }
    }

    #[inline(always)]
    fn short(words: [u64; 3], len: usize) -> Self {
        let len = len as u32;
        Self {
            words,
            len,
            hash: short_hash(words, len),
        }
    }

    #[inline(never)]
    fn long(text: &[u8]) -> Self {
        let mut state = K[3] ^ text.len() as u64;
        let (blocks, _) = text.as_chunks::<16>();
        // The last bytes once more, whole: every byte is in some block.
        for block in blocks.iter().chain(text.last_chunk::<16>()) {
            let both = u128::from_le_bytes(*block);
            state = mix(both as u64 ^ K[0] ^ state, (both >> 64) as u64 ^ K[1]);
        }
        let hash = mix(state, K[2]);
        Self {
            words: [hash, 0, 0],
            len: text.len() as u32,
            hash,
        }
    }

    pub fn is_short(&self) -> bool {
        self.len as usize <= SHORT
    }
}

#[inline(always)]
fn words(bytes: &[u8; SHORT]) -> [u64; 3] {
    let (words, _) = bytes.as_chunks::<8>();
    let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
    [word(0), word(1), word(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_wherever_the_text_stands() {
        let bytes: Vec<u8> = (0..=255).collect();
        for start in 0..bytes.len() {
            for len in 0..(bytes.len() - start).min(60) {
                let text = &bytes[start..start + len];
                let (alone, inside) = (Key::of(text), Key::within(text, &bytes));
                assert_eq!(
                    (alone.words, alone.len, alone.hash),
                    (inside.words, inside.len, inside.hash)
                );
                assert_eq!(alone.len as usize, len);
                assert_eq!(alone.is_short(), len <= SHORT);
                let copy = text.to_vec();
                let elsewhere = Key::within(&copy, &bytes);
                assert_eq!((elsewhere.words, elsewhere.hash), (alone.words, alone.hash));
            }
        }
    }

    #[test]
    fn short_keys_tell_every_text_apart() {
        let mut seen = std::collections::HashSet::new();
        for len in 0..=SHORT {
            for place in 0..len.max(1) {
                for byte in [0, 1, 255] {
                    let mut text = vec![0; len];
                    text.iter_mut().skip(place).take(1).for_each(|b| *b = byte);
                    let key = Key::of(&text);
                    seen.insert((key.words, key.len, text));
                }
            }
        }
        let keys: std::collections::HashSet<_> = seen.iter().map(|(w, l, _)| (*w, *l)).collect();
        let texts: std::collections::HashSet<_> = seen.iter().map(|(_, _, text)| text).collect();
        assert_eq!(keys.len(), texts.len());
    }
}
