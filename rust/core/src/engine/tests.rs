//! The engine around a tiny store: whatever happens in between, the cells are
//! those of a straight fold.

mod dedup;
mod harness;
mod model;
mod packing;
mod rules;
