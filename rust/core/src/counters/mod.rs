//! Counter blocks: what is counted for one app and hour by one partition.
//! Definitions: docs/counters.md.

pub mod block;
pub mod row;
pub mod varint;
