//! (under construction)

pub mod record;
pub mod sink;
