//! What the engine hands to Python: reads to do, cells to write, where it stands.

use arrow_array::{Array, BinaryArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use flurry_core::engine::{self, Column};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::arrow_ffi::PyArrowArray;

/// What must be read before the batch can be counted whole.
#[pyclass(name = "Needs", module = "flurry_fast._core", frozen)]
pub struct PyNeeds {
    pub groups: Vec<Py<PyNeedGroup>>,
}

#[pymethods]
impl PyNeeds {
    #[getter]
    fn groups(&self, py: Python<'_>) -> Vec<Py<PyNeedGroup>> {
        self.groups
            .iter()
            .map(|group| group.clone_ref(py))
            .collect()
    }
}

/// One read: rows of one table, in one column.
#[pyclass(name = "NeedGroup", module = "flurry_fast._core", frozen)]
pub struct PyNeedGroup {
    pub index: usize,
    pub need: engine::NeedGroup,
}

#[pymethods]
impl PyNeedGroup {
    #[getter]
    fn table(&self) -> &str {
        &self.need.table
    }

    #[getter]
    fn partition(&self) -> i32 {
        self.need.partition
    }

    #[getter]
    fn qualifier(&self) -> &[u8] {
        &self.need.qualifier
    }

    #[getter]
    fn rows(&self) -> PyResult<PyArrowArray> {
        Ok(binary(self.need.rows.clone())?.into())
    }
}

#[pyclass(name = "PartitionStop", module = "flurry_fast._core", frozen, get_all)]
pub struct PyPartitionStop {
    pub partition: i32,
    pub kind: &'static str,
    pub detail: String,
}

/// What one flush writes.
#[pyclass(name = "Flush", module = "flurry_fast._core", frozen)]
pub struct PyFlush {
    #[pyo3(get)]
    pub id: u64,
    parts: Vec<Py<PyFlushPart>>,
    positions: Vec<Py<PyFlushPosition>>,
}

impl PyFlush {
    pub fn new(py: Python<'_>, flush: engine::Flush) -> PyResult<Self> {
        let parts = flush.parts.into_iter().map(|part| {
            let part = PyFlushPart {
                count: part.rows.len(),
                bytes: part.rows.bytes.len() + part.values.bytes.len(),
                table: part.table,
                partition: part.partition,
                qualifier: part.qualifier,
                timestamp: part.timestamp,
                rows: binary(part.rows)?,
                values: binary(part.values)?,
            };
            Py::new(py, part)
        });
        let positions = flush.positions.into_iter().map(|moved| {
            let position = PyFlushPosition {
                partition: moved.partition,
                position: moved.position.position,
                max_bucket: moved.position.max_bucket,
                crc: moved.position.crc,
                max_timestamp: moved.position.max_timestamp,
            };
            Py::new(py, position)
        });
        Ok(Self {
            id: flush.id,
            parts: parts.collect::<PyResult<_>>()?,
            positions: positions.collect::<PyResult<_>>()?,
        })
    }
}

#[pymethods]
impl PyFlush {
    #[getter]
    fn parts(&self, py: Python<'_>) -> Vec<Py<PyFlushPart>> {
        self.parts.iter().map(|part| part.clone_ref(py)).collect()
    }

    #[getter]
    fn positions(&self, py: Python<'_>) -> Vec<Py<PyFlushPosition>> {
        let positions = self.positions.iter();
        positions.map(|position| position.clone_ref(py)).collect()
    }
}

/// Cells of one table, column and timestamp.
#[pyclass(name = "FlushPart", module = "flurry_fast._core", frozen)]
pub struct PyFlushPart {
    #[pyo3(get)]
    table: String,
    #[pyo3(get)]
    partition: i32,
    qualifier: [u8; 10],
    #[pyo3(get)]
    timestamp: i64,
    #[pyo3(get)]
    count: usize,
    #[pyo3(get)]
    bytes: usize,
    rows: ArrayData,
    values: ArrayData,
}

#[pymethods]
impl PyFlushPart {
    #[getter]
    fn qualifier(&self) -> &[u8] {
        &self.qualifier
    }

    #[getter]
    fn rows(&self) -> PyArrowArray {
        self.rows.clone().into()
    }

    #[getter]
    fn values(&self) -> PyArrowArray {
        self.values.clone().into()
    }
}

#[pyclass(name = "FlushPosition", module = "flurry_fast._core", frozen, get_all)]
pub struct PyFlushPosition {
    partition: i32,
    position: i64,
    max_bucket: Option<i64>,
    crc: Option<u32>,
    max_timestamp: i64,
}

#[pyclass(name = "PartitionState", module = "flurry_fast._core", frozen, get_all)]
pub struct PyPartitionState {
    partition: i32,
    next_offset: i64,
    stopped: bool,
    counters_position: Option<i64>,
    counters_durable: Option<i64>,
    counters_dirty: bool,
    known_sessions: usize,
    dirty_blocks: usize,
    counters_unwritten: bool,
    oldest_unflushed_ms: Option<i64>,
    archive_start: Option<i64>,
    archive_next: Option<i64>,
    archive_rows: u64,
    archive_bytes: usize,
    archive_wire_bytes: u64,
    archive_oldest_ms: Option<i64>,
}

impl PyPartitionState {
    pub fn new(
        state: engine::PartitionState,
        archive: Option<(flurry_core::archive::Summary, usize)>,
    ) -> Self {
        let (summary, bytes) = match archive {
            Some((summary, bytes)) => (Some(summary), bytes),
            None => (None, 0),
        };
        let (position, durable) = state.counters.unzip();
        Self {
            partition: state.partition,
            next_offset: state.next,
            stopped: state.stopped,
            counters_position: position,
            counters_durable: durable,
            counters_dirty: position != durable,
            known_sessions: state.known_sessions,
            dirty_blocks: state.dirty_blocks,
            counters_unwritten: state.unwritten,
            oldest_unflushed_ms: state.oldest_unflushed_ms,
            archive_start: summary.as_ref().map(|s| s.start),
            archive_next: state.archive_next,
            archive_rows: summary.as_ref().map_or(0, |s| s.rows),
            archive_bytes: bytes,
            archive_wire_bytes: summary.as_ref().map_or(0, |s| s.wire_bytes),
            archive_oldest_ms: summary.and_then(|s| s.timestamps).map(|(least, _)| least),
        }
    }
}

/// A column as Arrow, without a copy.
pub fn binary(column: Column) -> PyResult<ArrayData> {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(column.offsets));
    BinaryArray::try_new(offsets, Buffer::from_vec(column.bytes), None)
        .map(|array| array.into_data())
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyNeeds>()?;
    module.add_class::<PyNeedGroup>()?;
    module.add_class::<PyPartitionStop>()?;
    module.add_class::<PyFlush>()?;
    module.add_class::<PyFlushPart>()?;
    module.add_class::<PyFlushPosition>()?;
    module.add_class::<PyPartitionState>()
}
