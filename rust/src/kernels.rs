//! Kernels alone, for bench/: a whole batch in one call, without a Python
//! object a record and with the GIL released.

use flurry_core::crc::crc32;
use flurry_core::report::Report;
use flurry_core::wire::{self, Limits};
use pyo3::prelude::*;

use crate::batch::Batch;

/// The least that must touch every byte: the CRC-32 of each payload, all of
/// them XORed so that none can be left out.
#[pyfunction]
#[pyo3(signature = (batch, /))]
fn crc32_batch(py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<u32> {
    let batch = Batch::from_py(batch)?;
    Ok(py.detach(|| {
        batch
            .records()
            .fold(0, |all, record| all ^ crc32(record.payload))
    }))
}

/// Decodes and validates each payload, and does nothing with it:
/// (readable reports, their sessions + event records + error records).
#[pyfunction]
#[pyo3(signature = (batch, /))]
fn decode_batch(py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<(u64, u64)> {
    let batch = Batch::from_py(batch)?;
    Ok(py.detach(|| {
        let limits = Limits::default();
        let mut report = Report::default();
        let (mut readable, mut points) = (0_u64, 0_u64);
        for record in batch.records() {
            if wire::decode(record.payload, &limits, &mut report).is_ok() {
                readable += 1;
                points +=
                    (report.sessions.len() + report.events.len() + report.errors.len()) as u64;
            }
        }
        (readable, points)
    }))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(crc32_batch, module)?)?;
    module.add_function(wrap_pyfunction!(decode_batch, module)?)
}
