//! What goes wrong with a collection.

use std::fmt;
use std::io;
use std::path::Path;

/// What kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file cannot be read or written.
    Io,
    /// A file is no collection, or a damaged one.
    Damaged,
    /// It was asked for what the collection does not have, or vectors are not of its space.
    Usage,
}

/// One line that says what, where and what to do.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn damaged(path: &Path, what: impl fmt::Display) -> Self {
        let message = format!("{}: is no sound collection: {what}; build it again", path.display());
        Self { kind: ErrorKind::Damaged, message }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { kind: ErrorKind::Usage, message: message.to_string() }
    }

    pub(crate) fn reading(path: &Path, error: &io::Error) -> Self {
        let what_to_do = match error.kind() {
            io::ErrorKind::NotFound => "; there is no collection: `connote index build` makes one",
            _ => "",
        };
        Self {
            kind: ErrorKind::Io,
            message: format!("{}: cannot be read: {error}{what_to_do}", path.display()),
        }
    }

    pub(crate) fn writing(path: &Path, error: &io::Error) -> Self {
        let what_to_do = match error.kind() {
            io::ErrorKind::StorageFull => {
                "; building takes twice the collection's size: make room and build again, what was there is as it was"
            }
            _ => "",
        };
        Self {
            kind: ErrorKind::Io,
            message: format!("{}: cannot be written: {error}{what_to_do}", path.display()),
        }
    }

    /// What kind of error.
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
