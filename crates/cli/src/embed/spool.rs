//! A file that is whole only at its end, for texts that come as they come.

use std::fs::File;
use std::io::{self, Seek, Write};

use super::Place;
use crate::aside::Aside;
use crate::failure::Failure;

/// Where the file goes when it is complete.
pub(super) enum Spool {
    /// Under its name.
    Aside(Aside),
    /// Copied from a file without a name: what the format is written to must be a file, whatever this is.
    Copy(Box<dyn Write>, String),
}

impl Spool {
    /// A file to write to.
    pub(super) fn create(place: &Place) -> Result<(Self, File), Failure> {
        let copied = |to: Box<dyn Write>, name: String| {
            let file = tempfile::tempfile().map_err(|error| Failure::writing("a temporary file", &error));
            file.map(|file| (Self::Copy(to, name), file))
        };
        match place {
            Place::Stdout => copied(Box::new(io::stdout()), "standard output".to_owned()),
            Place::Device(path) => {
                let name = path.display().to_string();
                copied(Box::new(File::create(path).map_err(|error| Failure::writing(&name, &error))?), name)
            }
            Place::File(path) | Place::Folder(path) => {
                let (aside, file) = Aside::create(path)?;
                Ok((Self::Aside(aside), file))
            }
        }
    }

    /// All is written: to the disk with it, where it stays there.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        match self {
            Self::Aside(aside) => aside.sync(),
            Self::Copy(..) => Ok(()),
        }
    }

    /// The file is complete.
    pub(super) fn finish(self, mut file: File) -> Result<(), Failure> {
        match self {
            Self::Aside(aside) => aside.complete(),
            Self::Copy(mut to, name) => {
                let copied =
                    file.rewind().and_then(|()| io::copy(&mut file, &mut to)).and_then(|_| to.flush());
                copied.map_err(|error| Failure::writing(&name, &error))
            }
        }
    }
}
