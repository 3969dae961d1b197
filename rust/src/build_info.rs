//! What was built, and how: benches refuse a debug build, reports quote it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

const FACTS: [(&str, &str); 9] = [
    ("version", env!("CARGO_PKG_VERSION")),
    ("commit", env!("FLURRY_FAST_COMMIT")),
    ("profile", env!("FLURRY_FAST_PROFILE")),
    ("opt_level", env!("FLURRY_FAST_OPT_LEVEL")),
    ("compiler", env!("FLURRY_FAST_RUSTC")),
    ("target", env!("FLURRY_FAST_TARGET")),
    ("target_cpu", env!("FLURRY_FAST_TARGET_CPU")),
    ("target_features", env!("FLURRY_FAST_TARGET_FEATURES")),
    (
        "trials",
        if cfg!(feature = "trials") {
            "yes"
        } else {
            "no"
        },
    ),
];

/// Version, commit, profile, compiler and target of this module.
#[pyfunction]
#[pyo3(signature = ())]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let facts = PyDict::new(py);
    for (name, value) in FACTS {
        facts.set_item(name, value)?;
    }
    Ok(facts)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(build_info, module)?)
}
