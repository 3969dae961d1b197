//! What stands for a session, and sets that stay fast on hostile input.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Below it, comparing everything with everything beats any structure.
const FEW: usize = 16;
/// Above it, a set is not worth keeping for the next session.
const MANY: usize = 4_096;

/// What becomes of one session record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Counts,
    /// Another record of the same report stands for the session.
    Repeated,
    /// The session came in an earlier report.
    Duplicate,
    /// The same, and this record of it is longer: counters keep what they have.
    Superseded,
}

/// The fates of a report's session records, decided once: whoever looks at the
/// report again finds the same.
#[derive(Default)]
pub struct Fates {
    /// (start, duration), as they stand on the wire.
    sessions: Vec<(i64, i64)>,
    of: Vec<Fate>,
    order: Vec<u32>,
}

impl Fates {
    /// Finds what stands for each session of one report, given as (start,
    /// duration): of the records with one start the one with the longest
    /// duration, of equals the last.
    pub fn find(&mut self, sessions: impl Iterator<Item = (i64, i64)>) {
        self.sessions.clear();
        self.sessions.extend(sessions);
        self.of.clear();
        self.of.resize(self.sessions.len(), Fate::Counts);
        match self.sessions.len() {
            0 | 1 => {}
            2..=FEW => self.compare_all(),
            _ => self.sort(),
        }
    }

    /// Those of an unreadable record.
    pub fn clear(&mut self) {
        self.sessions.clear();
        self.of.clear();
    }

    /// As they were decided before.
    pub fn recall(&mut self, fates: &[Fate]) {
        self.of.clear();
        self.of.extend_from_slice(fates);
    }

    /// By place in the report.
    pub fn all(&self) -> &[Fate] {
        &self.of
    }

    /// Start, duration and fate of those that count as far as this report says.
    pub fn counting(&mut self) -> impl Iterator<Item = (i64, i64, &mut Fate)> {
        self.sessions
            .iter()
            .zip(&mut self.of)
            .filter(|(_, fate)| **fate == Fate::Counts)
            .map(|(&(start, duration), fate)| (start, duration, fate))
    }

    fn compare_all(&mut self) {
        let all = &self.sessions;
        for (at, (&this, fate)) in all.iter().zip(&mut self.of).enumerate() {
            let stands = |(other_at, &other): (usize, &(i64, i64))| {
                other.0 == this.0 && rank(other_at, other) > rank(at, this)
            };
            if all.iter().enumerate().any(stands) {
                *fate = Fate::Repeated;
            }
        }
    }

    fn sort(&mut self) {
        self.order.clear();
        self.order.extend(0..self.sessions.len() as u32);
        let all = &self.sessions;
        let key = |at: &u32| {
            let at = *at as usize;
            all.get(at).map(|session| (session.0, rank(at, *session)))
        };
        self.order.sort_unstable_by_key(key);
        for pair in self.order.windows(2) {
            if let [this, next] = pair
                && let (Some((start, _)), Some((next_start, _))) = (key(this), key(next))
                && start == next_start
                && let Some(fate) = self.of.get_mut(*this as usize)
            {
                *fate = Fate::Repeated;
            }
        }
    }
}

fn rank(at: usize, (_, duration_ms): (i64, i64)) -> (i64, usize) {
    (duration_ms.max(-1), at)
}

/// A set of fingerprints: a short list at first, a hash set on long input.
#[derive(Default)]
pub(super) struct Seen {
    /// A bit of each; whose bit is not there is not there.
    bits: u64,
    few: Vec<u128>,
    many: HashSet<u128, BuildHasherDefault<AsIs>>,
}

impl Seen {
    /// Adds; true if it was not there.
    #[inline]
    pub fn insert(&mut self, print: u128) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(print);
        }
        let bit = 1 << (print >> 122);
        if self.bits & bit != 0 && self.few.contains(&print) {
            return false;
        }
        self.bits |= bit;
        self.few.push(print);
        if self.few.len() > FEW {
            self.many.extend(self.few.drain(..));
        }
        true
    }

    /// Empties it, at a cost that follows what was in it.
    #[inline]
    pub fn clear(&mut self) {
        self.bits = 0;
        self.few.clear();
        if self.many.capacity() > MANY {
            self.many = HashSet::default();
        } else if !self.many.is_empty() {
            self.many.clear();
        }
    }
}

/// Fingerprints are hashes already, by a key that nobody outside knows.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, print: u128) {
        self.0 = print as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survivors(sessions: &[(i64, i64)]) -> Vec<usize> {
        let mut fates = Fates::default();
        fates.find(sessions.iter().copied());
        (0..sessions.len())
            .filter(|at| fates.all()[*at] == Fate::Counts)
            .collect()
    }

    #[test]
    fn the_longest_stands_for_its_session() {
        assert_eq!(survivors(&[]), [0usize; 0]);
        assert_eq!(survivors(&[(1, -1)]), [0]);
        assert_eq!(survivors(&[(1, 5), (1, 9), (1, 7)]), [1]);
        assert_eq!(survivors(&[(1, 5), (2, 9), (1, 5)]), [1, 2]);
        assert_eq!(survivors(&[(1, 0), (1, -1)]), [0]);
        // Not ended is not ended, whatever the number.
        assert_eq!(survivors(&[(1, -1), (1, -5)]), [1]);
    }

    #[test]
    fn both_ways_agree() {
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            (seed >> 40) as i64 % below as i64
        };
        for _ in 0..500 {
            let sessions: Vec<_> = (0..2 + random(14))
                .map(|_| (random(4), random(4) - 2))
                .collect();
            let few = survivors(&sessions);
            // The same with sessions of other starts behind, so that they are sorted.
            let mut more = sessions.clone();
            more.extend((0..20).map(|at| (1_000 + at, 0)));
            let many: Vec<_> = survivors(&more)
                .into_iter()
                .filter(|at| *at < sessions.len())
                .collect();
            assert_eq!(few, many);
        }
    }

    #[test]
    fn a_hostile_report_costs_no_more_than_sorting() {
        let sessions: Vec<_> = (0..60_000).map(|at| (at % 2, at)).collect();
        assert_eq!(survivors(&sessions), [59_998, 59_999]);
    }

    #[test]
    fn sets() {
        let mut seen = Seen::default();
        for round in 0..3 {
            for print in 0..20_000u128 {
                assert!(seen.insert(print << round), "{print}");
                assert!(!seen.insert(print << round));
                if round == 1 && print == 5 {
                    break;
                }
            }
            seen.clear();
            assert!(seen.many.capacity() <= MANY);
        }
    }
}
