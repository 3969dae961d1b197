//! `[dedup]`: for how long, in Kafka time, a session is known again.

/// Slices of the window. An appearance is known for this many slices after its
/// own, so for the window at least, and an eighth of it longer at most.
pub const SLICES: i64 = 8;

/// The `[dedup]` section. Rules: docs/counters.md, "Duplicates".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupRules {
    /// 0: every report counts, whatever came before.
    pub window_ms: i64,
    /// The most sessions that one partition remembers.
    pub max_sessions: i64,
}

impl DedupRules {
    /// Whether anything is remembered.
    pub fn is_on(&self) -> bool {
        self.window_ms > 0
    }

    /// Length of a slice of Kafka time, ms.
    pub fn slice_ms(&self) -> i64 {
        (self.window_ms / SLICES + i64::from(self.window_ms % SLICES > 0)).max(1)
    }

    /// A slice ends early when it holds this many sessions: memory is bounded
    /// whatever comes, and what came last is known in any case.
    pub fn slice_sessions(&self) -> i64 {
        (self.max_sessions / (SLICES + 1)).max(1)
    }

    /// Where the records begin, in Kafka time, that whoever stands at a highest
    /// Kafka time of `latest` (−1: nothing came yet) must have seen: the start
    /// of the oldest slice that is still known. `None`: no record at all.
    pub fn since(&self, latest: i64) -> Option<i64> {
        if !self.is_on() || latest < 0 {
            return None;
        }
        let oldest = latest / self.slice_ms() - SLICES;
        Some(oldest.max(0) * self.slice_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(window_ms: i64, max_sessions: i64) -> DedupRules {
        DedupRules {
            window_ms,
            max_sessions,
        }
    }

    #[test]
    fn eight_slices_are_never_shorter_than_the_window() {
        assert_eq!(rules(1, 9).slice_ms(), 1);
        assert_eq!(rules(8, 9).slice_ms(), 1);
        assert_eq!(rules(9, 9).slice_ms(), 2);
        assert_eq!(rules(3_600_000, 9).slice_ms(), 450_000);
        assert_eq!(rules(1, 9).slice_sessions(), 1);
        assert_eq!(rules(1, 1_800_000).slice_sessions(), 200_000);
    }

    #[test]
    fn history_begins_with_the_oldest_known_slice() {
        assert_eq!(rules(0, 9).since(5), None);
        assert_eq!(rules(80, 9).since(-1), None);
        assert_eq!(rules(80, 9).since(0), Some(0));
        assert_eq!(rules(80, 9).since(89), Some(0));
        assert_eq!(rules(80, 9).since(90), Some(10));
        assert_eq!(rules(80, 9).since(99), Some(10));
    }
}
