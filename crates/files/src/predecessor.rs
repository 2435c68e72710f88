//! A file that another one will replace.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// What is in the place of a file to come: nothing, or a file whose permissions, owner and group it takes over.
#[derive(Debug)]
pub struct Predecessor(Option<Metadata>);

impl Predecessor {
    /// Looks at it, links followed.
    ///
    /// # Errors
    /// If it is no file, or the system does not tell.
    pub fn of(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(about) if about.is_file() => Ok(Self(Some(about))),
            // A device or a pipe would be replaced by a file.
            Ok(_) => Err(io::Error::other("it is no file; name a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    /// As [`of`](Self::of), and a file that may not be written must not be replaced either.
    ///
    /// # Errors
    /// If it may not be written, is no file, or the system does not tell.
    pub fn of_writable(path: &Path) -> io::Result<Self> {
        let this = Self::of(path)?;
        if this.0.is_some() {
            OpenOptions::new().write(true).open(path)?;
        }
        Ok(this)
    }

    /// How its successor is made: nobody opens it who may not open the one before.
    pub(crate) fn new_file(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        if self.0.is_some() {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        options
    }

    /// Gives its permissions to its successor, and its owner and group as far as this process may.
    ///
    /// # Errors
    /// What the system says of the permissions.
    pub fn hand_over(&self, to: &File) -> io::Result<()> {
        let Some(before) = &self.0 else { return Ok(()) };
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, fchown};
            let now = to.metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                // Who is not root may at most choose among the groups of his own.
                let _ = fchown(to, Some(before.uid()), Some(before.gid()))
                    .or_else(|_| fchown(to, None, Some(before.gid())));
            }
        }
        // Some file systems have the same for all files, and refuse to be told.
        if to.metadata()?.permissions() == before.permissions() {
            return Ok(());
        }
        to.set_permissions(before.permissions())
    }
}
