//! Archive chunks to Python, and rows read back from files to payloads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use arrow_array::{RecordBatch, StructArray};
use flurry_core::archive::file::ParquetFile;
use flurry_core::archive::restore::{Restored, restore};
use flurry_core::archive::schema::{SCHEMA, SCHEMA_VERSION};
use flurry_core::archive::{ArchiveBuilder, ArchiveChunk, RowChecksum};
use flurry_core::crc::crc32c;
use flurry_core::engine::sink::ReportSink;
use flurry_core::identity::Fingerprints;
use flurry_core::parquet::ParquetError;
use flurry_core::report::Report;
use flurry_core::wire::{self, Limits};
use pyo3::create_exception;
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrow_ffi::{PyArrowArray, import_array};
use crate::batch::Batch;

create_exception!(
    flurry_fast._core,
    RestoreError,
    PyValueError,
    "Archive rows do not give the bytes that were archived."
);

/// Rows of one partition that are ready to become one file.
#[pyclass(name = "ArchiveChunk", module = "flurry_fast._core", frozen)]
pub struct PyArchiveChunk {
    partition: i32,
    chunk: ArchiveChunk,
    /// Bytes of the row group that was encoded last and is being written.
    encoded: AtomicUsize,
}

impl PyArchiveChunk {
    pub fn new(partition: i32, chunk: ArchiveChunk) -> Self {
        Self {
            partition,
            chunk,
            encoded: AtomicUsize::new(0),
        }
    }
}

#[pymethods]
impl PyArchiveChunk {
    #[getter]
    fn partition(&self) -> i32 {
        self.partition
    }

    #[getter]
    fn start(&self) -> i64 {
        self.chunk.summary.start
    }

    #[getter]
    fn end(&self) -> i64 {
        self.chunk.summary.end
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.chunk.summary.rows
    }

    #[getter]
    fn wire_bytes(&self) -> u64 {
        self.chunk.summary.wire_bytes
    }

    #[getter]
    fn min_timestamp(&self) -> Option<i64> {
        self.chunk.summary.timestamps.map(|(least, _)| least)
    }

    #[getter]
    fn max_timestamp(&self) -> Option<i64> {
        self.chunk.summary.timestamps.map(|(_, most)| most)
    }

    #[getter]
    fn min_event_ms(&self) -> Option<i64> {
        self.chunk.summary.event_times.map(|(least, _)| least)
    }

    #[getter]
    fn max_event_ms(&self) -> Option<i64> {
        self.chunk.summary.event_times.map(|(_, most)| most)
    }

    #[getter]
    fn last_crc(&self) -> Option<u32> {
        self.chunk.summary.last_crc
    }

    #[getter]
    fn checksum(&self) -> String {
        self.chunk.summary.checksum.hex()
    }

    #[getter]
    fn memory(&self) -> usize {
        self.chunk.memory + self.encoded.load(Ordering::Relaxed)
    }

    /// How many row groups its file has.
    #[getter]
    fn row_groups(&self) -> usize {
        self.chunk.groups.len()
    }

    /// The rows as Arrow, one batch a row group of the file; made anew each time.
    #[getter]
    fn batches(&self, py: Python<'_>) -> PyResult<Vec<PyArrowArray>> {
        let batches = py.detach(|| self.chunk.batches());
        let batches = batches.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(batches.into_iter().map(PyArrowArray::from).collect())
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.chunk.summary.rows).unwrap_or(usize::MAX)
    }
}

/// The columns of the archive, as an empty record batch.
#[pyfunction]
fn archive_schema() -> PyArrowArray {
    RecordBatch::new_empty(SCHEMA.clone()).into()
}

/// Decodes the records of a batch and gathers them as the archive's rows, as the
/// engine does: for tests, benchmarks and replays without an engine.
#[pyfunction]
#[pyo3(signature = (batch, /, *, secret, position))]
fn archive_batch(
    py: Python<'_>,
    batch: &Bound<'_, PyAny>,
    secret: [u8; 16],
    position: i64,
) -> PyResult<Option<PyArchiveChunk>> {
    let batch = Batch::from_py(batch)?;
    let taken = py.detach(|| {
        let limits = Limits::default();
        let mut builder = ArchiveBuilder::new(Fingerprints::new(&secret), position);
        let mut report = Report::default();
        let mut partition = 0;
        for record in batch.records() {
            partition = record.partition;
            let outcome = wire::decode(record.payload, &limits, &mut report);
            let crc = crc32c(record.payload);
            builder.append(&record, outcome.map(|()| &report), crc);
        }
        (partition, builder.take())
    });
    let (partition, chunk) = taken;
    Ok(chunk.map(|chunk| PyArchiveChunk::new(partition, chunk)))
}

/// Encodes archive chunks as one Parquet file, a row group at a time.
#[pyclass(name = "ParquetEncoder", module = "flurry_fast._core", frozen)]
struct PyParquetEncoder(Mutex<Option<ParquetFile>>);

fn parquet_error(error: ParquetError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

impl PyParquetEncoder {
    fn open(&self) -> MutexGuard<'_, Option<ParquetFile>> {
        // A panic inside leaves a file that ends nowhere: nobody can go on with it.
        self.0.lock().unwrap_or_else(|poisoned| {
            let mut file = poisoned.into_inner();
            *file = None;
            file
        })
    }
}

fn finished() -> PyErr {
    PyValueError::new_err("the file is finished")
}

#[pymethods]
impl PyParquetEncoder {
    #[new]
    #[pyo3(signature = (compression_level))]
    fn new(compression_level: i32) -> PyResult<Self> {
        let file = ParquetFile::new(compression_level).map_err(parquet_error)?;
        Ok(Self(Mutex::new(Some(file))))
    }

    /// The first bytes of the file.
    fn start<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let start = self.open().as_ref().map(ParquetFile::start);
        Ok(PyBytes::new(py, start.ok_or_else(finished)?))
    }

    /// The bytes of a row group, in pieces, encoded without the interpreter lock.
    #[pyo3(signature = (chunk, number, /))]
    fn row_group<'py>(
        &self,
        py: Python<'py>,
        chunk: &Bound<'py, PyArchiveChunk>,
        number: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let chunk = chunk.get();
        chunk.encoded.store(0, Ordering::Relaxed);
        let pieces = py.detach(|| {
            let mut open = self.open();
            open.as_mut()
                .map(|file| file.row_group(&chunk.chunk, number))
        });
        let pieces = pieces.ok_or_else(finished)?.map_err(parquet_error)?;
        let pieces = pieces.ok_or_else(|| PyIndexError::new_err("no such row group"))?;
        let held = pieces.iter().map(Vec::len).sum();
        chunk.encoded.store(held, Ordering::Relaxed);
        // Each piece goes as soon as it is copied.
        let pieces = pieces.into_iter().map(|piece| PyBytes::new(py, &piece));
        Ok(pieces.collect())
    }

    /// The last bytes of the file; nothing can be added behind them.
    #[pyo3(signature = (metadata, /, *, created_by))]
    fn finish<'py>(
        &self,
        py: Python<'py>,
        metadata: Vec<(String, String)>,
        created_by: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let file = self.open().take().ok_or_else(finished)?;
        let bytes = py.detach(|| file.finish(&metadata, created_by));
        Ok(PyBytes::new(py, &bytes))
    }
}

/// Running checksum over (offset, CRC-32C) of rows.
#[pyclass(name = "RowChecksum", module = "flurry_fast._core")]
#[derive(Clone, Default)]
struct PyRowChecksum(RowChecksum);

#[pymethods]
impl PyRowChecksum {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// SHA-256 of what it has seen, in hexadecimal.
    fn hexdigest(&self) -> String {
        self.0.hex()
    }
}

/// Payloads of archive rows, laid out for `_wire.Batch.from_buffers`.
#[pyclass(name = "RestoredRows", module = "flurry_fast._core", frozen)]
struct PyRestored {
    #[pyo3(get)]
    payload: Py<PyBytes>,
    #[pyo3(get)]
    payload_offsets: Py<PyBytes>,
    #[pyo3(get)]
    offsets: Py<PyBytes>,
    #[pyo3(get)]
    timestamps: Py<PyBytes>,
    #[pyo3(get)]
    keys: Py<PyBytes>,
    #[pyo3(get)]
    key_offsets: Py<PyBytes>,
    #[pyo3(get)]
    last_crc: Option<u32>,
    #[pyo3(get)]
    raw_rows: u64,
    rows: usize,
}

#[pymethods]
impl PyRestored {
    fn __len__(&self) -> usize {
        self.rows
    }
}

fn column(py: Python<'_>, numbers: &[i64]) -> Py<PyBytes> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
    PyBytes::new(py, &bytes).unbind()
}

/// The payloads that the rows of a record batch were made from, each checked
/// against its CRC-32C.
#[pyfunction]
#[pyo3(signature = (batch, /, checksum=None))]
fn restore_batch(
    py: Python<'_>,
    batch: &Bound<'_, PyAny>,
    checksum: Option<&Bound<'_, PyRowChecksum>>,
) -> PyResult<PyRestored> {
    let data = import_array(batch, false)?;
    if !matches!(data.data_type(), arrow_schema::DataType::Struct(_)) || data.null_count() > 0 {
        return Err(PyTypeError::new_err("expected a record batch"));
    }
    let running = checksum.map(|c| c.borrow().0.clone()).unwrap_or_default();
    let restored = py.detach(|| {
        let batch = RecordBatch::from(StructArray::from(data));
        restore(&batch, running)
    });
    let Restored {
        payload,
        payload_offsets,
        offsets,
        timestamps,
        keys,
        key_offsets,
        checksum: running,
        last_crc,
        raw_rows,
    } = restored.map_err(|error| RestoreError::new_err(error.to_string()))?;
    if let Some(checksum) = checksum {
        checksum.borrow_mut().0 = running;
    }
    Ok(PyRestored {
        payload: PyBytes::new(py, &payload).unbind(),
        payload_offsets: column(py, &payload_offsets),
        offsets: column(py, &offsets),
        timestamps: column(py, &timestamps),
        keys: PyBytes::new(py, &keys).unbind(),
        key_offsets: column(py, &key_offsets),
        last_crc,
        raw_rows,
        rows: offsets.len(),
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("ARCHIVE_SCHEMA_VERSION", SCHEMA_VERSION)?;
    module.add("RestoreError", module.py().get_type::<RestoreError>())?;
    module.add_class::<PyArchiveChunk>()?;
    module.add_class::<PyParquetEncoder>()?;
    module.add_class::<PyRowChecksum>()?;
    module.add_class::<PyRestored>()?;
    module.add_function(wrap_pyfunction!(archive_schema, module)?)?;
    module.add_function(wrap_pyfunction!(archive_batch, module)?)?;
    module.add_function(wrap_pyfunction!(restore_batch, module)?)
}
