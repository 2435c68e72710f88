//! What is told while a model comes.

use std::time::Duration;

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// These files are the model.
    Chosen {
        /// Files in the repository.
        files: &'a [String],
        /// Bytes of all.
        bytes: u64,
        /// The commit they are from.
        commit: &'a str,
    },
    /// A file was here already.
    Here {
        /// The file.
        file: &'a str,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A file was here already and was to be compared, and could not be: its etag is no hash. Its size is right.
    NotCompared {
        /// The file.
        file: &'a str,
    },
    /// A file begins to come, or goes on.
    Begun {
        /// The file.
        file: &'a str,
        /// Its size in bytes.
        bytes: u64,
        /// Bytes that an earlier run left.
        had: u64,
    },
    /// More of the file is here.
    Came {
        /// The file.
        file: &'a str,
        /// Bytes that are here now, in order from the first.
        bytes: u64,
    },
    /// Another process fetches the same file; it is waited for.
    Waiting {
        /// The file.
        file: &'a str,
    },
    /// Something failed that is tried again.
    Again {
        /// What failed.
        why: &'a str,
        /// When it is tried again.
        wait: Duration,
    },
    /// The file is complete.
    Done {
        /// The file.
        file: &'a str,
        /// Whether its checksum was compared: SHA-256, or of small files git's. A mirror may give neither; then only its size was.
        checked: bool,
        /// Its SHA-256, where the hub gives it.
        sha256: Option<&'a str>,
    },
}
