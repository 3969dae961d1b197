//! Single reports for Python: the CLI, the simulated portal and tests. The
//! consumer decodes whole batches in `engine.rs`.

use flurry_core::reason::Reason;
use flurry_core::report::Report;
use flurry_core::wire::{self, Limits};
use flurry_core::{SEMANTICS_VERSION, json};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

pyo3::create_exception!(
    flurry_fast,
    UnreadableReport,
    PyValueError,
    "A report that cannot be read; `reason` is its name."
);

/// Registers single-report functions.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let reasons: Vec<_> = Reason::ALL
        .iter()
        .map(|&reason| (reason as u8, reason.name(), reason.describe()))
        .collect();
    module.add("REASONS", reasons)?;
    module.add(
        "UnreadableReport",
        module.py().get_type::<UnreadableReport>(),
    )?;
    module.add_function(wrap_pyfunction!(decode_json, module)?)?;
    module.add_function(wrap_pyfunction!(reencode, module)?)?;
    module.add_function(wrap_pyfunction!(peek, module)?)?;
    module.add_function(wrap_pyfunction!(message_key, module)?)?;
    module.add_function(wrap_pyfunction!(semantics_version, module)?)
}

#[pyfunction]
#[pyo3(signature = (data, /))]
fn decode_json<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    let mut report = Report::default();
    let mut line = Vec::new();
    match wire::decode(data, &Limits::default(), &mut report) {
        Ok(_) => json::write_report(&report, &mut line),
        Err(reason) => json::write_outcome(reason, &mut line),
    }
    PyBytes::new(py, &line)
}

#[pyfunction]
#[pyo3(signature = (data, /))]
fn reencode<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut report = Report::default();
    wire::decode(data, &Limits::default(), &mut report).map_err(|reason| unreadable(py, reason))?;
    let mut bytes = Vec::with_capacity(data.len());
    wire::encode(&report, &mut bytes);
    Ok(PyBytes::new(py, &bytes))
}

#[pyfunction]
#[pyo3(signature = (data, /))]
fn peek<'py>(py: Python<'py>, data: &[u8]) -> Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let peek = wire::peek(data, &Limits::default()).ok()?;
    Some((
        PyBytes::new(py, peek.api_key),
        PyBytes::new(py, peek.device_id),
    ))
}

#[pyfunction]
#[pyo3(signature = (data, shards = 1))]
fn message_key<'py>(py: Python<'py>, data: &[u8], shards: u32) -> PyResult<Bound<'py, PyBytes>> {
    if shards == 0 {
        return Err(PyValueError::new_err("shards must be at least 1"));
    }
    let mut key = Vec::new();
    wire::message_key(data, &Limits::default(), shards, &mut key);
    Ok(PyBytes::new(py, &key))
}

#[pyfunction]
fn semantics_version() -> u32 {
    SEMANTICS_VERSION
}

fn unreadable(py: Python<'_>, reason: Reason) -> PyErr {
    let error = UnreadableReport::new_err(format!("{reason}: {}", reason.describe()));
    match error.value(py).setattr("reason", reason.name()) {
        Ok(()) => error,
        Err(failed) => failed,
    }
}
