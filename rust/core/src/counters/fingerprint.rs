//! Fingerprints: 128 bits that stand for a text, a block or a group, so that
//! the hot path compares two words instead of strings.
//!
//! The key is random per process and never influences a result, only where
//! things lie in memory. **Collisions.** A lookup goes wrong only if another
//! group of the same block agrees with it in the 96 bits that a slot keeps, so
//! the chance that any of n lookups ever errs is about n × g × 2^-94, where g is
//! how many groups a block has: 1.2e-12 after 10^15 lookups (years of traffic) in
//! blocks of 23, the mean of the default plan, and 5.6e-10 if all were in
//! blocks of 11,000, its most. Blocks themselves are found alike: about n × b ×
//! 2^-94 for b blocks. It is the same for hostile texts, because nobody outside
//! knows the key. Groups that are new keep their key exactly; only its lookups
//! go by fingerprint.

use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_128_with_secret;

use crate::plan::MAX_DIMENSIONS;
use crate::wire::text::{self, SHORT};

const SECRET_BYTES: usize = 192;
const WORDS: usize = SHORT / 8;

/// The random key of this process's fingerprints.
#[derive(Clone)]
pub struct Keys {
    secret: [u8; SECRET_BYTES],
    short: Short,
    app: u128,
    hour: u128,
    dimensions: [u128; MAX_DIMENSIONS],
    rollups: [u128; 256],
}

impl Keys {
    /// A fresh key, from the randomness that std seeds its hash maps with.
    pub fn random() -> Self {
        let state = RandomState::new();
        let mut count = 0u64;
        let mut word = || {
            count += 1;
            let mut hasher = state.build_hasher();
            hasher.write_u64(count);
            hasher.finish()
        };
        let mut secret = [0; SECRET_BYTES];
        for chunk in secret.chunks_exact_mut(8) {
            chunk.copy_from_slice(&word().to_le_bytes());
        }
        let words = std::array::from_fn(|_| word());
        let lengths = std::array::from_fn(|_| u128::from(word()) << 64 | u128::from(word()));
        // Odd factors lose no bits: two unequal terms stay unequal.
        let mut odd = || (u128::from(word()) << 64 | u128::from(word())) | 1;
        let short = Short {
            words,
            factor: odd(),
            lengths,
        };
        Self {
            secret,
            short,
            app: odd(),
            hour: odd(),
            // The sums are as random with a factor less.
            dimensions: std::array::from_fn(|place| if place == 0 { 1 } else { odd() }),
            rollups: std::array::from_fn(|_| odd()),
        }
    }

    /// Of a text (UTF-8, so that equal values have equal fingerprints).
    #[inline]
    pub fn text(&self, text: &[u8]) -> u128 {
        let mut buffer = [0; SHORT];
        match buffer.get_mut(..text.len()) {
            Some(start) => start.copy_from_slice(text),
            None => return self.long(text),
        }
        let (chunks, _) = buffer.as_chunks::<8>();
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        self.short.text(words, text.len())
    }

    /// The same of a text that stands in `message`, or anywhere else. What
    /// follows it there may be looked at, so most cost no branch.
    #[inline(always)]
    pub fn text_of(&self, message: &[u8], text: &[u8]) -> u128 {
        let at = text.as_ptr().addr().wrapping_sub(message.as_ptr().addr());
        // Where it begins in the message; whatever lies elsewhere is not within.
        let from_here = message.get(at..).unwrap_or(&[]);
        match text::words(text.len(), from_here) {
            Some(words) => self.short.text(words, text.len()),
            None => self.text(text),
        }
    }

    #[inline(never)]
    fn long(&self, text: &[u8]) -> u128 {
        xxh3_128_with_secret(text, &self.secret)
    }

    /// Of a block: its app's fingerprint, partition and bucket.
    #[inline]
    pub fn block(&self, app: u128, partition: i32, bucket: u32) -> u128 {
        let place = u64::from(partition.cast_unsigned()) << 32 | u64::from(bucket);
        app.wrapping_mul(self.app)
            .wrapping_add(self.text(&place.to_le_bytes()).wrapping_mul(self.hour))
    }

    /// What all groups of a rollup have in common, to be added.
    pub fn of_rollup(&self, number: u8) -> u128 {
        self.rollups[usize::from(number)]
    }

    /// The factor of the value of a rollup's dimension, by its place.
    pub fn of_dimension(&self, place: usize) -> u128 {
        self.dimensions.get(place).copied().unwrap_or(1)
    }
}

/// For texts of up to 32 bytes, as words with zeros behind: two sums of products
/// (w + k)(v + k'), one of them times an odd factor, and a number of the length.
/// All keys are random. Two texts of one length agree in either sum with a
/// chance of 2^-64 at most (it is the NH of UMAC), in both with its square,
/// since the sums share no key; where the first differs, the factor scatters
/// the difference, and the upper 96 bits agree with a chance of about 2^-94.
#[derive(Clone)]
struct Short {
    words: [u64; 2 * WORDS],
    factor: u128,
    lengths: [u128; SHORT + 1],
}

impl Short {
    #[inline(always)]
    fn text(&self, words: [u64; WORDS], length: usize) -> u128 {
        let [a, b, c, d] = words;
        let [ka, kb, kc, kd, la, lb, lc, ld] = self.words;
        let product = |word: u64, key, other: u64, other_key| {
            u128::from(word.wrapping_add(key)) * u128::from(other.wrapping_add(other_key))
        };
        let one = product(a, ka, b, kb).wrapping_add(product(c, kc, d, kd));
        let two = product(a, la, b, lb).wrapping_add(product(c, lc, d, ld));
        let length = self.lengths.get(length).copied().unwrap_or(0);
        one.wrapping_mul(self.factor)
            .wrapping_add(two.rotate_left(64))
            .wrapping_add(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn unequal_things_have_unequal_fingerprints() {
        let keys = Keys::random();
        let mut seen = HashSet::new();
        for length in 0..300usize {
            assert!(seen.insert(keys.text(&vec![b'a'; length])));
            assert!(seen.insert(keys.text(&vec![b'b'; length + 1])));
        }
        let app = keys.text(b"app");
        for partition in 0..100 {
            for bucket in 0..100 {
                assert!(seen.insert(keys.block(app, partition, bucket)));
            }
        }
        // Each half alone tells them apart too: slots keep parts.
        let halves: HashSet<_> = seen.iter().map(|print| *print as u64).collect();
        assert_eq!(halves.len(), seen.len());
        let halves: HashSet<_> = seen.iter().map(|print| (*print >> 64) as u64).collect();
        assert_eq!(halves.len(), seen.len());
    }

    #[test]
    fn a_text_has_one_fingerprint_wherever_it_stands() {
        let keys = Keys::random();
        let message: Vec<u8> = (0..200u8).collect();
        for length in 0..=70 {
            for start in 0..=message.len() - length {
                let text = &message[start..start + length];
                let alone = text.to_vec();
                let print = keys.text(&alone);
                assert_eq!(keys.text_of(&message, text), print);
                assert_eq!(keys.text_of(&message, &alone), print);
                assert_eq!(keys.text_of(&message[..start + length], text), print);
                assert_eq!(keys.text_of(&[], text), print);
            }
        }
    }

    #[test]
    fn keys_differ_between_processes() {
        assert_ne!(Keys::random().text(b"x"), Keys::random().text(b"x"));
    }
}
