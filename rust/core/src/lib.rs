//! The heart of flurry_fast without Python, Kafka or I/O: reports are decoded,
//! folded into counter blocks and turned into archive columns.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// wire format
pub mod crc;
pub mod json;
pub mod reason;
pub mod report;
pub mod wire;

// who a session is
pub mod identity;

// rollups and counter blocks
pub mod clock;
pub mod counters;
pub mod engine;
pub mod plan;
pub mod zone;

// how sorted texts are written down
mod prefix;

// the archive's columns, and its files
pub mod archive;
pub mod parquet;

// simulated devices
pub mod sim;

// for tests alone
pub mod trials;

/// Version of everything that can change a counter for the same bytes: the
/// decoder, its limits, and docs/counters.md. Part of every plan id.
pub const SEMANTICS_VERSION: u32 = 2;
