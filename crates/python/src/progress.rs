//! Who watches a call's progress.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

/// A function that is called with texts done and texts in all.
#[derive(Default)]
pub(crate) struct Progress {
    call: Option<Py<PyAny>>,
    /// It is a bar of ours, which is closed in the end.
    is_bar: bool,
}

impl Progress {
    /// Nobody for `None` and `False`, a bar by tqdm for `True`, else the function.
    ///
    /// # Errors
    /// If it is none of these; if a bar is wanted and there is no tqdm.
    pub(crate) fn read(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if given.is_none() {
            return Ok(Self::default());
        }
        Ok(match given.cast::<PyBool>().map(|wanted| wanted.is_true()) {
            Ok(false) => Self::default(),
            Ok(true) => {
                let bar = given.py().import("connote.progress")?.getattr("Bar")?.call0()?;
                Self { call: Some(bar.unbind()), is_bar: true }
            }
            Err(_) if given.is_callable() => Self { call: Some(given.clone().unbind()), is_bar: false },
            Err(_) => {
                let kind = given.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "argument 'progress': True, a function of texts done and texts in all, False or None, not {kind}"
                )));
            }
        })
    }

    /// Whether anybody does.
    pub(crate) fn is_watched(&self) -> bool {
        self.call.is_some()
    }

    /// Tells them.
    ///
    /// # Errors
    /// What the function raises.
    pub(crate) fn tell(&self, done: usize, all: usize) -> PyResult<()> {
        self.call.as_ref().map_or(Ok(()), |call| Python::attach(|py| call.call1(py, (done, all)).map(drop)))
    }
}

/// The call has ended, however it did.
impl Drop for Progress {
    fn drop(&mut self) {
        let Some(bar) = self.call.as_ref().filter(|_| self.is_bar) else { return };
        Python::attach(|py| {
            // A terminal that is gone is no fault of the texts'.
            if let Err(error) = bar.call_method0(py, "close") {
                error.write_unraisable(py, Some(bar.bind(py)));
            }
        });
    }
}
