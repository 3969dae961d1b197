//! Switches that only tests can turn: seeded bugs and fail points.
//!
//! Without the cargo feature `trials` none exists: `seeded` is a constant false
//! and `fail_point` is empty, so both vanish. With it, one bug at a time can be
//! put in (the tests must notice), and whoever set a hook hears of every fail
//! point that is passed, there and then.

/// A bug of this crate that the tests must kill; what each does is said in
/// flurry_fast/trials.py, where the other half of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    NoSkipRule = 1,
    FlushWithoutSnapshot,
    CleanBlocksWritten,
    DirtyBlocksEvicted,
    AbsenceByWallClock,
    AbsenceAfterEviction,
    ConfigSwitchedByWallClock,
    DeltaBeforeBase,
    RewindCountsAgain,
    TruncationUnchecked,
    GapInOffsetsPassed,
    DedupFromWholeArchive,
    PackedTakenAsWritten,
    PackedReplaced,
}

impl Bug {
    /// Every bug, by the name that tests know it by.
    pub const ALL: &[(&'static str, Self)] = &[
        ("no_skip_rule", Self::NoSkipRule),
        ("flush_without_snapshot", Self::FlushWithoutSnapshot),
        ("clean_blocks_written", Self::CleanBlocksWritten),
        ("dirty_blocks_evicted", Self::DirtyBlocksEvicted),
        ("absence_by_wall_clock", Self::AbsenceByWallClock),
        ("absence_after_eviction", Self::AbsenceAfterEviction),
        (
            "config_switched_by_wall_clock",
            Self::ConfigSwitchedByWallClock,
        ),
        ("delta_before_base", Self::DeltaBeforeBase),
        ("rewind_counts_again", Self::RewindCountsAgain),
        ("truncation_unchecked", Self::TruncationUnchecked),
        ("gap_in_offsets_passed", Self::GapInOffsetsPassed),
        (
            "dedup_rebuilt_from_whole_archive",
            Self::DedupFromWholeArchive,
        ),
        ("packed_taken_as_written", Self::PackedTakenAsWritten),
        ("packed_replaced", Self::PackedReplaced),
    ];
}

#[cfg(not(feature = "trials"))]
mod switch {
    use super::Bug;

    #[inline(always)]
    pub const fn seeded(_bug: Bug) -> bool {
        false
    }

    #[inline(always)]
    pub const fn fail_point(_name: &'static str) {}
}

#[cfg(feature = "trials")]
mod switch {
    use super::Bug;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU8, Ordering};

    static SEEDED: AtomicU8 = AtomicU8::new(0);
    static HOOK: OnceLock<fn(&'static str)> = OnceLock::new();

    /// Whether this bug is in.
    #[inline]
    pub fn seeded(bug: Bug) -> bool {
        SEEDED.load(Ordering::Relaxed) == bug as u8
    }

    /// Puts a bug in, instead of whichever is in; None takes it out.
    pub fn seed(bug: Option<Bug>) {
        SEEDED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }

    /// Tells the hook, if there is one, that this place is passed. Whatever
    /// happens in the hook happens here: it may not return.
    #[inline]
    pub fn fail_point(name: &'static str) {
        if let Some(hook) = HOOK.get() {
            hook(name);
        }
    }

    /// Sets the hook, once for the life of the process.
    pub fn set_hook(hook: fn(&'static str)) {
        HOOK.get_or_init(|| hook);
    }
}

pub use switch::*;
