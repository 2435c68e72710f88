//! Whether a file is the one that its description was written with.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::wrong;
use crate::error::Error;
use crate::file_sum::{FileSum, Summing};

/// What a file should hold.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The file that says so.
    by: PathBuf,
    sum: FileSum,
}

impl Known {
    pub(super) fn new(by: PathBuf, sum: FileSum) -> Self {
        Self { by, sum }
    }

    /// The length tells most others apart, before any of them is read.
    pub(super) fn check_length(&self, path: &Path) -> Result<(), Error> {
        let about = fs::metadata(path).map_err(|error| Error::reading(path, &error))?;
        if about.len() == self.sum.bytes {
            return Ok(());
        }
        Err(self.refused(path, format_args!("{} bytes where it says {}", about.len(), self.sum.bytes)))
    }

    pub(super) fn check(&self, path: &Path, found: &FileSum) -> Result<(), Error> {
        if *found == self.sum {
            return Ok(());
        }
        let short = |sum: &FileSum| sum.sha256.chars().take(12).collect::<String>();
        Err(self.refused(path, format_args!("SHA-256 {}… where it says {}…", short(found), short(&self.sum))))
    }

    fn refused(&self, path: &Path, why: std::fmt::Arguments<'_>) -> Error {
        let by = self.by.display();
        wrong(
            path,
            format_args!(
                "is not the file that {by} was written with ({why}), so what its vectors are is not known; run the same `connote embed` again, which writes both, or remove {by} if they are to be of a space that is not known"
            ),
        )
    }
}

/// A file that is read once, from its beginning to its end, and compared then: it need not be read a second time for that.
pub(super) struct KnownFile {
    file: File,
    known: Option<(Known, Summing<io::Sink>)>,
}

impl KnownFile {
    /// Without `known` it may be any file.
    pub(super) fn open(path: &Path, known: Option<&Known>) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| Error::reading(path, &error))?;
        Ok(Self { file, known: known.map(|known| (known.clone(), Summing::new(io::sink()))) })
    }

    /// All of it was read.
    pub(super) fn check(&mut self, path: &Path) -> Result<(), Error> {
        match self.known.take() {
            Some((known, read)) => known.check(path, &read.finish().1),
            None => Ok(()),
        }
    }
}

impl Read for KnownFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        if let Some((_, sum)) = &mut self.known {
            sum.write_all(&into[..count])?;
        }
        Ok(count)
    }
}
