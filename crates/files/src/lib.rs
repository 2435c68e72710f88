//! Files that are there whole or not at all: each is written under another name beside the one that it gets at the end.
//!
//! - [`replace`]: a small file, for good. [`cache`]: one that only saves time.
//! - [`Unfinished`]: a file that is written bit by bit, and what it does at its end.
//! - [`clear_left`]: what processes left that were killed.
//! - [`Predecessor`]: whether a file may be replaced, and what its successor takes over.
//!
//! Errors are the system's: who knows what a file is for says its name.
//!
//! ```
//! # use connote_files as files;
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("record.json");
//! files::replace(&path, b"{}")?;
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

mod left;
mod predecessor;
mod unfinished;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

pub use left::{SHARED, clear_left};
pub use predecessor::Predecessor;
pub use unfinished::Unfinished;

/// Writes a small file, in the place of one that is there: after a loss of power it is the old one or the new one.
///
/// # Errors
/// What the system says; then nothing has changed.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = Unfinished::create(path)?;
    unfinished.file().write_all(content)?;
    unfinished.complete()
}

/// Writes a small file that only saves time, and the folders above it. Nobody waits for the disk: who reads it sees a whole one, but
/// after a loss of power it may be empty. What others left of it goes.
///
/// # Errors
/// What the system says.
pub fn cache(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    clear_left(path, SHARED);
    let mut unfinished = Unfinished::create(path)?;
    unfinished.file().write_all(content)?;
    unfinished.take_name()
}

/// Names that were given or taken in a folder are on the disk afterwards.
///
/// # Errors
/// If the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems cannot sync a folder; their renames are on the server already. One that may be written to and
        // not read cannot be opened.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// The folder that a file lies in.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
