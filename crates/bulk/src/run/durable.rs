//! Files that are there whole or not at all, whatever ends the run: written aside, on the disk, then named. Whatever a run changes
//! in a folder it changes here, so that tests can stop it before every single change.
//!
//! Not by `files`: these names aside are always the same, since a run holds its folder's lock and writes over what one before it left.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::file_sum::FileSum;
use crate::{Error, ErrorKind};

/// What a file that is not whole yet is called.
pub(super) const ASIDE: &str = ".tmp";

/// A file on its way to `path`; dropped before [`commit`](Self::commit) it leaves nothing behind.
pub(super) struct Unfinished {
    aside: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Unfinished {
    /// Starts a file beside `path`.
    pub(super) fn create(path: &Path) -> Result<(Self, File), Error> {
        Self::create_as(aside_of(path), path)
    }

    /// Starts the file `aside`, which lies in the same file system as `path`.
    pub(super) fn create_as(aside: PathBuf, path: &Path) -> Result<(Self, File), Error> {
        change(&aside)?;
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&aside);
        let file = file.map_err(|error| Error::writing(&aside, &error))?;
        Ok((Self { aside, path: path.to_owned(), done: false }, file))
    }

    /// What it will be called.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All is written: to the disk with it. It has not its name yet.
    pub(super) fn sync(&self, file: &File) -> Result<(), Error> {
        file.sync_all().map_err(|error| Error::writing(&self.path, &error))
    }

    /// All is written: to the disk with it, then it takes its name. The folder is still to be synced.
    pub(super) fn commit(mut self, file: &File) -> Result<(), Error> {
        self.sync(file)?;
        change(&self.path)?;
        fs::rename(&self.aside, &self.path).map_err(|error| Error::writing(&self.path, &error))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    /// A disk that is full gets its room back.
    fn drop(&mut self) {
        if !self.done {
            let _ = remove(&self.aside);
        }
    }
}

/// What a file on its way to `path` is called.
pub(super) fn aside_of(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(ASIDE);
    aside.into()
}

/// A small file on its way to `path`, written and on the disk.
pub(super) fn prepare(path: &Path, content: &[u8]) -> Result<(Unfinished, File), Error> {
    let (unfinished, mut file) = Unfinished::create(path)?;
    file.write_all(content).map_err(|error| Error::writing(path, &error))?;
    unfinished.sync(&file)?;
    Ok((unfinished, file))
}

/// Replaces a small file.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let (unfinished, file) = prepare(path, content)?;
    unfinished.commit(&file)?;
    sync_folder(path.parent().unwrap_or(Path::new("")))
}

/// Names that were given or taken in a folder are on the disk afterwards.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    files::sync_folder(folder).map_err(|error| Error::writing(folder, &error))
}

/// Removes a file that need not be there.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    change(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::Output, format_args!("{}: cannot be removed: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Removes what a run that was killed left of a file on its way to `path`.
pub(super) fn remove_aside(path: &Path) -> Result<(), Error> {
    remove(&aside_of(path))
}

/// Removes a folder, unless something lies in it.
pub(super) fn remove_folder(path: &Path) -> Result<(), Error> {
    change(path)?;
    match fs::remove_dir(path) {
        Err(error)
            if ![io::ErrorKind::NotFound, io::ErrorKind::DirectoryNotEmpty].contains(&error.kind()) =>
        {
            Err(Error::writing(path, &error))
        }
        _ => Ok(()),
    }
}

/// Whether the file at `path` is the one that `known` was made of. The size is looked at first.
pub(super) fn is_as_known(path: &Path, known: &FileSum) -> Result<bool, Error> {
    match fs::metadata(path) {
        Ok(about) if about.len() == known.bytes => Ok(FileSum::of(path)? == *known),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::reading(path, &error)),
    }
}

/// Something in a folder is about to change.
#[cfg(not(test))]
fn change(_: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
use stop::change;

/// Tests stop a run before any change, as a kill would: from then on it changes nothing more.
#[cfg(test)]
pub(super) mod stop {
    use std::cell::Cell;
    use std::path::Path;

    use crate::{Error, ErrorKind};

    thread_local! {
        /// Changes that are still let through, of the run that this thread is at.
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
        static STOPPED: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn change(path: &Path) -> Result<(), Error> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => {
                STOPPED.set(true);
                Err(Error::new(ErrorKind::Output, format_args!("{}: stopped by the test", path.display())))
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }

    /// Does `work`, which is stopped after so many changes; `None` where it was.
    pub(in crate::run) fn after<T>(changes: usize, work: impl FnOnce() -> Result<T, Error>) -> Option<T> {
        LEFT.set(Some(changes));
        let result = work();
        LEFT.set(None);
        match STOPPED.replace(false) {
            true => None,
            false => Some(result.unwrap_or_else(|error| panic!("{error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        replace(&path, b"old").expect("written");
        drop(Unfinished::create(&path).expect("created"));
        assert_eq!(fs::read(&path).expect("read"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_file_is_known_again_by_size_and_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        assert!(!is_as_known(&path, &FileSum { bytes: 0, sha256: String::new() }).expect("looked"));
        replace(&path, b"abc").expect("written");
        let known = FileSum::of(&path).expect("summed");
        // FIPS 180-4's example.
        assert_eq!(known.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(is_as_known(&path, &known).expect("looked"));
        replace(&path, b"abd").expect("written");
        assert!(!is_as_known(&path, &known).expect("looked"));
        replace(&path, b"ab").expect("written");
        assert!(!is_as_known(&path, &known).expect("looked"));
    }
}
