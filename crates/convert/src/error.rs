//! What can go wrong.

use std::fmt;
use std::path::Path;

/// Why a model cannot be converted: what is wrong, where, and what to do, in one line.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file cannot be read or written, or is not what its name says.
    File,
    /// The model cannot be expressed in GGUF, or connote does not know how.
    Unsupported,
    /// The folder contradicts itself: tensors are missing, left over or of the wrong shape.
    Mismatch,
    /// The caller's `carry_on` said no.
    Stopped,
}

impl Error {
    pub(crate) fn file(path: &Path, what: impl fmt::Display) -> Self {
        Self { kind: ErrorKind::File, message: format!("{}: {what}", path.display()) }
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unsupported, message: message.into() }
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Mismatch, message: message.into() }
    }

    pub(crate) fn stopped() -> Self {
        Self { kind: ErrorKind::Stopped, message: "stopped; nothing was written".to_owned() }
    }

    pub(crate) fn writing(error: &std::io::Error) -> Self {
        Self { kind: ErrorKind::File, message: format!("the file cannot be written: {error}") }
    }

    /// Which kind of error this is.
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

impl From<gguf::Error> for Error {
    fn from(error: gguf::Error) -> Self {
        Self { kind: ErrorKind::File, message: error.to_string() }
    }
}
