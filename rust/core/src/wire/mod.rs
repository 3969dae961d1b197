//! The wire format of `docs/wire-format.md`: bytes to [`Report`] and back.
//!
//! Reading is strictly left to right and stops at the first violation, so that
//! the same bytes have the same reason on every replay, and in the reference
//! decoder of the tests. Bounds are checked where [`cursor::Cursor`] advances
//! and nowhere else; no length is believed before its bytes were seen.

mod cursor;
mod decode;
mod encode;
mod frame;
mod layout;
mod peek;
mod repair;
mod session;
pub mod text;

pub use decode::decode;
pub use encode::encode;
pub use layout::PROTOCOLS;
pub use peek::{Peek, message_key, peek, peek_checked, write_hash_key};

/// How much a report may ask for. Part of the semantics: everybody reads with
/// `Limits::default()`, so that outcomes replay; other values are for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole payload.
    pub max_report_bytes: usize,
    /// Sum of all counts that the report announces.
    pub max_records: u32,
    /// Sum of the bytes that repair may look at.
    pub max_repair_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_report_bytes: 16 << 20,
            max_records: 200_000,
            max_repair_bytes: 16 << 20,
        }
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
