//! What can go wrong between a file and a running encoder.

use std::fmt;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file's architecture is not declared here.
    UnknownArchitecture,
    /// A metadata key is missing, or its value has the wrong type or makes no sense.
    Key,
    /// A tensor is missing, has the wrong shape, or is of a type that cannot be computed with.
    Tensor,
}

/// An error of this crate: what, where (the key or tensor), and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn key(key: &str, what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Key, format!("key `{key}`: {what}"))
    }

    pub(crate) fn tensor(name: &str, what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Tensor, format!("tensor `{name}`: {what}"))
    }

    /// What kind of thing went wrong.
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
        Self::new(ErrorKind::Key, error.to_string())
    }
}
