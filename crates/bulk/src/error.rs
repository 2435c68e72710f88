//! What can go wrong with files of texts and vectors.

use std::fmt;
use std::io;
use std::path::Path;

/// Why a run of bulk work cannot begin or go on. What is wrong with one row is its
/// [`RowError`](connote::jsonl::RowError) instead, and ends nothing.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What kind of failure it is, for exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It was asked for what makes no sense: a column that is not there, formats that do not fit.
    Usage,
    /// A file cannot be read or is not what its name says.
    Input,
    /// A file cannot be written: the disk is full, the folder forbidden.
    Output,
    /// What was begun earlier is of another input, another model or other options.
    Mismatch,
    /// The model refuses or failed.
    Model,
}

impl Error {
    /// An error that says what, where and what to do.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }

    /// From reading `path`.
    pub fn reading(path: &Path, error: &io::Error) -> Self {
        Self::new(ErrorKind::Input, format_args!("{}: cannot be read: {error}", path.display()))
    }

    /// From writing `path`.
    pub fn writing(path: &Path, error: &io::Error) -> Self {
        Self::new(ErrorKind::Output, format_args!("{}: cannot be written: {error}", path.display()))
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<connote::Error> for Error {
    fn from(error: connote::Error) -> Self {
        Self::new(ErrorKind::Model, error)
    }
}
