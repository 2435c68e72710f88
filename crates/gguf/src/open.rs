//! From a path to bytes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::bytes::Bytes;
use crate::error::{Error, ErrorKind};
use crate::foreign;

/// How a file's bytes come into memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Page by page, when they are looked at.
    #[cfg(feature = "mmap")]
    Map,
    /// All at once.
    Read,
}

impl Bytes {
    /// The bytes of any regular file, mapped (feature `mmap`; read without it): what [`Gguf::open`](crate::Gguf::open) says
    /// of files that change meanwhile holds here, too.
    ///
    /// # Errors
    /// If the file is not a regular one or cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |error: io::Error| Error::io(Some(path), "cannot be read", error);
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::new(ErrorKind::Io, "is not a regular file").in_file(Some(path)));
        }
        #[cfg(feature = "mmap")]
        return File::open(path).and_then(|file| crate::map::map(&file)).map_err(failed);
        #[cfg(not(feature = "mmap"))]
        return fs::read(path).map(Self::from).map_err(failed);
    }
}

/// The bytes of a file that begins as GGUF.
pub(crate) fn bytes(path: &Path, access: Access) -> Result<Bytes, Error> {
    let failed = |error: io::Error| Error::io(Some(path), "cannot be read", error);
    // Asked before opening: opening a pipe would wait for its other end.
    let about = fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        let what = if about.is_dir() {
            "is a folder; give the path of the .gguf file in it"
        } else {
            "is not a regular file; copy it to one first"
        };
        return Err(Error::new(ErrorKind::Io, what).in_file(Some(path)));
    }
    let mut file = File::open(path).map_err(failed)?;
    // A large file of another kind is refused before it is read.
    let mut start = Vec::with_capacity(foreign::ENOUGH);
    (&mut file).take(foreign::ENOUGH as u64).read_to_end(&mut start).map_err(failed)?;
    foreign::refuse(&start).map_err(|error| error.in_file(Some(path)))?;
    match access {
        #[cfg(feature = "mmap")]
        Access::Map => crate::map::map(&file).map_err(|error| {
            Error::io(
                Some(path),
                "cannot be mapped into memory; a limit on addresses (`ulimit -v`) may be too low for it",
                error,
            )
        }),
        Access::Read => {
            let size = usize::try_from(about.len()).unwrap_or(usize::MAX);
            let rest = size.saturating_sub(start.len());
            let mut bytes = start;
            bytes.try_reserve_exact(rest).map_err(|_| {
                let message = format!("has {size} bytes, more than there is memory for");
                Error::new(ErrorKind::Io, message).in_file(Some(path))
            })?;
            file.take(rest as u64).read_to_end(&mut bytes).map_err(failed)?;
            Ok(bytes.into())
        }
    }
}
