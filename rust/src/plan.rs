//! Plans for Python.

use std::sync::Arc;

use flurry_core::plan;
use flurry_core::zone::TZDATA_VERSION;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

pyo3::create_exception!(
    flurry_fast,
    PlanError,
    PyValueError,
    "A plan that is refused; `key` says where, `reason` why."
);

/// A checked plan.
#[pyclass(name = "Plan", module = "flurry_fast._core", frozen)]
pub struct PyPlan {
    pub plan: Arc<plan::Plan>,
}

#[pymethods]
impl PyPlan {
    #[staticmethod]
    #[pyo3(signature = (toml, /))]
    fn parse(py: Python<'_>, toml: &str) -> PyResult<Self> {
        match plan::Plan::parse(toml) {
            Ok(plan) => Ok(Self {
                plan: Arc::new(plan),
            }),
            Err(error) => Err(refused(py, &error)),
        }
    }

    #[staticmethod]
    #[pyo3(signature = (toml, number, /))]
    fn registered(py: Python<'_>, toml: &str, number: u32) -> PyResult<Self> {
        match plan::Plan::registered(toml, number) {
            Ok(plan) => Ok(Self {
                plan: Arc::new(plan),
            }),
            Err(error) => Err(refused(py, &error)),
        }
    }

    #[getter]
    fn id(&self) -> u32 {
        self.plan.id
    }

    #[getter]
    fn current(&self) -> bool {
        self.plan.is_current()
    }

    #[getter]
    fn canonical(&self) -> &str {
        &self.plan.canonical
    }

    #[getter]
    fn toml(&self) -> &str {
        &self.plan.toml
    }

    #[getter]
    fn rollups(&self) -> Vec<PyRollup> {
        self.plan.rollups.iter().map(PyRollup::of).collect()
    }

    fn __repr__(&self) -> String {
        format!(
            "<Plan {:08x}: {} rollups>",
            self.plan.id,
            self.plan.rollups.len() - 1
        )
    }
}

/// One rollup of a plan.
#[pyclass(name = "Rollup", module = "flurry_fast._core", frozen, get_all)]
pub struct PyRollup {
    number: u8,
    name: String,
    dimensions: Vec<&'static str>,
    measures: Vec<&'static str>,
    cap: u32,
    level: &'static str,
}

impl PyRollup {
    fn of(rollup: &plan::Rollup) -> Self {
        Self {
            number: rollup.number,
            name: rollup.name.clone(),
            dimensions: rollup.dimensions.iter().map(|d| d.name()).collect(),
            measures: rollup.measures.iter().map(|m| m.name()).collect(),
            cap: rollup.cap,
            level: rollup.level.name(),
        }
    }
}

#[pymethods]
impl PyRollup {
    fn __repr__(&self) -> String {
        format!(
            "<Rollup {} {}({}): {}>",
            self.number,
            self.name,
            self.dimensions.join(", "),
            self.measures.join(", ")
        )
    }
}

#[cold]
fn refused(py: Python<'_>, error: &plan::PlanError) -> PyErr {
    let raised = PlanError::new_err(error.to_string());
    let value = raised.value(py);
    let attributes = value
        .setattr("key", &error.key)
        .and_then(|()| value.setattr("reason", &error.reason));
    match attributes {
        Ok(()) => raised,
        Err(failure) => failure,
    }
}

#[pyfunction]
fn tzdata_version() -> &'static str {
    TZDATA_VERSION
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PlanError", module.py().get_type::<PlanError>())?;
    module.add_class::<PyPlan>()?;
    module.add_class::<PyRollup>()?;
    module.add_function(wrap_pyfunction!(tzdata_version, module)?)
}
