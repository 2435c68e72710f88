//! One run at a time in a folder.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, ErrorKind};

use super::durable;

/// The file that is locked. The system drops the lock with the process, however that ends.
pub(super) const LOCK: &str = ".lock";

/// A folder that no other run works in.
#[derive(Debug)]
pub(super) struct FolderLock {
    path: PathBuf,
    /// `None` where the file system has no locks.
    _file: Option<File>,
}

impl FolderLock {
    /// Makes the folder, if it is not there, and locks it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK);
        // The run that had it may remove file and folder between our steps; then they are made again.
        for _ in 0..100 {
            match fs::create_dir(folder) {
                Err(error) if !folder.is_dir() => return Err(Error::writing(folder, &error)),
                _ => {}
            }
            let file = match File::options().write(true).create(true).truncate(false).open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(|error| Error::writing(&path, &error))?,
            };
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => return Ok(Self { path, _file: Some(file) }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy(folder)),
                // Better without a guard than not at all.
                Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                    return Ok(Self { path, _file: None });
                }
                Err(TryLockError::Error(error)) => return Err(Error::writing(&path, &error)),
            }
        }
        Err(Error::new(ErrorKind::Output, format_args!("{}: cannot be locked", path.display())))
    }

    /// Refuses a folder that a run works in. Nothing is written, since the folder may be one to read only.
    pub(super) fn check_free(folder: &Path) -> Result<(), Error> {
        match File::open(folder.join(LOCK)).map(|file| file.try_lock_shared()) {
            Ok(Err(TryLockError::WouldBlock)) => Err(busy(folder)),
            _ => Ok(()),
        }
    }

    /// Removes the file while it is still locked, so that no lock is on a file that nobody finds.
    pub(super) fn remove(self) -> Result<(), Error> {
        durable::remove(&self.path)
    }
}

fn busy(folder: &Path) -> Error {
    let folder = folder.display();
    Error::new(
        ErrorKind::Output,
        format_args!("{folder}: another run is at work in it; wait for its end, or name another --output"),
    )
}

/// Whether the file that is open is the one that the path names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = || Some((file.metadata().ok()?, fs::metadata(path).ok()?));
    same().is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_has_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("parts");
        let first = FolderLock::acquire(&folder).expect("it is free");
        let refused = FolderLock::acquire(&folder).expect_err("it is taken");
        assert!(refused.to_string().contains("another run"), "{refused}");
        FolderLock::check_free(&folder).expect_err("it is taken");
        drop(first);
        FolderLock::check_free(&folder).expect("it is free");
        let second = FolderLock::acquire(&folder).expect("it is free again");
        second.remove().expect("removed");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
        FolderLock::acquire(&folder).expect("it is free once more");
    }
}
