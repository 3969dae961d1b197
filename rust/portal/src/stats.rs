//! What a portal counts. Written by the server's thread, read by any.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How a request for storing a report ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 200: the log has it.
    Stored,
    /// No room in memory, or the outlet's queue was full.
    Overload,
    /// The log did not take it, or did not say so in time.
    Unstored,
    /// Longer than bodies may be.
    TooLarge,
    /// Slower than bodies may be.
    Slow,
    /// It ended before its end, or its framing is broken.
    Broken,
    /// Over the rate of its app or address.
    Limited,
    /// Its API key is not to be accepted.
    UnknownKey,
}

impl Outcome {
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Stored, "stored"),
        (Self::Overload, "overload"),
        (Self::Unstored, "unstored"),
        (Self::TooLarge, "too_large"),
        (Self::Slow, "slow"),
        (Self::Broken, "broken"),
        (Self::Limited, "limited"),
        (Self::UnknownKey, "unknown_key"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Upper bounds of the histogram of answers, in seconds; the last one is open.
pub const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// A request that the access log tells of.
#[derive(Debug, Clone)]
pub struct Told {
    pub outcome: Outcome,
    pub bytes: u64,
    pub seconds: f64,
    pub protocol: Option<u16>,
    /// As `Settings::address_header` would have it.
    pub address: String,
}

const TOLD: usize = 1000;

#[derive(Debug, Default)]
pub struct Stats {
    pub accepted: AtomicU64,
    pub open: AtomicU64,
    /// Connections that ended without a request that could be read.
    pub garbled: AtomicU64,
    /// Times that accepting failed (no file descriptors, for example).
    pub accept_errors: AtomicU64,
    pub outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Of those stored: unreadable as far as the portal looks.
    pub unreadable: AtomicU64,
    pub stored_bytes: AtomicU64,
    pub memory: AtomicU64,
    pub pending: AtomicU64,
    pub answers: [AtomicU64; BOUNDS.len() + 1],
    pub answer_nanos: AtomicU64,
    told: Mutex<VecDeque<Told>>,
}

impl Stats {
    pub(crate) fn ended(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed)
    }

    pub(crate) fn answered(&self, after: Duration) {
        let seconds = after.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.answers[bucket].fetch_add(1, Relaxed);
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.answer_nanos.fetch_add(nanos, Relaxed);
    }

    /// Keeps the newest; whoever does not fetch them loses the oldest.
    pub(crate) fn tell(&self, told: Told) {
        if let Ok(mut queue) = self.told.lock() {
            if queue.len() == TOLD {
                queue.pop_front();
            }
            queue.push_back(told);
        }
    }

    /// What is to be logged since the last call.
    pub fn take_told(&self) -> Vec<Told> {
        self.told
            .lock()
            .map(|mut queue| queue.drain(..).collect())
            .unwrap_or_default()
    }
}
