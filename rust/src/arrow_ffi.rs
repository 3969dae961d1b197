//! Arrow arrays to Python and back, through the C data interface as capsules
//! (`__arrow_c_array__`): no copy, and no pyarrow at compile time.

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_data::ArrayData;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use std::ffi::CStr;

const ARRAY: &CStr = c"arrow_array";
const SCHEMA: &CStr = c"arrow_schema";

/// An Arrow array, or a record batch as an array of structs. pyarrow, polars
/// and others take it as it is: `pa.array(x)`, `pa.record_batch(x)`.
#[pyclass(name = "ArrowArray", module = "flurry_fast._core", frozen)]
pub struct PyArrowArray {
    data: ArrayData,
}

impl From<ArrayData> for PyArrowArray {
    fn from(data: ArrayData) -> Self {
        Self { data }
    }
}

impl From<RecordBatch> for PyArrowArray {
    fn from(batch: RecordBatch) -> Self {
        StructArray::from(batch).into_data().into()
    }
}

#[pymethods]
impl PyArrowArray {
    fn __len__(&self) -> usize {
        self.data.len()
    }

    /// The array as capsules `(schema, array)`. A requested schema is not
    /// honoured, which the protocol allows.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let _ = requested_schema;
        let (array, schema) =
            to_ffi(&self.data).map_err(|error| PyValueError::new_err(error.to_string()))?;
        // Dropping a capsule drops its value, which releases what nobody took over.
        let schema = PyCapsule::new_with_value(py, schema, SCHEMA)?;
        let array = PyCapsule::new_with_value(py, array, ARRAY)?;
        PyTuple::new(py, [schema, array])
    }
}

/// The array of any Python object with `__arrow_c_array__`. Raises `TypeError`
/// where it has none. `trusted` arrays (made by pyarrow from our own values) are
/// taken as they are; anything that came out of a file must be checked, texts
/// included: `ValueError` where it is not what it says.
pub fn import_array(object: &Bound<'_, PyAny>, trusted: bool) -> PyResult<ArrayData> {
    let Ok(method) = object.getattr("__arrow_c_array__") else {
        return Err(PyTypeError::new_err(
            "expected an Arrow array or record batch (no __arrow_c_array__)",
        ));
    };
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
        method.call0()?.extract()?;
    let schema = schema.pointer_checked(Some(SCHEMA))?;
    let array = array.pointer_checked(Some(ARRAY))?;
    // SAFETY: capsules of these names hold these structs (the C data
    // interface); taking them over leaves released ones behind. `from_ffi`
    // relies on the producer's layout, as the interface says it may.
    let data = unsafe {
        let schema = FFI_ArrowSchema::from_raw(schema.cast().as_ptr());
        let array = FFI_ArrowArray::from_raw(array.cast().as_ptr());
        from_ffi(array, &schema)
    };
    let data = data.map_err(|error| PyValueError::new_err(error.to_string()))?;
    if !trusted {
        data.validate_full()
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
    }
    Ok(data)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyArrowArray>()
}
