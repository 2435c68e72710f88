//! Vectors in one block of memory, which numpy and Arrow read where it lies.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float16Array, Float32Array, Int8Array, UInt8Array};
use arrow_buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::Field;
use pyo3::exceptions::{PyImportError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::capsule;
use crate::failure::Failure;
use crate::output::Output;
use crate::tell;

/// Rows of vectors, and what is known of each text.
#[pyclass(frozen, module = "connote._connote")]
pub(crate) struct Vectors {
    pub(crate) values: Buffer,
    pub(crate) output: Output,
    pub(crate) rows: usize,
    /// Values a row.
    pub(crate) width: usize,
    /// Rows that have a vector; `None` if all have.
    pub(crate) nulls: Option<NullBuffer>,
    pub(crate) tokens: Vec<usize>,
    pub(crate) truncated: Vec<bool>,
    /// Rows of each text, where a text has one a token.
    pub(crate) counts: Option<Vec<usize>>,
    pub(crate) failures: Vec<Failure>,
}

#[pymethods]
impl Vectors {
    fn __len__(&self) -> usize {
        self.rows
    }

    /// The memory as numpy reads it: `numpy.asarray(vectors)` copies nothing and keeps it alive. The row of a text that has no
    /// vector is NaN; outputs without a NaN refuse.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.all_said()?;
        self.memory(py)
    }

    /// The same whatever rows have no vector: for who leaves these out.
    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("typestr", self.output.typestr())?;
        interface.set_item("shape", (self.rows, self.width))?;
        interface.set_item("data", (self.values.as_ptr().addr(), false))?;
        Ok(interface)
    }

    /// The vectors as an Arrow array of fixed-size lists, a null where a text has none; the same memory.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        // The interface lets a producer ignore what it cannot cast to.
        drop(requested_schema);
        let list = self.list().map_err(|error| PyValueError::new_err(error.to_string()))?;
        capsule::offer(py, &list)
    }

    /// Tokens the network read, of each text; 0 for one that has no vector.
    #[getter]
    fn tokens(&self) -> Vec<usize> {
        self.tokens.clone()
    }

    /// Whether each text was cut to fit.
    #[getter]
    fn truncated(&self) -> Vec<bool> {
        self.truncated.clone()
    }

    /// Rows of each text, where a text has one a token.
    #[getter]
    fn counts(&self) -> Option<Vec<usize>> {
        self.counts.clone()
    }

    /// Logs why texts have no vector.
    fn log_failures(&self, py: Python<'_>) -> PyResult<()> {
        tell::failures(py, &self.failures)
    }

    /// For texts that failed: index, kind, message.
    #[getter]
    fn failures(&self) -> Vec<(usize, &'static str, String)> {
        let one = |it: &Failure| (it.index.unwrap_or(0), it.kind.name(), it.message.clone());
        self.failures.iter().map(one).collect()
    }
}

/// numpy, which only arrays need: its own binding panics where it is not.
///
/// # Errors
/// `ImportError`, if it is not installed.
#[pyfunction]
#[pyo3(name = "numpy")]
pub(crate) fn import_numpy(py: Python<'_>) -> PyResult<Py<PyModule>> {
    static THERE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || {
        py.import("numpy").map(Bound::unbind).map_err(|error| {
            if !error.is_instance_of::<PyImportError>(py) {
                return error;
            }
            let said = PyImportError::new_err(
                "arrays need numpy (`pip install numpy`); without it, `embed_vectors` and `embed_arrow` give Arrow's",
            );
            said.set_cause(py, Some(error));
            said
        })
    };
    THERE.get_or_try_init(py, import).map(|there| there.clone_ref(py))
}

impl Vectors {
    /// # Errors
    /// Where rows without a vector look like one.
    fn all_said(&self) -> PyResult<()> {
        if self.nulls.is_some() && !self.output.has_nan() {
            return Err(PyValueError::new_err(
                "some texts have no vector, and numbers of this output cannot say so; `embed_arrow` gives a null row for them, \
                 `embed_each` the reason",
            ));
        }
        Ok(())
    }

    fn list(&self) -> Result<FixedSizeListArray, arrow_schema::ArrowError> {
        let (values, len) = (self.values.clone(), self.rows * self.width);
        let values: ArrayRef = match self.output {
            Output::Float32 => Arc::new(Float32Array::new(ScalarBuffer::new(values, 0, len), None)),
            Output::Float16 => Arc::new(Float16Array::new(ScalarBuffer::new(values, 0, len), None)),
            Output::Int8 | Output::Binary => {
                Arc::new(Int8Array::new(ScalarBuffer::new(values, 0, len), None))
            }
            Output::Uint8 | Output::Ubinary => {
                Arc::new(UInt8Array::new(ScalarBuffer::new(values, 0, len), None))
            }
        };
        // Nullable as pyarrow's own `list_(float32(), n)`, so that the types are equal.
        let field = Arc::new(Field::new("item", values.data_type().clone(), true));
        let width = i32::try_from(self.width).unwrap_or(i32::MAX);
        FixedSizeListArray::try_new(field, width, values, self.nulls.clone())
    }
}
