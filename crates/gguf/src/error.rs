//! What can be wrong with a file.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system could not read or write.
    Io,
    /// The file is something else.
    NotGguf,
    /// A version or byte order that cannot be read.
    Version,
    /// The file ends before what it declares.
    Truncated,
    /// A key, a value or the table of tensors makes no sense.
    Malformed,
    /// A key has another type than the one asked for.
    WrongType,
    /// The parts of a split file do not belong together, or one is missing.
    Split,
}

/// An error: what is wrong, where, and what to do.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<io::Error>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    pub(crate) fn io(what: &str, error: io::Error) -> Self {
        let message = format!("{what}: {error}");
        Self { kind: ErrorKind::Io, message, source: Some(Arc::new(error)) }
    }

    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.message = format!("{}: {}", path.display(), self.message);
        self
    }

    /// What kind of thing is wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}
