//! The archive's columns: reports become rows of a record batch, and rows
//! become the very same bytes again. See `docs/archive.md`.

mod arrow;
mod build;
mod chunk;
mod columns;
mod envelope;
mod events;
pub mod file;
mod intern;
mod key;
mod levels;
mod lists;
mod pages;
mod policy;
mod presence;
mod rank;
pub mod restore;
pub mod schema;
mod scribe;
mod sessions;
#[cfg(test)]
mod tests;
mod visit;

pub use build::OUTCOME_OK;
pub use chunk::{ArchiveBuilder, ArchiveChunk, Range, RowChecksum, Summary};
