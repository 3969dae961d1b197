//! No input may take long. libFuzzer counts time-outs in whole seconds, and on a
//! busy machine any input can be slow once: what seems slow is tried again.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::seeds::Check;

/// What counts as a hang.
pub const HANG: Duration = Duration::from_millis(100);

thread_local! {
    static SLOWEST: Cell<Duration> = const { Cell::new(Duration::from_millis(1)) };
}

/// Runs `check` on `bytes`; says so if nothing took longer before, and panics if
/// it is a hang.
pub fn watched(bytes: &[u8], check: Check) {
    let mut fastest = timed(bytes, check);
    if fastest <= SLOWEST.get() {
        return;
    }
    for _ in 0..3 {
        fastest = fastest.min(timed(bytes, check));
    }
    if fastest > SLOWEST.get() {
        SLOWEST.set(fastest);
        eprintln!(
            "slowest: {} us for {} bytes",
            fastest.as_micros(),
            bytes.len()
        );
    }
    assert!(
        fastest < HANG,
        "a hang: {} ms for {} bytes",
        fastest.as_millis(),
        bytes.len()
    );
}

fn timed(bytes: &[u8], check: Check) -> Duration {
    let start = Instant::now();
    check(bytes);
    start.elapsed()
}
