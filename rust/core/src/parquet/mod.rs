//! Parquet pages and footers, written by hand: encodings, levels, page headers,
//! page indexes, bloom filters. Nothing here knows what the columns mean; the
//! archive (`crate::archive`) says which values stand in which page.
//!
//! Definitions: the Apache Parquet format, `parquet.thrift` and `Encodings.md`
//! of version 2.11. Pages are of version 1, which every reader knows.

pub mod bits;
pub mod bloom;
pub mod chunk;
pub mod delta;
pub mod file;
pub mod schema;
#[cfg(test)]
mod tests;
mod thrift;

use std::fmt;

/// Why a file cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParquetError {
    /// A page would pass 2 GiB, which its header cannot say.
    PageTooLarge { column: String, bytes: usize },
    /// More row groups than the format counts.
    TooManyRowGroups,
    /// Zstandard refused.
    Compression(String),
    /// The columns are not those of the schema.
    Columns { expected: usize, found: usize },
}

impl fmt::Display for ParquetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PageTooLarge { column, bytes } => write!(
                f,
                "a page of column {column} has {bytes} bytes, more than Parquet can say"
            ),
            Self::TooManyRowGroups => write!(f, "a file has at most 32,767 row groups"),
            Self::Compression(error) => write!(f, "Zstandard failed: {error}"),
            Self::Columns { expected, found } => {
                write!(f, "{found} columns were written, the schema has {expected}")
            }
        }
    }
}

impl std::error::Error for ParquetError {}
