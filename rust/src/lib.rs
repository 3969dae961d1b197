//! The binding crate: flurry-core for Python, as `flurry_fast._core`.
//! One file a room; each registers what it offers.
#![deny(unsafe_op_in_unsafe_fn)]

use pyo3::prelude::*;

mod archive;
mod arrow_ffi;
mod batch;
mod blocks;
mod build_info;
mod decode;
mod engine;
mod engine_values;
mod fleet;
mod kernels;
mod outlet;
mod past;
mod plan;
mod portal;
mod simulate;
#[cfg(feature = "trials")]
mod trials;

#[pymodule]
#[pyo3(name = "_core")]
fn core_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    build_info::register(module)?;
    #[cfg(feature = "trials")]
    trials::register(module)?;
    batch::register(module)?;
    decode::register(module)?;
    plan::register(module)?;
    blocks::register(module)?;
    engine::register(module)?;
    engine_values::register(module)?;
    arrow_ffi::register(module)?;
    archive::register(module)?;
    simulate::register(module)?;
    portal::register(module)?;
    fleet::register(module)?;
    kernels::register(module)
}
