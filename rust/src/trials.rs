//! The switches of `flurry_core::trials` for Python: only in a build for tests.

use flurry_core::trials::{self, Bug};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::panic::resume_unwind;
use std::sync::OnceLock;

static HANDLER: OnceLock<Py<PyAny>> = OnceLock::new();

/// Puts a bug of the native code in; None takes it out.
#[pyfunction]
fn _trial_seed(name: Option<&str>) -> PyResult<()> {
    let bug = match name {
        None => None,
        Some(name) => {
            let found = Bug::ALL.iter().find(|(known, _)| *known == name);
            let unknown = || PyValueError::new_err(format!("no native bug is named {name:?}"));
            Some(found.ok_or_else(unknown)?.1)
        }
    };
    trials::seed(bug);
    Ok(())
}

/// Names of the bugs that native code has.
#[pyfunction]
fn _trial_bugs() -> Vec<&'static str> {
    Bug::ALL.iter().map(|(name, _)| *name).collect()
}

/// Calls `handler(name)` at every native fail point, for the life of the process. What it raises unwinds from there,
/// as a panic of the native code would.
#[pyfunction]
fn _trial_hook(handler: Py<PyAny>) {
    HANDLER.get_or_init(|| handler);
    trials::set_hook(|name| {
        let told = Python::attach(|py| match HANDLER.get() {
            Some(handler) => handler.call1(py, (name,)).map(drop),
            None => Ok(()),
        });
        if let Err(error) = told {
            resume_unwind(Box::new(format!("fail point {name}: {error}")));
        }
    });
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_trial_seed, module)?)?;
    module.add_function(wrap_pyfunction!(_trial_bugs, module)?)?;
    module.add_function(wrap_pyfunction!(_trial_hook, module)?)
}
