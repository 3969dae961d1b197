//! The canonical text of a plan and the id that is its hash.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::dedup::SLICES;
use super::{CountLimits, DedupRules, Rollup};
use crate::clock::TimeRules;
use crate::counters::block::FORMAT;
use crate::zone::TZDATA_VERSION;

/// One line per setting. Whatever can change a counter stands here.
pub fn text(
    time: &TimeRules,
    limits: &CountLimits,
    dedup: &DedupRules,
    rollups: &[Rollup],
) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(out, "{key} = {value}");
    };
    line("semantics", &crate::SEMANTICS_VERSION);
    line("tzdata", &TZDATA_VERSION);
    line("block_format", &FORMAT);
    line("time.max_skew_ms", &time.max_skew_ms);
    line("time.max_age_ms", &time.max_age_ms);
    line("time.max_ahead_ms", &time.max_ahead_ms);
    line("limits.max_count", &limits.max_count);
    line("limits.max_duration_ms", &limits.max_duration_ms);
    line("dedup.window_ms", &dedup.window_ms);
    line("dedup.max_sessions", &dedup.max_sessions);
    line("dedup.slices", &SLICES);
    for rollup in rollups {
        let dimensions: Vec<_> = rollup.dimensions.iter().map(|d| d.name()).collect();
        let measures: Vec<_> = rollup.measures.iter().map(|m| m.name()).collect();
        let key = |field: &str| format!("rollup.{}.{field}", rollup.number);
        line(&key("name"), &rollup.name);
        line(&key("dimensions"), &dimensions.join(" "));
        line(&key("measures"), &measures.join(" "));
        line(&key("cap"), &rollup.cap);
    }
    out
}

/// The plan id: never 0, so that 0 can mean "no plan".
pub fn id(canonical: &str) -> u32 {
    let digest = Sha256::digest(canonical.as_bytes());
    let first: [u8; 4] = std::array::from_fn(|at| digest.get(at).copied().unwrap_or(0));
    u32::from_be_bytes(first).max(1)
}
