//! What is logged, in Python's log `connote`.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::failure::Failure;

/// Texts that were longer than their limit.
///
/// # Errors
/// What a handler of the log raises.
pub(crate) fn cut(py: Python<'_>, truncated: &[bool], limit: usize) -> PyResult<()> {
    let cut = truncated.iter().filter(|&&cut| cut).count();
    if cut == 0 {
        return Ok(());
    }
    let texts = truncated.len();
    let message = "%d of %d texts were longer than %d tokens and were cut";
    warn(py, (message, cut, texts, limit).into_pyobject(py)?)
}

/// Texts that have no vector, and why.
///
/// # Errors
/// What a handler of the log raises.
pub(crate) fn failures(py: Python<'_>, failures: &[Failure]) -> PyResult<()> {
    for failure in failures {
        let index = failure.index.unwrap_or(0);
        let message = "input %d has no vector (%s): %s";
        warn(py, (message, index, failure.kind.name(), &failure.message).into_pyobject(py)?)?;
    }
    Ok(())
}

fn warn(py: Python<'_>, arguments: Bound<'_, PyTuple>) -> PyResult<()> {
    let log = py.import("logging")?.call_method1("getLogger", ("connote",))?;
    log.call_method1("warning", arguments).map(drop)
}
