//! The plan: which rollups are counted, and by which settings. TOML in, one
//! checked value out; its id stands on every cell that it makes.

mod canonical;
mod dedup;
mod parse;
mod vocabulary;

use std::fmt;

use crate::clock::TimeRules;

pub use dedup::{DedupRules, SLICES};
pub use parse::{MAX_CAP, MAX_DIMENSIONS, MAX_MEASURES, MAX_ROLLUPS};
pub use vocabulary::{
    Dimension, LEAF_SLOTS, Level, Measure, REPORT_SLOTS, SESSION_MEASURES, SESSION_SLOTS, Scope,
};

/// Number of the rollup that is in every plan: unreadable reports by reason.
pub const UNREADABLE: u8 = 255;
/// Its name.
pub const UNREADABLE_NAME: &str = "unreadable";
/// Its cap.
pub const UNREADABLE_CAP: u32 = 1_000;

/// A checked plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// First four bytes of the SHA-256 of `canonical`, big-endian; never 0.
    pub id: u32,
    /// One line per setting; everything that can change a result.
    pub canonical: String,
    /// The text that was parsed.
    pub toml: String,
    /// `[time]`
    pub time: TimeRules,
    /// `[limits]`
    pub limits: CountLimits,
    /// `[dedup]`
    pub dedup: DedupRules,
    /// The plan's rollups, numbered from 0 in their order, then `unreadable`.
    pub rollups: Vec<Rollup>,
}

/// The `[limits]` section: what one wire number may add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountLimits {
    /// Of page views, occurrences and errors.
    pub max_count: u64,
    /// Of a session's or an event's duration, ms.
    pub max_duration_ms: u64,
}

/// One rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// Position in the plan, or [`UNREADABLE`].
    pub number: u8,
    pub name: String,
    pub dimensions: Vec<Dimension>,
    pub measures: Vec<Measure>,
    /// Groups of a block with a line of their own; the others are `(other)`.
    pub cap: u32,
    /// The deepest of its dimensions.
    pub level: Level,
}

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// Where: `rollup[2].measures[0]`, `time.max_age_ms`, or empty for the text itself.
    pub key: String,
    /// Why, as a sentence without a full stop.
    pub reason: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.key, self.reason)
        }
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    /// Parses and checks a plan; the error names the key and the reason.
    pub fn parse(toml: &str) -> Result<Plan, PlanError> {
        let parse::Settings {
            time,
            limits,
            dedup,
            mut rollups,
        } = parse::settings(toml)?;
        rollups.push(Rollup::unreadable());
        let canonical = canonical::text(&time, &limits, &dedup, &rollups);
        Ok(Plan {
            id: canonical::id(&canonical),
            canonical,
            toml: toml.to_owned(),
            time,
            limits,
            dedup,
            rollups,
        })
    }

    /// The plan of an id that stands in a store: to read its blocks. Rules that
    /// have changed since gave the same text another id then.
    pub fn registered(toml: &str, id: u32) -> Result<Plan, PlanError> {
        Ok(Plan {
            id,
            ..Self::parse(toml)?
        })
    }

    /// Whether this version counts by its rules.
    pub fn is_current(&self) -> bool {
        self.id == canonical::id(&self.canonical)
    }

    /// The rollup of this number.
    pub fn rollup(&self, number: u8) -> Option<&Rollup> {
        self.position(number).and_then(|at| self.rollups.get(at))
    }

    /// Where the rollup of this number stands in `rollups`.
    pub fn position(&self, number: u8) -> Option<usize> {
        match number {
            UNREADABLE => self.rollups.len().checked_sub(1),
            _ => (usize::from(number) + 1 < self.rollups.len()).then_some(usize::from(number)),
        }
    }
}

impl Rollup {
    fn unreadable() -> Rollup {
        Rollup {
            number: UNREADABLE,
            name: UNREADABLE_NAME.to_owned(),
            dimensions: vec![Dimension::Reason],
            measures: vec![Measure::Reports],
            cap: UNREADABLE_CAP,
            level: Level::Session,
        }
    }

    /// Whether reports themselves are counted in it.
    pub fn counts_reports(&self) -> bool {
        self.measures.iter().any(|measure| measure.of_reports())
    }

    /// Whether it is touched by reports alone.
    pub fn only_reports(&self) -> bool {
        self.measures.iter().all(|measure| measure.of_reports())
    }
}
