//! Mapping a file into memory: the one room of this crate with unsafe code.
#![allow(unsafe_code)] // Mapping is unsafe by nature: the file can change behind the program's back.

use std::fs::File;
use std::io;

use crate::bytes::Bytes;

/// Maps a whole file for reading.
///
/// Nobody may shorten or overwrite the file while it is mapped: reading pages that are gone ends the process
/// with SIGBUS. Replacing it by renaming another over it, as downloaders and package managers do, is fine.
pub(crate) fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: the mapping is shared with the file and only read. That nobody changes the file meanwhile
    // cannot be checked; `Gguf::open` asks for it and names `Gguf::open_unmapped` for files of which it is
    // not known. No safety of ours rests on what was read once: every access is bounds-checked again.
    let mapped = unsafe { memmap2::Mmap::map(file)? };
    Ok(Bytes::mapped(mapped))
}

/// Gives back the memory of pages that were read. They come again when they are.
#[cfg(unix)]
pub(crate) fn give_back(mapped: &memmap2::Mmap) {
    // SAFETY: all mappings come from `map`: of a file, shared with it and never written to, so that a page that comes again
    // is the file's, as one that comes for the first time; see `map` for files that change.
    let given = unsafe { mapped.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    // Where the system keeps them, they cost memory that it can take by itself.
    drop(given);
}

/// There is no such advice on this system.
#[cfg(not(unix))]
pub(crate) fn give_back(_: &memmap2::Mmap) {}
