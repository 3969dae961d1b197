//! Totals of an engine's life. They only grow.

use crate::reason::Reason;

macro_rules! totals {
    ($( $(#[doc = $doc:literal])* $name:ident, )*) => {
        /// Totals since the engine was made.
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub struct Stats {
            $( $(#[doc = $doc])* pub $name: u64, )*
            /// Unreadable records by the code of their reason.
            pub unreadable: [u64; 16],
        }

        impl Stats {
            /// Every total but `unreadable`, by name.
            pub fn totals(&self) -> Vec<(&'static str, u64)> {
                vec![ $( (stringify!($name), self.$name), )* ]
            }
        }
    };
}

totals! {
    /// Records that a sink took: each once, plus once per rewind.
    records,
    /// Their payloads.
    bytes,
    /// Records of partitions that are not assigned or were stopped.
    ignored,
    /// Records that no sink needed.
    passed_by,
    /// Records that the counters took.
    counted,
    /// Sessions of counted records.
    sessions,
    /// Sessions + events + errors of counted records.
    data_points,
    /// Session records that another record of the same report stands for.
    repeated,
    /// Sessions that came in an earlier report, and are not counted again.
    duplicates,
    /// The same, but longer than when they came last.
    superseded,
    /// Records below the counters' position that were read for their sessions only.
    recalled,
    /// Parts of records that were in a stored cell already.
    skipped,
    /// Updates of groups.
    updates,
    /// Records that waited for stored cells, in part or whole.
    deferred,
    /// Blocks whose stored cell was asked for.
    base_reads,
    /// Of these, blocks that had one.
    base_found,
    /// Blocks that were proved absent.
    proved_absent,
    /// Frozen values of blocks.
    blocks_frozen,
    /// Blocks of acknowledged flushes.
    blocks_flushed,
    /// Times that a block's groups were put away as bytes.
    blocks_packed,
    /// Blocks that were evicted.
    blocks_evicted,
    /// Records that the archive took.
    archived,
}

impl Stats {
    pub(super) fn note_unreadable(&mut self, reason: Reason) {
        if let Some(count) = self.unreadable.get_mut(reason as usize) {
            *count += 1;
        }
    }
}
