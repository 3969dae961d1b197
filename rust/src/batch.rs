//! A batch of records, as csrc/batch.h lays it out, read as `Record`s. This is
//! the one place where memory of another owner enters Rust.

use std::borrow::Cow;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

use flurry_core::engine::sink::Record;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

const CAPSULE: &CStr = c"flurry_fast.batch.v1";
const ABI: u32 = 1;

#[repr(C)]
struct RawRecord {
    payload: *const u8,
    payload_len: usize,
    key: *const u8,
    key_len: usize,
    headers: *const u8,
    headers_len: usize,
    offset: i64,
    timestamp_ms: i64,
    partition: i32,
    reserved: i32,
}

#[repr(C)]
struct RawBatch {
    abi: u32,
    reserved: u32,
    count: usize,
    records: *const RawRecord,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<RawRecord>() == 72 && size_of::<RawBatch>() == 24);

/// A Python batch, held open: its memory stays as long as this value, so that
/// its records can be read while the GIL is released.
pub struct Batch {
    /// The batch refuses to release its memory while this capsule lives.
    _capsule: Py<PyCapsule>,
    records: Option<NonNull<RawRecord>>,
    count: usize,
}

// SAFETY: the records are constant for the life of the capsule, which is
// itself safe to send (`Py`); nothing here is tied to a thread.
unsafe impl Send for Batch {}
// SAFETY: as above; `&Batch` only reads.
unsafe impl Sync for Batch {}

impl Batch {
    /// Asks a Python object for its batch (`__ff_batch__`). Raises `TypeError`
    /// where it has none, and what the method itself raises (`ValueError` for
    /// a released batch).
    pub fn from_py(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Ok(method) = object.getattr("__ff_batch__") else {
            return Err(PyTypeError::new_err("expected a batch (no __ff_batch__)"));
        };
        let capsule = method.call0()?.cast_into::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(CAPSULE))?.cast::<RawBatch>();
        // SAFETY: a capsule of this name holds an ff_batch, constant until the
        // capsule is dropped (csrc/batch.pyx); `abi` is its first field in any version.
        let raw = unsafe { pointer.as_ref() };
        if raw.abi != ABI {
            return Err(PyValueError::new_err(format!(
                "the batch has layout {}, this module reads {ABI}: rebuild the package",
                raw.abi
            )));
        }
        let records = NonNull::new(raw.records.cast_mut());
        if records.is_none() && raw.count != 0 {
            return Err(PyValueError::new_err("the batch has no records"));
        }
        let count = raw.count;
        Ok(Self {
            _capsule: capsule.unbind(),
            records,
            count,
        })
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// The records in order.
    pub fn records(&self) -> Records<'_> {
        let raw = match self.records {
            // SAFETY: `count` records lie there as long as the capsule lives,
            // and the borrow of `self` keeps the capsule.
            Some(start) => unsafe { slice::from_raw_parts(start.as_ptr(), self.count) },
            None => &[],
        };
        Records {
            raw: raw.iter(),
            batch: PhantomData,
        }
    }
}

/// The records of a [`Batch`], borrowed from it.
#[derive(Clone)]
pub struct Records<'a> {
    raw: slice::Iter<'a, RawRecord>,
    batch: PhantomData<&'a Batch>,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        let raw = self.raw.next()?;
        // SAFETY: every pointer of a record is NULL or has its length behind
        // it, constant as long as the batch, which 'a borrows (csrc/batch.h).
        unsafe {
            Some(Record {
                partition: raw.partition,
                offset: raw.offset,
                timestamp_ms: raw.timestamp_ms,
                key: bytes(raw.key, raw.key_len),
                headers: bytes(raw.headers, raw.headers_len),
                payload: bytes(raw.payload, raw.payload_len).unwrap_or_default(),
            })
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.raw.size_hint()
    }
}

impl ExactSizeIterator for Records<'_> {}

/// # Safety
/// `start` is NULL, or `len` bytes lie there, constant for `'a`.
#[inline]
unsafe fn bytes<'a>(start: *const u8, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: as the caller promises; lengths of memory in a process fit isize.
    Some(unsafe { slice::from_raw_parts(start, len) })
}

/// What Rust reads of a batch, for the tests that compare it with what was
/// put in: (partition, offset, timestamp, key, headers, payload) a record.
#[pyfunction]
#[pyo3(signature = (batch, /))]
fn _batch_rows(py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<Vec<Row>> {
    let batch = Batch::from_py(batch)?;
    Ok(py.detach(|| {
        let mut rows = Vec::with_capacity(batch.len());
        rows.extend(batch.records().map(|record| {
            (
                record.partition,
                record.offset,
                record.timestamp_ms,
                record.key.map(copied),
                record.headers.map(copied),
                copied(record.payload),
            )
        }));
        rows
    }))
}

type Bytes = Option<Cow<'static, [u8]>>;
type Row = (i32, i64, i64, Bytes, Bytes, Cow<'static, [u8]>);

fn copied(bytes: &[u8]) -> Cow<'static, [u8]> {
    Cow::Owned(bytes.to_vec())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_batch_rows, module)?)
}
