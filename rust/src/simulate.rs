//! Simulated devices for Python: reports made by the batch, GIL released.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use flurry_core::sim::{self, Settings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Simulator>()?;
    module.add_class::<SimulatedBatch>()?;
    module.add(
        "PROTOCOL_MIX",
        BTreeMap::from_iter(sim::PROTOCOLS_2013.iter().copied()),
    )
}

// The signature below says it in digits, which Python's help can show.
const _: () = assert!(sim::NOVEMBER_2013_MS == 1_384_948_800_000);

/// See `_core.pyi`, which carries the docstrings.
#[pyclass(module = "flurry_fast._core", frozen)]
struct Simulator {
    fleet: Mutex<sim::Simulator>,
}

impl Simulator {
    /// Makes reports or looks at the clock. Nothing panics while it holds the
    /// lock, and a fleet is as good after a panic as before it.
    fn with<T>(&self, work: impl FnOnce(&mut sim::Simulator) -> T) -> T {
        work(&mut self.fleet.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Simulator {
    #[new]
    #[pyo3(signature = (seed = 1, *, apps = 400_000, devices = 10_000_000, start_ms = 1_384_948_800_000,
                        rate = 20_000, protocols = None, malformed = 0.0, hostile = 0.0))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn new(
        seed: u64,
        apps: u32,
        devices: u64,
        start_ms: i64,
        rate: u32,
        protocols: Option<BTreeMap<u16, u32>>,
        malformed: f64,
        hostile: f64,
    ) -> PyResult<Self> {
        let protocols = match protocols {
            Some(mix) => mix.into_iter().collect(),
            None => sim::PROTOCOLS_2013.to_vec(),
        };
        let settings = Settings {
            seed,
            apps,
            devices,
            start_ms,
            rate,
            protocols,
            malformed,
            hostile,
        };
        let fleet = sim::Simulator::new(settings)
            .map_err(|refused| PyValueError::new_err(refused.to_string()))?;
        Ok(Simulator {
            fleet: Mutex::new(fleet),
        })
    }

    #[getter]
    fn sent(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.with(|fleet| fleet.sent()))
    }

    #[getter]
    fn now_ms(&self, py: Python<'_>) -> i64 {
        py.detach(|| self.with(|fleet| fleet.now_ms()))
    }

    #[pyo3(signature = (reports, /))]
    fn next_batch(&self, py: Python<'_>, reports: usize) -> SimulatedBatch {
        py.detach(|| SimulatedBatch(self.with(|fleet| fleet.next_batch(reports))))
    }
}

/// See `_core.pyi`.
#[pyclass(module = "flurry_fast._core", frozen)]
pub struct SimulatedBatch(pub sim::Batch);

#[pymethods]
impl SimulatedBatch {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.payload)
    }

    #[getter]
    fn payload_offsets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        int64_view(py, &self.0.payload_offsets)
    }

    #[getter]
    fn key_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.keys)
    }

    #[getter]
    fn key_offsets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        int64_view(py, &self.0.key_offsets)
    }

    #[getter]
    fn times_ms<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        int64_view(py, &self.0.times_ms)
    }

    fn payloads<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.payloads().map(|bytes| PyBytes::new(py, bytes)))
    }

    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.keys().map(|bytes| PyBytes::new(py, bytes)))
    }
}

/// Numbers as a memoryview of format `q`, which numpy, Arrow and Cython read as they are.
fn int64_view<'py>(py: Python<'py>, numbers: &[i64]) -> PyResult<Bound<'py, PyAny>> {
    let bytes = PyBytes::new_with(py, size_of_val(numbers), |out| {
        for (place, number) in out.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        Ok(())
    })?;
    PyMemoryView::from(bytes.as_any())?.call_method1("cast", ("q",))
}
