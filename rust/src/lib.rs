//! The binding crate: flurry-core for Python, as `flurry_fast._core`.
#![deny(unsafe_op_in_unsafe_fn)]

use pyo3::prelude::*;

#[pymodule]
#[pyo3(name = "_core")]
fn core_module(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
