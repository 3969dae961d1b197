//! Stored blocks for readers: names of rows, and values as Arrow columns.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BooleanArray, RecordBatch, UInt8Array, UInt32Array, make_array,
};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType};
use flurry_core::counters::block::{Decoded, KeyParts};
use flurry_core::counters::row;
use flurry_core::plan::Plan;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrow_ffi::{PyArrowArray, import_array};
use crate::engine::corrupt;
use crate::plan::PyPlan;

#[pyfunction]
#[pyo3(signature = (api_key, bucket, /))]
fn row_key<'py>(py: Python<'py>, api_key: &[u8], bucket: u32) -> PyResult<Bound<'py, PyBytes>> {
    match row::row_key(api_key, bucket) {
        Some(row) => Ok(PyBytes::new(py, &row)),
        None => Err(PyValueError::new_err(
            "an API key has at most 255 bytes, so that a row can name it",
        )),
    }
}

#[pyfunction]
#[pyo3(signature = (row, /))]
fn parse_row<'py>(py: Python<'py>, row: &[u8]) -> PyResult<(Bound<'py, PyBytes>, u32)> {
    match row::parse_row(row) {
        Some((api_key, bucket)) => Ok((PyBytes::new(py, api_key), bucket)),
        None => Err(PyValueError::new_err("not the row key of a block")),
    }
}

#[pyfunction]
#[pyo3(signature = (bucket, /))]
fn table_of(bucket: u32) -> String {
    row::table_of(bucket)
}

#[pyfunction]
#[pyo3(signature = (plan, incarnation, partition, /))]
fn block_qualifier<'py>(
    py: Python<'py>,
    plan: u32,
    incarnation: u32,
    partition: u16,
) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &row::qualifier(plan, incarnation, partition))
}

/// A stored block: what its header says, and its groups as Arrow.
#[pyclass(name = "Block", module = "flurry_fast._core", frozen)]
struct PyBlock {
    #[pyo3(get)]
    api_key: Py<PyBytes>,
    #[pyo3(get)]
    bucket: u32,
    #[pyo3(get)]
    end: i64,
    #[pyo3(get)]
    plan: u32,
    #[pyo3(get)]
    last_crc: u32,
    groups: RecordBatch,
}

#[pymethods]
impl PyBlock {
    #[getter]
    fn groups(&self) -> PyArrowArray {
        self.groups.clone().into()
    }
}

#[pyfunction]
#[pyo3(signature = (plan, row, value, /))]
fn decode_block(py: Python<'_>, plan: &PyPlan, row: &[u8], value: &[u8]) -> PyResult<PyBlock> {
    let (api_key, bucket) =
        row::parse_row(row).ok_or_else(|| PyValueError::new_err("not the row key of a block"))?;
    let mut columns = Columns::default();
    let mut decoded = Decoded::default();
    columns
        .push(&plan.plan, 0, value, &mut decoded)
        .map_err(|reason| corrupt(py, None, row, &reason))?;
    Ok(PyBlock {
        api_key: PyBytes::new(py, api_key).unbind(),
        bucket,
        end: decoded.header.end,
        plan: decoded.header.plan,
        last_crc: decoded.header.last_crc,
        groups: columns.finish().map_err(arrow)?,
    })
}

#[pyfunction]
#[pyo3(signature = (plan, rows, values, /))]
fn decode_blocks(
    py: Python<'_>,
    plan: &PyPlan,
    rows: &Bound<'_, PyAny>,
    values: &Bound<'_, PyAny>,
) -> PyResult<PyArrowArray> {
    let rows = Cells::new(import_array(rows, true)?)?;
    let values = Cells::new(import_array(values, true)?)?;
    if rows.len() != values.len() {
        return Err(PyValueError::new_err("rows and values differ in number"));
    }
    let plan = plan.plan.clone();
    let decoded = py.detach(|| {
        let mut columns = Columns::default();
        let mut decoded = Decoded::default();
        for at in 0..rows.len() {
            let row = rows.get(at);
            let named = row::parse_row(row).ok_or("its row key names no block".to_owned());
            named
                .and_then(|_| columns.push(&plan, at as u32, values.get(at), &mut decoded))
                .map_err(|reason| Failure::Corrupt(row.to_vec(), reason))?;
        }
        columns.finish().map_err(Failure::Arrow)
    });
    match decoded {
        Ok(batch) => Ok(batch.into()),
        Err(Failure::Corrupt(row, reason)) => Err(corrupt(py, None, &row, &reason)),
        Err(Failure::Arrow(error)) => Err(arrow(error)),
    }
}

enum Failure {
    Corrupt(Vec<u8>, String),
    Arrow(ArrowError),
}

fn arrow(error: ArrowError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// Groups of blocks as columns.
#[derive(Default)]
struct Columns {
    row: Vec<u32>,
    rollup: Vec<u8>,
    other: Vec<bool>,
    dimensions: ListBuilder<StringBuilder>,
    measures: ListBuilder<UInt64Builder>,
}

impl Columns {
    fn push(
        &mut self,
        plan: &Plan,
        row: u32,
        value: &[u8],
        decoded: &mut Decoded,
    ) -> Result<(), String> {
        decoded
            .read(plan, value)
            .map_err(|error| error.to_string())?;
        let decoded = &*decoded;
        for section in &decoded.sections {
            let number = plan.rollups.get(section.rollup).map_or(0, |r| r.number);
            for (key, values) in decoded.groups(section) {
                for text in KeyParts::new(key) {
                    self.dimensions.values().append_value(text);
                }
                self.group(row, number, false, values);
            }
            if let Some(values) = decoded.other(section) {
                self.group(row, number, true, values);
            }
        }
        Ok(())
    }

    /// Closes a group; its texts were appended before.
    fn group(&mut self, row: u32, rollup: u8, other: bool, values: &[u64]) {
        self.row.push(row);
        self.rollup.push(rollup);
        self.other.push(other);
        self.dimensions.append(true);
        self.measures.values().append_slice(values);
        self.measures.append(true);
    }

    fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let dimensions: ArrayRef = Arc::new(self.dimensions.finish());
        let measures: ArrayRef = Arc::new(self.measures.finish());
        RecordBatch::try_from_iter([
            ("row", Arc::new(UInt32Array::from(self.row)) as ArrayRef),
            ("rollup", Arc::new(UInt8Array::from(self.rollup))),
            ("other", Arc::new(BooleanArray::from(self.other))),
            ("dimensions", dimensions),
            ("measures", measures),
        ])
    }
}

/// A binary column of either width, without nulls.
pub struct Cells {
    array: ArrayRef,
    large: bool,
}

impl Cells {
    /// Raises `TypeError` for another type or for nulls.
    pub fn new(data: ArrayData) -> PyResult<Self> {
        let large = match data.data_type() {
            DataType::Binary => false,
            DataType::LargeBinary => true,
            other => {
                return Err(PyTypeError::new_err(format!(
                    "expected a binary column, not {other}"
                )));
            }
        };
        if data.null_count() > 0 {
            return Err(PyTypeError::new_err("a column of cells has no nulls"));
        }
        Ok(Self {
            array: make_array(data),
            large,
        })
    }

    pub fn len(&self) -> usize {
        self.array.len()
    }

    /// The value at `at`, which must be less than `len`.
    pub fn get(&self, at: usize) -> &[u8] {
        if self.large {
            self.array.as_binary::<i64>().value(at)
        } else {
            self.array.as_binary::<i32>().value(at)
        }
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyBlock>()?;
    module.add_function(wrap_pyfunction!(row_key, module)?)?;
    module.add_function(wrap_pyfunction!(parse_row, module)?)?;
    module.add_function(wrap_pyfunction!(table_of, module)?)?;
    module.add_function(wrap_pyfunction!(block_qualifier, module)?)?;
    module.add_function(wrap_pyfunction!(decode_block, module)?)?;
    module.add_function(wrap_pyfunction!(decode_blocks, module)?)
}
