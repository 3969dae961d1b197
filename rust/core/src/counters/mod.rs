//! Counter blocks: what is counted for one app and hour by one partition.
//! Definitions: docs/counters.md.
//!
//! A report becomes operations ([`emit`]: "add these numbers to that group"),
//! operations are applied in batches to one table ([`table`]) that holds the
//! groups of all blocks ([`blocks`]), and blocks leave as canonical bytes
//! ([`block`]).

mod arena;
pub mod block;
pub mod blocks;
mod cells;
mod dimensions;
mod emit;
mod fingerprint;
mod index;
mod ops;
mod pack;
mod program;
pub mod row;
mod sessions;
mod slots;
mod table;
pub mod varint;
mod zones;

pub use emit::{Emitter, Gate, Origin, Tally};
pub use ops::Ops;
pub use program::Program;
pub use sessions::{Fate, Fates};
