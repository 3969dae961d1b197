//! The heart of flurry_fast without Python, Kafka or I/O: reports are decoded,
//! folded into counter blocks and turned into archive columns.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod reason;
pub mod report;
