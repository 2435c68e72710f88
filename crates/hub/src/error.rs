//! What can go wrong on the way from the hub.

use std::fmt;
use std::io;
use std::path::Path;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name is not written as a model's name.
    Name,
    /// A variable of the environment has a value that makes no sense.
    Setting,
    /// The hub has no such model, revision or file, or the model no file that was asked for.
    NotFound,
    /// Several files fit.
    Ambiguous,
    /// The hub wants a token, another one, or a licence accepted.
    Denied,
    /// The network was needed and may not be used.
    Offline,
    /// `https` was needed and this build has none.
    NoTls,
    /// The hub could not be reached, or its answers made no sense, also when asked again.
    Network,
    /// What arrived is not what the hub says it sent.
    Checksum,
    /// The cache could not be read or written, or has no room.
    Disk,
}

/// What went wrong, in one line that says where and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// From a file or folder of the cache.
    pub(crate) fn disk(path: &Path, what: &str, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::StorageFull => "; make room and run it again: it goes on where it stopped",
            io::ErrorKind::PermissionDenied => "; HF_HOME or HF_HUB_CACHE names another folder",
            _ => "",
        };
        Self::new(ErrorKind::Disk, format!("{}: {what}: {error}{advice}", path.display()))
    }

    /// What kind of thing it was.
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
