//! The outlet of csrc/outlet.h, as the portal's way to Kafka.

use std::ffi::{CStr, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use flurry_portal::outlet::{Fate, Fates, NotTaken, Outgoing, Outlet, Place};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

const CAPSULE: &CStr = c"flurry_fast.outlet.v1";
const ABI: u32 = 2;
/// Fates of one call: more wait in librdkafka.
const ROOM: usize = 1024;
const WAIT_MS: i32 = 100;

#[repr(C)]
struct RawOutgoing {
    key: *const u8,
    key_len: usize,
    payload: *const u8,
    payload_len: usize,
    headers: *const u8,
    headers_len: usize,
    timestamp_ms: i64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RawFate {
    id: u64,
    error: i32,
    partition: i32,
    offset: i64,
    append_ms: i64,
}

#[repr(C)]
struct RawOutlet {
    abi: u32,
    reserved: u32,
    this: *mut c_void,
    send: unsafe extern "C" fn(*mut c_void, *const RawOutgoing, u64) -> i32,
    collect: unsafe extern "C" fn(*mut c_void, i32, *mut RawFate, usize) -> usize,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(
    size_of::<RawOutgoing>() == 56 && size_of::<RawFate>() == 32 && size_of::<RawOutlet>() == 32
);

/// An outlet of Python's, held open.
struct Handle {
    _capsule: Py<PyCapsule>,
    this: *mut c_void,
    send: unsafe extern "C" fn(*mut c_void, *const RawOutgoing, u64) -> i32,
    collect: unsafe extern "C" fn(*mut c_void, i32, *mut RawFate, usize) -> usize,
}

// SAFETY: csrc/outlet.h lets any thread call both functions, `collect` by one
// at a time, which `Collector` sees to; a capsule is safe to send.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// The sending end, for the portal's thread.
pub struct Sender(Arc<Handle>);

impl Outlet for Sender {
    fn send(&self, record: &Outgoing<'_>, id: u64) -> Result<(), NotTaken> {
        let raw = RawOutgoing {
            key: record.key.as_ptr(),
            key_len: record.key.len(),
            payload: record.payload.as_ptr(), // never NULL, also where it is empty
            payload_len: record.payload.len(),
            headers: record.headers.as_ptr(),
            headers_len: record.headers.len(),
            timestamp_ms: record.timestamp_ms,
        };
        // SAFETY: the capsule keeps `this`; the slices outlive the call, which copies them.
        let code = unsafe { (self.0.send)(self.0.this, &raw, id) };
        if code == 0 { Ok(()) } else { Err(NotTaken) }
    }
}

/// A thread that passes on what becomes of records.
pub struct Collector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn start(handle: Arc<Handle>, fates: Fates) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("flurry-fates".to_owned())
            .spawn(move || {
                let mut raw = vec![RawFate::default(); ROOM];
                while !stopped.load(Ordering::Relaxed) {
                    // SAFETY: `raw` has room for so many; only this thread collects.
                    let count = unsafe {
                        (handle.collect)(handle.this, WAIT_MS, raw.as_mut_ptr(), raw.len())
                    };
                    let batch: Vec<Fate> = raw.iter().take(count).map(fate).collect();
                    if !batch.is_empty() && fates.send(batch).is_err() {
                        // The server has ended; nobody is told any more.
                        continue;
                    }
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Returns when the thread has ended.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop();
    }
}

fn fate(raw: &RawFate) -> Fate {
    Fate {
        id: raw.id,
        stored: (raw.error == 0).then_some(Place {
            partition: raw.partition,
            offset: raw.offset,
            append_ms: (raw.append_ms >= 0).then_some(raw.append_ms),
        }),
    }
}

/// Both ends of a Python object's outlet (`__ff_outlet__`). Raises `TypeError`
/// where it has none, `ValueError` for a closed one or another layout.
pub fn open(object: &Bound<'_, PyAny>, fates: Fates) -> PyResult<(Sender, Collector)> {
    let Ok(method) = object.getattr("__ff_outlet__") else {
        return Err(PyTypeError::new_err(
            "expected an outlet (no __ff_outlet__)",
        ));
    };
    let capsule = method.call0()?.cast_into::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(CAPSULE))?.cast::<RawOutlet>();
    // SAFETY: a capsule of this name holds an ff_outlet, constant until the
    // capsule is dropped (csrc/outlet.pyx); `abi` is its first field in any version.
    let raw = unsafe { pointer.as_ref() };
    if raw.abi != ABI {
        return Err(PyValueError::new_err(format!(
            "the outlet has layout {}, this module reads {ABI}: rebuild the package",
            raw.abi
        )));
    }
    let handle = Arc::new(Handle {
        this: raw.this,
        send: raw.send,
        collect: raw.collect,
        _capsule: capsule.unbind(),
    });
    let collector = Collector::start(handle.clone(), fates)?;
    Ok((Sender(handle), collector))
}
