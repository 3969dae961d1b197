//! Simulated devices that post, for Python.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flurry_portal::client::{Fleet, Settings, Tls, Trust};
use flurry_portal::receipt::Receipt;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::simulate::SimulatedBatch;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<HttpFleet>()
}

/// (partition, offset, timestamp in ms)
type Place = (i32, i64, i64);

/// See `_core.pyi`.
#[pyclass(module = "flurry_fast._core", frozen)]
struct HttpFleet(Mutex<Fleet>);

impl HttpFleet {
    fn with<T>(&self, work: impl FnOnce(&mut Fleet) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl HttpFleet {
    #[new]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    #[pyo3(signature = (address, *, host, tls_name = None, authorities = None, devices = 256, threads = 1,
                        timeout = 15.0, resends = 0, resend_wait = 1.0, keep_alive = false, receipts = false))]
    fn new(
        address: &str,
        host: String,
        tls_name: Option<&str>,
        authorities: Option<PathBuf>,
        devices: usize,
        threads: usize,
        timeout: f64,
        resends: u32,
        resend_wait: f64,
        keep_alive: bool,
        receipts: bool,
    ) -> PyResult<Self> {
        let refused = |error: &dyn std::fmt::Display| PyValueError::new_err(error.to_string());
        let address: SocketAddr = address.parse().map_err(|error| refused(&error))?;
        let seconds = |value| Duration::try_from_secs_f64(value).map_err(|error| refused(&error));
        let trust = authorities.as_deref().map_or(Trust::Anybody, Trust::File);
        let tls = tls_name
            .map(|name| Tls::new(name, trust))
            .transpose()
            .map_err(|bad| PyValueError::new_err((bad.path.display().to_string(), bad.reason)))?;
        let settings = Settings {
            address,
            host,
            tls,
            devices: devices.max(1),
            threads,
            timeout: seconds(timeout)?,
            resends,
            resend_wait: seconds(resend_wait)?,
            keep_alive,
            receipts,
        };
        let fleet =
            Fleet::start(settings).map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(HttpFleet(Mutex::new(fleet)))
    }

    #[pyo3(signature = (reports, /))]
    fn post(&self, py: Python<'_>, reports: &Bound<'_, PyList>) -> PyResult<u64> {
        let mut copied = Vec::with_capacity(reports.len());
        for report in reports {
            copied.push(Bytes::copy_from_slice(report.cast::<PyBytes>()?.as_bytes()));
        }
        Ok(py.detach(|| self.with(|fleet| fleet.post(&copied))))
    }

    #[pyo3(signature = (batch, /))]
    fn post_batch(&self, py: Python<'_>, batch: &SimulatedBatch) -> u64 {
        py.detach(|| {
            // Copied once: each report is a slice of it.
            let mut left = Bytes::copy_from_slice(&batch.0.payload);
            let payloads = batch.0.payloads();
            let reports: Vec<Bytes> = payloads.map(|each| left.split_to(each.len())).collect();
            self.with(|fleet| fleet.post(&reports))
        })
    }

    fn finish(&self, py: Python<'_>) {
        py.detach(|| self.with(Fleet::finish));
    }

    fn take_stored(&self, py: Python<'_>) -> Vec<u64> {
        let stored = py.detach(|| self.with(|fleet| fleet.with_tally(|tally| tally.take_stored())));
        stored.into_iter().map(|(number, _)| number).collect()
    }

    fn take_receipts(&self, py: Python<'_>) -> Vec<(u64, Option<Place>)> {
        let place = |found: Receipt| (found.partition, found.offset, found.timestamp_ms);
        let stored = py.detach(|| self.with(|fleet| fleet.with_tally(|tally| tally.take_stored())));
        let told = stored.into_iter();
        told.map(|(number, receipt)| (number, receipt.map(place)))
            .collect()
    }

    fn forget(&self, py: Python<'_>) {
        py.detach(|| {
            self.with(|fleet| {
                fleet.with_tally(|tally| {
                    tally.take_stored();
                    tally.take_lost();
                });
            });
        });
    }

    fn take_lost(&self, py: Python<'_>) -> Vec<u64> {
        py.detach(|| self.with(|fleet| fleet.with_tally(|tally| tally.take_lost())))
    }

    #[getter]
    fn trouble(&self) -> Option<String> {
        self.with(|fleet| fleet.with_tally(|tally| tally.trouble.clone()))
    }

    #[pyo3(signature = (share, /))]
    fn quantile(&self, share: f64) -> f64 {
        self.with(|fleet| fleet.with_tally(|tally| tally.quantile(share)))
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = self.with(|fleet| {
            fleet.with_tally(|tally| {
                [
                    ("stored", tally.stored),
                    ("dropped", tally.dropped),
                    ("given_up", tally.given_up),
                    ("repeats", tally.repeats),
                    ("resends", tally.resends),
                    ("statuses", tally.statuses),
                    ("unanswered", tally.unanswered),
                    ("timeouts", tally.timeouts),
                    ("no_connection", tally.no_connection),
                ]
            })
        });
        let found = PyDict::new(py);
        for (name, count) in counts {
            found.set_item(name, count)?;
        }
        Ok(found)
    }
}
