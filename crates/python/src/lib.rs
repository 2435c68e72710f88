//! The native part of the Python package `connote`: texts in, vectors in one block of memory out, the interpreter free
//! meanwhile. Names, defaults and shapes that people see are Python's matter (`python/connote`); nothing here is public but to it.
//!
//! The way of the data: `texts` (lists, Arrow), `how` (options) → `engine` → `job` (windows, waiting, signals) → `table`, `output`
//! → `vectors` (memory that numpy and Arrow read), or, by `embed`, an array of numpy's own that `capsule` made before.

mod capsule;
mod embed;
mod engine;
mod failure;
mod find;
mod how;
mod job;
mod output;
mod progress;
mod table;
mod tell;
mod texts;
mod vectors;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _connote(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<embed::EmbedderBase>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<job::Cancellation>()?;
    module.add_class::<vectors::Vectors>()?;
    module.add_function(wrap_pyfunction!(engine::available_cores, module)?)?;
    module.add_function(wrap_pyfunction!(engine::available_threads, module)?)?;
    module.add_function(wrap_pyfunction!(find::find_model, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::import_numpy, module)?)
}
