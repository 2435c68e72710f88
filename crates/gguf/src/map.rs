//! Mapping files into memory.
#![allow(unsafe_code)] // a named room: a mapping is only as safe as the file is left alone

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A file mapped for reading.
///
/// The file must not be changed or cut short while it is mapped: the system would then show other bytes, or
/// end the process with SIGBUS. Replace model files by renaming a new one over the old, which leaves the
/// mapping as it is; or open with [`crate::Gguf::open_unmapped`].
pub(crate) struct Mapped(memmap2::Mmap);

impl Mapped {
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is read-only and private to this type; that nobody changes the file under it
        // is the condition stated above, which no program can check.
        unsafe { memmap2::Mmap::map(file) }.map(Self)
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
