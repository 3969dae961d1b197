//! (under construction)

pub mod sink;
