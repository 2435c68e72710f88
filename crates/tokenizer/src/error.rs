//! What can be wrong with the tokenizer tables of a file.

use std::fmt;

/// What kind of fault an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file holds a tokenizer of a kind that is not built here.
    Unsupported,
    /// A key that the tokenizer needs is not in the file.
    Missing,
    /// A key is there, but its value has the wrong type, length or content.
    Invalid,
}

/// A tokenizer that cannot be built from a file's metadata: which key, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    key: String,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, key: &str, message: impl Into<String>) -> Error {
        Error { kind, key: key.to_owned(), message: message.into() }
    }

    pub(crate) fn invalid(key: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, key, message)
    }

    pub(crate) fn missing(key: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Missing, key, message)
    }

    /// The kind of fault.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The metadata key at fault, such as `tokenizer.ggml.tokens`.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for Error {}
