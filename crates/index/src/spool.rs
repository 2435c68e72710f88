//! Sections while their lengths are not known: each grows in a file without a name, which is gone with its process.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::layout::{ALIGNMENT, Kind, Section};

/// Bytes that are copied at a time.
const COPIED: usize = 1 << 18;

pub(crate) struct Spool {
    kind: Kind,
    column: u32,
    file: BufWriter<File>,
    length: u64,
    sum: Sha256,
}

impl Spool {
    pub(crate) fn create(folder: &Path, kind: Kind, column: u32) -> io::Result<Self> {
        let file = BufWriter::with_capacity(COPIED, tempfile::tempfile_in(folder)?);
        Ok(Self { kind, column, file, length: 0, sum: Sha256::new() })
    }

    pub(crate) fn is(&self, kind: Kind, column: usize) -> bool {
        self.kind == kind && self.column as usize == column
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.sum.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends it to `out`, filled up to the next section's place.
    pub(crate) fn copy_to(self, out: &mut impl Write, offset: u64) -> io::Result<Section> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut file.take(self.length), out)?;
        if copied != self.length {
            return Err(io::Error::other("a file without a name was cut off"));
        }
        let filling = self.length.next_multiple_of(ALIGNMENT) - self.length;
        out.write_all(&[0; ALIGNMENT as usize][..filling as usize])?;
        let (kind, column, length) = (self.kind, self.column, self.length);
        Ok(Section { kind, column, offset, length, sum: self.sum.finalize().into() })
    }
}
