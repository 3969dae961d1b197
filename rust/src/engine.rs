//! The engine for Python. The GIL is released for whatever takes longer than a
//! look; a lock keeps threads apart, and is only ever waited for without the GIL.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, Int64Array, make_array};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use flurry_core::archive::ArchiveBuilder;
use flurry_core::engine::{self, EngineError};
use flurry_core::identity::Fingerprints;
use flurry_core::reason::Reason;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::archive::PyArchiveChunk;
use crate::arrow_ffi::{PyArrowArray, import_array};
use crate::batch::Batch;
use crate::blocks::Cells;
use crate::engine_values::{
    PyFlush, PyNeedGroup, PyNeeds, PyPartitionState, PyPartitionStop, binary,
};
use crate::past::PastRows;
use crate::plan::PyPlan;

pyo3::create_exception!(
    flurry_fast,
    EngineMisuse,
    PyRuntimeError,
    "The engine was called in the wrong order; nothing was changed."
);
pyo3::create_exception!(
    flurry_fast,
    CellCorrupt,
    PyValueError,
    "A stored cell that no engine wrote; `partition` (None for readers), `row` and `reason` say which and why."
);

pub type Core = engine::Engine<ArchiveBuilder>;

/// Any object with these attributes, such as `flurry_fast.positions`' classes.
#[derive(FromPyObject)]
struct CountersArgument {
    position: i64,
    max_bucket: Option<i64>,
    crc: Option<u32>,
    max_timestamp: i64,
}

#[derive(FromPyObject)]
struct ArchiveArgument {
    position: i64,
    crc: Option<u32>,
}

impl From<CountersArgument> for engine::CountersPosition {
    fn from(from: CountersArgument) -> Self {
        Self {
            position: from.position,
            max_bucket: from.max_bucket,
            crc: from.crc,
            max_timestamp: from.max_timestamp,
        }
    }
}

impl From<ArchiveArgument> for engine::ArchivePosition {
    fn from(from: ArchiveArgument) -> Self {
        Self {
            position: from.position,
            crc: from.crc,
        }
    }
}

#[pyclass(name = "Engine", module = "flurry_fast._core", frozen)]
struct PyEngine {
    core: Mutex<Core>,
    counters: bool,
    archive: bool,
}

impl PyEngine {
    /// Runs `work` with the engine, without the GIL.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Core) -> T + Send,
    ) -> PyResult<T> {
        py.detach(|| {
            // After a panic nobody knows what was counted: a crash is always legal.
            let poisoned = |_: PoisonError<MutexGuard<'_, Core>>| {
                PyRuntimeError::new_err("the engine is unusable after a panic")
            };
            let mut core = self.core.lock().map_err(poisoned)?;
            Ok(work(&mut core))
        })
    }

    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Core) -> Result<T, EngineError> + Send,
    ) -> PyResult<T> {
        self.with(py, work)?.map_err(|error| raised(py, error))
    }
}

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (plan, *, incarnation, secret, counters = true, archive = true))]
    fn new(
        plan: &PyPlan,
        incarnation: u32,
        secret: &[u8],
        counters: bool,
        archive: bool,
    ) -> PyResult<Self> {
        let secret: [u8; 16] = secret
            .try_into()
            .map_err(|_| PyValueError::new_err("secret must be 16 bytes"))?;
        if !plan.plan.is_current() {
            return Err(PyValueError::new_err(
                "this version counts by other rules than those of the plan's id",
            ));
        }
        let fingerprints = Fingerprints::new(&secret);
        let open =
            move |_partition: i32, position: i64| ArchiveBuilder::new(fingerprints, position);
        Ok(Self {
            core: Mutex::new(Core::new(
                plan.plan.clone(),
                incarnation,
                fingerprints,
                Box::new(open),
            )),
            counters,
            archive,
        })
    }

    #[pyo3(signature = (partition, *, log_start, counters, archive, read_from, recall_from = None))]
    #[allow(clippy::too_many_arguments)]
    fn assign(
        &self,
        py: Python<'_>,
        partition: i32,
        log_start: i64,
        counters: Option<CountersArgument>,
        archive: Option<ArchiveArgument>,
        read_from: i64,
        recall_from: Option<i64>,
    ) -> PyResult<()> {
        let counters = counters.filter(|_| self.counters).map(Into::into);
        let archive = archive.filter(|_| self.archive).map(Into::into);
        self.run(py, |core| {
            core.assign(
                partition,
                log_start,
                counters,
                archive,
                read_from,
                recall_from,
            )
        })
    }

    #[pyo3(signature = (max_timestamp, /))]
    fn recall_since(&self, py: Python<'_>, max_timestamp: i64) -> PyResult<Option<i64>> {
        self.with(py, |core| core.recall_since(max_timestamp))
    }

    #[pyo3(signature = (partition, rows))]
    fn recall(&self, py: Python<'_>, partition: i32, rows: &Bound<'_, PyAny>) -> PyResult<i64> {
        let rows = PastRows::new(import_array(rows, false)?)?;
        self.run(py, |core| rows.recall(core, partition))
    }

    #[pyo3(signature = (partition, offset))]
    fn rewind(&self, py: Python<'_>, partition: i32, offset: i64) -> PyResult<()> {
        self.run(py, |core| core.rewind(partition, offset))
    }

    #[pyo3(signature = (partition))]
    fn drop(&self, py: Python<'_>, partition: i32) -> PyResult<()> {
        self.with(py, |core| core.drop_partition(partition))
    }

    #[pyo3(signature = (batch))]
    fn absorb(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<Option<PyNeeds>> {
        let batch = Batch::from_py(batch)?;
        let needs = self.run(py, |core| {
            core.absorb(batch.records())?;
            Ok(core.needs().to_vec())
        })?;
        let groups = (0..)
            .zip(needs)
            .map(|(index, need)| PyNeedGroup { index, need });
        let groups: Vec<_> = groups
            .map(|group| Py::new(py, group))
            .collect::<PyResult<_>>()?;
        Ok((!groups.is_empty()).then_some(PyNeeds { groups }))
    }

    #[pyo3(signature = (group, indices, timestamps, values, log_end))]
    fn seed(
        &self,
        py: Python<'_>,
        group: &PyNeedGroup,
        indices: &Bound<'_, PyAny>,
        timestamps: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        log_end: i64,
    ) -> PyResult<()> {
        let indices = numbers(import_array(indices, true)?, &DataType::Int32)?;
        let timestamps = numbers(import_array(timestamps, true)?, &DataType::Int64)?;
        let values = Cells::new(import_array(values, true)?)?;
        if indices.len() != values.len() || timestamps.len() != values.len() {
            return Err(PyValueError::new_err(
                "indices, timestamps and values differ in number",
            ));
        }
        self.run(py, |core| {
            let at = group.index;
            // A group of an earlier batch must not be taken for one of this.
            if core.needs().get(at) != Some(&group.need) {
                return Err(EngineError::Misuse(
                    "seed: no such group is open".to_owned(),
                ));
            }
            let indices = indices.as_primitive::<Int32Type>();
            let timestamps = timestamps.as_primitive::<Int64Type>();
            let cells = (0..values.len()).map(|row| engine::Cell {
                index: usize::try_from(indices.value(row)).unwrap_or(usize::MAX),
                timestamp: timestamps.value(row),
                value: values.get(row),
            });
            core.seed(at, cells, log_end)
        })
    }

    #[pyo3(signature = (batch))]
    fn resume(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<()> {
        let batch = Batch::from_py(batch)?;
        self.run(py, |core| core.resume(batch.records()))
    }

    fn stopped(&self, py: Python<'_>) -> PyResult<Vec<PyPartitionStop>> {
        let stops = self.with(py, Core::take_stops)?;
        let stops = stops.into_iter().map(|stop| PyPartitionStop {
            partition: stop.partition,
            kind: stop.kind.name(),
            detail: stop.detail,
        });
        Ok(stops.collect())
    }

    #[pyo3(signature = (partitions))]
    fn freeze(&self, py: Python<'_>, partitions: Option<Vec<i32>>) -> PyResult<Option<PyFlush>> {
        let flush = self.run(py, |core| core.freeze(partitions.as_deref()))?;
        flush.map(|flush| PyFlush::new(py, flush)).transpose()
    }

    #[pyo3(signature = (flush))]
    fn acknowledge(&self, py: Python<'_>, flush: &PyFlush) -> PyResult<()> {
        let id = flush.id;
        self.run(py, |core| core.acknowledge(id))
    }

    #[pyo3(signature = (flush))]
    fn abandon(&self, py: Python<'_>, flush: &PyFlush) -> PyResult<()> {
        let id = flush.id;
        self.run(py, |core| core.abandon(id))
    }

    #[pyo3(signature = (target_bytes))]
    fn evict(&self, py: Python<'_>, target_bytes: usize) -> PyResult<usize> {
        self.run(py, |core| core.evict(target_bytes))
    }

    #[pyo3(signature = (partition))]
    fn archive_take(&self, py: Python<'_>, partition: i32) -> PyResult<Option<PyArchiveChunk>> {
        let taken = self.with(py, |core| match core.archive_sink(partition) {
            Some(builder) => builder.take(),
            None => None,
        })?;
        Ok(taken.map(|chunk| PyArchiveChunk::new(partition, chunk)))
    }

    #[pyo3(signature = (partition, position))]
    fn archive_reset(
        &self,
        py: Python<'_>,
        partition: i32,
        position: ArchiveArgument,
    ) -> PyResult<()> {
        let position = position.into();
        self.run(py, |core| core.archive_reset(partition, position))
    }

    #[pyo3(signature = (partition, position, *, recall_from = None))]
    fn counters_shed(
        &self,
        py: Python<'_>,
        partition: i32,
        position: CountersArgument,
        recall_from: Option<i64>,
    ) -> PyResult<()> {
        let position = position.into();
        self.run(py, |core| {
            core.counters_shed(partition, position, recall_from)
        })
    }

    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (memory, count) = self.with(py, |core| (core.memory(), core.block_count()))?;
        let dict = PyDict::new(py);
        dict.set_item("blocks", memory.blocks)?;
        dict.set_item("archive", memory.archive)?;
        dict.set_item("dedup", memory.dedup)?;
        dict.set_item("passed", memory.passed)?;
        dict.set_item("gone", memory.gone)?;
        // The scratch space of a batch lives no longer than its call.
        dict.set_item("scratch", 0)?;
        dict.set_item("dirty", memory.dirty)?;
        dict.set_item("dirty_blocks", memory.dirty_blocks)?;
        dict.set_item("unwritten", usize::from(memory.unwritten))?;
        dict.set_item("block_count", count)?;
        Ok(dict)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, blocks, groups) = self.with(py, |core| {
            (core.stats(), core.block_count(), core.group_count())
        })?;
        let dict = PyDict::new(py);
        for (name, total) in stats.totals() {
            dict.set_item(name, total)?;
        }
        dict.set_item("blocks", blocks)?;
        dict.set_item("groups", groups)?;
        let unreadable = PyDict::new(py);
        for reason in Reason::ALL {
            let count = stats.unreadable.get(*reason as usize).copied().unwrap_or(0);
            unreadable.set_item(reason.name(), count)?;
        }
        dict.set_item("unreadable", unreadable)?;
        Ok(dict)
    }

    fn partitions(&self, py: Python<'_>) -> PyResult<Vec<PyPartitionState>> {
        self.with(py, |core| {
            let states = core.partitions();
            let states = states.into_iter().map(|state| {
                let summary = core
                    .archive_sink(state.partition)
                    .map(|builder| (builder.summary().clone(), builder.memory()));
                PyPartitionState::new(state, summary)
            });
            states.collect()
        })
    }

    #[pyo3(signature = (partition, row, end = None, last_crc = None))]
    fn peek_block<'py>(
        &self,
        py: Python<'py>,
        partition: i32,
        row: &[u8],
        end: Option<i64>,
        last_crc: Option<u32>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let end = match (end, last_crc) {
            (Some(end), Some(crc)) => Some((end, crc)),
            (None, None) => None,
            _ => return Err(PyValueError::new_err("end and last_crc go together")),
        };
        let value = self.run(py, |core| core.peek_block(partition, row, end))?;
        Ok(value.map(|value| PyBytes::new(py, &value)))
    }

    #[pyo3(signature = (partition))]
    fn touched(&self, py: Python<'_>, partition: i32) -> PyResult<(PyArrowArray, PyArrowArray)> {
        let (rows, offsets) = self.with(py, |core| core.touched(partition))?;
        let offsets = Int64Array::from(offsets).into_data();
        Ok((binary(rows)?.into(), offsets.into()))
    }
}

fn numbers(data: ArrayData, wanted: &DataType) -> PyResult<arrow_array::ArrayRef> {
    if data.data_type() != wanted || data.null_count() > 0 {
        return Err(PyTypeError::new_err(format!(
            "expected a column of {wanted} without nulls, not {}",
            data.data_type()
        )));
    }
    Ok(make_array(data))
}

#[cold]
fn raised(py: Python<'_>, error: EngineError) -> PyErr {
    match error {
        EngineError::Misuse(reason) => EngineMisuse::new_err(reason),
        EngineError::CellCorrupt {
            partition,
            row,
            reason,
        } => corrupt(py, Some(partition), &row, &reason),
        EngineError::TableFull => PyRuntimeError::new_err(error.to_string()),
    }
}

/// `CellCorrupt` with its attributes.
#[cold]
pub fn corrupt(py: Python<'_>, partition: Option<i32>, row: &[u8], reason: &str) -> PyErr {
    let place = partition.map_or(String::new(), |number| format!(" of partition {number}"));
    let raised = CellCorrupt::new_err(format!(
        "the stored cell of row {}{place} is corrupt: {reason}",
        row.escape_ascii()
    ));
    let value = raised.value(py);
    let attributes = value
        .setattr("partition", partition)
        .and_then(|()| value.setattr("row", PyBytes::new(py, row)))
        .and_then(|()| value.setattr("reason", reason));
    match attributes {
        Ok(()) => raised,
        Err(failure) => failure,
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("EngineMisuse", py.get_type::<EngineMisuse>())?;
    module.add("CellCorrupt", py.get_type::<CellCorrupt>())?;
    module.add_class::<PyEngine>()
}
