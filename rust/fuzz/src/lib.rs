//! What must hold of the product for any bytes at all: one module a fuzz target,
//! each with a `check` that panics if it does not hold.

pub mod allocations;
pub mod archive;
pub mod block;
pub mod decode;
pub mod engine;
pub mod pace;
pub mod plan;
pub mod records;
pub mod round_trip;
pub mod seal;
pub mod seeds;
