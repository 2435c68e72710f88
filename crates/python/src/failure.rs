//! Errors as Python's exceptions.

use std::error::Error as _;
use std::io;

use connote::{Error, ErrorKind};
use pyo3::prelude::*;

/// Why there is no vector, and of which text: what `connote.errors` makes an exception of.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) index: Option<usize>,
    /// The system's number of the error, where it comes from there.
    pub(crate) errno: Option<i32>,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), index: None, errno: None }
    }

    /// A setting that makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// Of the text at this place of the whole request, of which the engine may have seen a piece.
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// The exception.
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        let make = || {
            let from = py.import("connote.errors")?.getattr("from_kind")?;
            from.call1((self.kind.name(), &self.message, self.index, self.errno))
        };
        match make() {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let system = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        Self {
            kind: error.kind(),
            message: error.message().to_owned(),
            index: error.index(),
            errno: system.and_then(io::Error::raw_os_error),
        }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| failure.raise(py))
    }
}
