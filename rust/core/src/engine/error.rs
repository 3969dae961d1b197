//! What can go wrong with an engine that is not the fault of one report.

use std::fmt;

/// Why an operation of the engine was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineError {
    /// The caller did things in the wrong order; nothing was changed.
    Misuse(String),
    /// A stored cell is not what this engine or its predecessors wrote. Fatal:
    /// counting on would build on sand.
    CellCorrupt {
        partition: i32,
        /// Row key of the cell.
        row: Vec<u8>,
        reason: String,
    },
    /// The table has no numbers left (2^32 values): give it less memory.
    TableFull,
}

impl EngineError {
    pub(super) fn misuse(reason: impl Into<String>) -> Self {
        EngineError::Misuse(reason.into())
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::Misuse(reason) => f.write_str(reason),
            EngineError::CellCorrupt {
                partition,
                row,
                reason,
            } => write!(
                f,
                "the stored cell of row {} of partition {partition} is corrupt: {reason}",
                row.escape_ascii()
            ),
            EngineError::TableFull => f.write_str("the table of groups has no numbers left"),
        }
    }
}

impl std::error::Error for EngineError {}
