//! The portal for Python: started, watched, drained. No report passes here.

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flurry_portal::server::Server;
use flurry_portal::settings::{Address, App, Rate, Settings, Unknown};
use flurry_portal::stats::{BOUNDS, Outcome};
use flurry_portal::tls;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::mpsc;

use crate::outlet::{self, Collector};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Portal>()?;
    module.add("PORTAL_LATENCY_BOUNDS", BOUNDS.to_vec())?;
    module.add(
        "PORTAL_OUTCOMES",
        Outcome::ALL.map(|(_, name)| name).to_vec(),
    )
}

type RateArgument = Option<(f64, f64)>;

/// Attributes of Python's `NativeSettings`, by name.
#[derive(FromPyObject)]
struct Given {
    max_body: usize,
    max_head: usize,
    max_headers: usize,
    connections: usize,
    memory: usize,
    head_timeout: f64,
    body_timeout: f64,
    min_rate: u64,
    grace: f64,
    answer_timeout: f64,
    room_timeout: f64,
    hold: f64,
    keep_alive_requests: u32,
    protocol_header: bool,
    address_header: String,
    forwarded: bool,
    spread: HashMap<Vec<u8>, u32>,
    apps: HashMap<Vec<u8>, RateArgument>,
    unknown_keys: Option<usize>,
    key_rate: RateArgument,
    address_rate: RateArgument,
    log_every: u64,
}

fn seconds(value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn rate(given: RateArgument) -> Option<Rate> {
    given.map(|(per_second, burst)| Rate { per_second, burst })
}

impl Given {
    fn settings(self) -> PyResult<Settings> {
        Ok(Settings {
            max_body: self.max_body,
            max_head: self.max_head,
            max_headers: self.max_headers,
            connections: self.connections,
            memory: self.memory,
            head_timeout: seconds(self.head_timeout)?,
            body_timeout: seconds(self.body_timeout)?,
            min_rate: self.min_rate,
            grace: seconds(self.grace)?,
            answer_timeout: seconds(self.answer_timeout)?,
            room_timeout: seconds(self.room_timeout)?,
            hold: seconds(self.hold)?,
            keep_alive_requests: self.keep_alive_requests,
            protocol_header: self.protocol_header,
            address_header: match self.address_header.as_str() {
                "network" => Address::Network,
                "whole" => Address::Whole,
                _ => Address::None,
            },
            forwarded: self.forwarded,
            spread: self
                .spread
                .into_iter()
                .map(|(key, k)| (key.into(), k))
                .collect(),
            apps: self
                .apps
                .into_iter()
                .map(|(key, own)| (key.into(), App { rate: rate(own) }))
                .collect(),
            unknown: match self.unknown_keys {
                None => Unknown::Accept,
                Some(0) => Unknown::Refuse,
                Some(most) => Unknown::Cap(most),
            },
            key_rate: rate(self.key_rate),
            address_rate: rate(self.address_rate),
            log_every: self.log_every,
        })
    }
}

/// See `_core.pyi`.
#[pyclass(module = "flurry_fast._core", frozen)]
struct Portal {
    server: Mutex<(Server, Collector)>,
}

impl Portal {
    fn with<T>(&self, work: impl FnOnce(&mut Server, &mut Collector) -> T) -> T {
        let mut guard = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let (server, collector) = &mut *guard;
        work(server, collector)
    }
}

/// (outcome, bytes, seconds, protocol, address)
type Told = (&'static str, u64, f64, Option<u16>, String);

#[pymethods]
impl Portal {
    #[new]
    #[pyo3(signature = (listener, outlet, settings, certificate = None, key = None))]
    fn new(
        listener: i32,
        outlet: &Bound<'_, PyAny>,
        settings: Given,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> PyResult<Self> {
        if listener < 0 {
            return Err(PyValueError::new_err("not a file descriptor"));
        }
        // SAFETY: the caller gives the descriptor away (`socket.detach()`), says _core.pyi.
        let listener = TcpListener::from(unsafe { OwnedFd::from_raw_fd(listener) });
        let settings = settings.settings()?;
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(tls::acceptor(&certificate, &key).map_err(|bad| {
                    PyValueError::new_err((bad.path.display().to_string(), bad.reason))
                })?)
            }
            _ => None,
        };
        let (fates, fates_in) = mpsc::unbounded_channel();
        let (sender, collector) = outlet::open(outlet, fates)?;
        let server = Server::start(listener, tls, settings, Box::new(sender), fates_in)
            .map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Portal {
            server: Mutex::new((server, collector)),
        })
    }

    #[getter]
    fn running(&self) -> bool {
        self.with(|server, _| server.is_running())
    }

    fn set_ready(&self, ready: bool) {
        self.with(|server, _| server.flags.unready.store(!ready, Relaxed));
    }

    fn drain(&self, py: Python<'_>, patience: f64) -> PyResult<bool> {
        let patience = seconds(patience)?;
        Ok(py.detach(|| {
            self.with(|server, collector| {
                let ended = server.drain(patience);
                collector.stop();
                ended
            })
        }))
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.with(|server, _| server.stats.clone());
        let found = PyDict::new(py);
        for (name, value) in [
            ("accepted", &stats.accepted),
            ("open", &stats.open),
            ("garbled", &stats.garbled),
            ("accept_errors", &stats.accept_errors),
            ("unreadable", &stats.unreadable),
            ("stored_bytes", &stats.stored_bytes),
            ("memory", &stats.memory),
            ("pending", &stats.pending),
        ] {
            found.set_item(name, value.load(Relaxed))?;
        }
        let outcomes = PyDict::new(py);
        for (outcome, name) in Outcome::ALL {
            outcomes.set_item(name, stats.outcomes[outcome as usize].load(Relaxed))?;
        }
        found.set_item("outcomes", outcomes)?;
        let answers: Vec<u64> = stats
            .answers
            .iter()
            .map(|count| count.load(Relaxed))
            .collect();
        found.set_item("answers", answers)?;
        found.set_item(
            "answer_seconds",
            stats.answer_nanos.load(Relaxed) as f64 / 1e9,
        )?;
        Ok(found)
    }

    fn take_log(&self) -> Vec<Told> {
        let stats = self.with(|server, _| server.stats.clone());
        stats
            .take_told()
            .into_iter()
            .map(|told| {
                (
                    told.outcome.name(),
                    told.bytes,
                    told.seconds,
                    told.protocol,
                    told.address,
                )
            })
            .collect()
    }
}
