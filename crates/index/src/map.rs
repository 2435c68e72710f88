//! Mapping a collection into memory: the one room of this crate with unsafe code.
#![allow(unsafe_code)] // Mapping is unsafe by nature: the file can change behind the program's back.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps a whole file for reading. Nobody may shorten or overwrite it meanwhile, or the process ends with SIGBUS;
/// `Builder` never does: it renames another over it.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the mapping is shared with the file and only read. That nobody changes the file meanwhile cannot be
    // checked; no safety of ours rests on what was read once: numbers of any bits are numbers, and text and ends of
    // texts are checked whenever they are read.
    unsafe { Mmap::map(file) }
}
