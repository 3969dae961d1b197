//! The Agent Portal: reports of devices come in over HTTP, and 200 is said only
//! once the log has them.
//!
//! HTTP is hyper's. What is ours is when to answer, when to close without an
//! answer (agents of the last generations take any status for a delivery), and
//! how much of all that fits into memory. Where reports go is a trait,
//! [`outlet::Outlet`]: this crate knows neither Kafka nor Python.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod client;
pub mod outlet;
pub mod receipt;
pub mod server;
pub mod settings;
pub mod stats;
pub mod tls;

mod answer;
mod envelope;
mod gate;
mod intake;
mod muzzle;
mod room;
mod service;
