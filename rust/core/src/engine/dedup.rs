//! Which sessions a partition knows again. Everything here is a function of the
//! records, in their order: of their Kafka times and of who is in them. The
//! rules are those of docs/counters.md, "Duplicates".

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::counters::{Fate, Fates};
use crate::plan::{DedupRules, SLICES};

/// What one partition remembers.
pub(super) struct Dedup {
    slice_ms: i64,
    slice_sessions: i64,
    /// The first record that it has not seen.
    pub next: i64,
    /// T: the highest Kafka time that it has seen, −1 before the first.
    pub latest: i64,
    /// Number of the slice in Kafka time.
    time_slice: i64,
    /// Number of the slice, those that were full included. Only differences
    /// mean anything, so it may wrap.
    slice: u32,
    /// Sessions of the slice at hand.
    held: i64,
    /// Nothing in it is older than the window.
    seen: HashTable<Seen>,
}

/// A session's last appearance.
#[derive(Clone, Copy)]
struct Seen {
    print: u64,
    slice: u32,
    duration: u32,
}

impl Dedup {
    /// Knows nobody; the first record that it sees will be `next`.
    pub fn from(rules: &DedupRules, next: i64) -> Self {
        Self {
            slice_ms: rules.slice_ms(),
            slice_sessions: rules.slice_sessions(),
            next,
            latest: -1,
            time_slice: 0,
            slice: 0,
            held: 0,
            seen: HashTable::new(),
        }
    }

    /// Takes the next record: its Kafka time, and its sessions, told apart by
    /// `print` of their starts. What came before is noted in the fates.
    pub fn meet(&mut self, timestamp_ms: i64, fates: &mut Fates, print: impl Fn(i64) -> u64) {
        self.next += 1;
        self.latest = self.latest.max(timestamp_ms);
        let time_slice = self.latest / self.slice_ms;
        if time_slice > self.time_slice {
            self.turn((time_slice - self.time_slice).min(SLICES + 1) as u32);
            self.time_slice = time_slice;
        }
        for (start_ms, duration_ms, fate) in fates.counting() {
            *fate = self.meet_session(print(start_ms), length(duration_ms));
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.seen.allocation_size()
    }

    /// Sessions remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    fn meet_session(&mut self, print: u64, duration: u32) -> Fate {
        if self.held == self.slice_sessions && !self.is_of_this_slice(print) {
            self.turn(1);
        }
        let slice = self.slice;
        let new = Seen {
            print,
            slice,
            duration,
        };
        let same = |seen: &Seen| seen.print == print;
        match self.seen.entry(print, same, |seen| seen.print) {
            Entry::Vacant(place) => {
                place.insert(new);
                self.held += 1;
                Fate::Counts
            }
            Entry::Occupied(mut place) => {
                let before = std::mem::replace(place.get_mut(), new);
                self.held += i64::from(before.slice != slice);
                if duration > before.duration {
                    Fate::Superseded
                } else {
                    Fate::Duplicate
                }
            }
        }
    }

    fn is_of_this_slice(&self, print: u64) -> bool {
        let found = self.seen.find(print, |seen| seen.print == print);
        found.is_some_and(|seen| seen.slice == self.slice)
    }

    /// Begins a slice so many further on, and forgets what is too old then.
    fn turn(&mut self, slices: u32) {
        self.held = 0;
        self.slice = self.slice.wrapping_add(slices);
        let slice = self.slice;
        self.seen
            .retain(|seen| slice.wrapping_sub(seen.slice) <= SLICES as u32);
        if self.seen.len() < self.seen.capacity() / 8 {
            self.seen.shrink_to(self.seen.len() * 2, |seen| seen.print);
        }
    }
}

/// A duration in ms as 32 bits that compare alike: not ended is 0, and 49 days
/// and more are equal.
fn length(duration_ms: i64) -> u32 {
    u32::try_from(duration_ms.max(-1).saturating_add(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dedup(window_ms: i64, max_sessions: i64) -> Dedup {
        let rules = DedupRules {
            window_ms,
            max_sessions,
        };
        Dedup::from(&rules, 0)
    }

    /// One record with one session.
    fn one(dedup: &mut Dedup, time: i64, start: i64, duration: i64) -> Fate {
        let mut fates = Fates::default();
        fates.find([(start, duration)].into_iter());
        dedup.meet(time, &mut fates, |start| start as u64);
        fates.all()[0]
    }

    #[test]
    fn known_for_the_window_and_at_most_an_eighth_longer() {
        for (wait, fate) in [
            (0, Fate::Duplicate),
            (80, Fate::Duplicate),
            (85, Fate::Duplicate),
            (86, Fate::Counts),
        ] {
            let mut dedup = dedup(80, 1_000);
            assert_eq!(one(&mut dedup, 1_004, 7, 5), Fate::Counts);
            assert_eq!(one(&mut dedup, 1_004 + wait, 7, 5), fate, "{wait}");
        }
    }

    #[test]
    fn an_appearance_refreshes_even_as_a_duplicate() {
        let mut dedup = dedup(80, 1_000);
        assert_eq!(one(&mut dedup, 0, 7, 5), Fate::Counts);
        assert_eq!(one(&mut dedup, 80, 7, 5), Fate::Duplicate);
        assert_eq!(one(&mut dedup, 160, 7, 5), Fate::Duplicate);
        assert_eq!(one(&mut dedup, 250, 7, 5), Fate::Counts);
        assert_eq!(dedup.len(), 1);
    }

    #[test]
    fn kafka_time_never_goes_back() {
        let mut dedup = dedup(80, 1_000);
        assert_eq!(one(&mut dedup, 500, 7, 5), Fate::Counts);
        assert_eq!(one(&mut dedup, 3, 8, 5), Fate::Counts);
        assert_eq!(dedup.latest, 500);
        assert_eq!(one(&mut dedup, 589, 8, 5), Fate::Duplicate);
        assert_eq!(one(&mut dedup, i64::MAX, 8, 5), Fate::Counts);
        assert_eq!(dedup.len(), 1);
    }

    #[test]
    fn longer_than_its_last_appearance_is_superseded() {
        let mut dedup = dedup(80, 1_000);
        assert_eq!(one(&mut dedup, 0, 7, -1), Fate::Counts);
        assert_eq!(one(&mut dedup, 0, 7, i64::MIN), Fate::Duplicate);
        assert_eq!(one(&mut dedup, 0, 7, 0), Fate::Superseded);
        assert_eq!(one(&mut dedup, 0, 7, 0), Fate::Duplicate);
        assert_eq!(one(&mut dedup, 0, 7, 4_294_967_293), Fate::Superseded);
        assert_eq!(one(&mut dedup, 0, 7, 4_294_967_294), Fate::Superseded);
        assert_eq!(one(&mut dedup, 0, 7, i64::MAX), Fate::Duplicate);
        assert_eq!(one(&mut dedup, 0, 7, 3), Fate::Duplicate);
        assert_eq!(one(&mut dedup, 0, 7, 4), Fate::Superseded);
    }

    #[test]
    fn a_full_slice_ends_and_memory_stays_bounded() {
        let mut dedup = dedup(i64::MAX, 18); // two sessions a slice
        for start in 0..10_000 {
            assert_eq!(one(&mut dedup, 0, start, 5), Fate::Counts);
            assert_eq!(one(&mut dedup, 0, start, 5), Fate::Duplicate);
            assert!(dedup.len() <= 18);
        }
        // Of nine slices the last eight are known when a session begins the next.
        for start in 9_984..10_000 {
            let mut later = one_more(&dedup);
            assert_eq!(one(&mut later, 0, start, 5), Fate::Duplicate, "{start}");
        }
        let mut later = one_more(&dedup);
        assert_eq!(one(&mut later, 0, 9_983, 5), Fate::Counts);
    }

    /// The same once more, to be asked without a trace.
    fn one_more(dedup: &Dedup) -> Dedup {
        Dedup {
            seen: dedup.seen.clone(),
            ..*dedup
        }
    }

    #[test]
    fn room_is_given_back_when_a_crowd_has_left() {
        let mut dedup = dedup(80, 1_000_000);
        for start in 0..50_000 {
            one(&mut dedup, 0, start * 0x1234_5677, 5);
        }
        let full = dedup.memory();
        assert!(full > 50_000 * 16);
        one(&mut dedup, 1_000, 7, 5);
        assert!(dedup.memory() < full / 100);
    }
}
