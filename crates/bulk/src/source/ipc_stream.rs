//! Arrow IPC as it comes through a pipe.
//!
//! The file form is its magic, the stream form and a footer: without the magic it is read as a stream, to the mark where that ends.

use std::io::{self, Read};

use super::files::{Counted, Input};
use super::unreadable;
use crate::{Error, ErrorKind};

/// The magic, and what fills it up to eight bytes.
const FILE_FORM: &[u8] = b"ARROW1\0\0";

/// What a whole file ends with, too.
const MAGIC: &[u8] = b"ARROW1";

/// The stream form, whatever it lies in.
pub(super) struct IpcStream {
    /// What was read to see the form, and belongs to the stream.
    begins: io::Cursor<Vec<u8>>,
    rest: Counted,
    is_file_form: bool,
}

/// Looks at the first bytes.
pub(super) fn begin(input: &Input, mut from: Counted) -> Result<IpcStream, Error> {
    let mut word = || {
        let mut word = Vec::new();
        let read = from.by_ref().take(FILE_FORM.len() as u64).read_to_end(&mut word);
        read.map(|_| word).map_err(|error| unreadable(input, &error))
    };
    let mut begins = word()?;
    if begins.starts_with(b"FEA1") {
        let message =
            "is Feather of version 1, which cannot be read; write it anew as version 2, which is Arrow IPC";
        return Err(Error::new(ErrorKind::Input, format_args!("{}: {message}", input.name)));
    }
    let is_file_form = begins == FILE_FORM;
    if is_file_form {
        // Some fill up more than eight bytes. No message begins with zeros: there they end the stream.
        begins = word()?;
        while !begins.is_empty() && begins.iter().all(|byte| *byte == 0) {
            begins = word()?;
        }
    }
    Ok(IpcStream { begins: io::Cursor::new(begins), rest: from, is_file_form })
}

impl IpcStream {
    /// Reads the footer, of which nothing is new: whoever writes it to a pipe would fail without a reader. Without it the file is
    /// cut short, be it between two batches.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if !self.is_file_form {
            return Ok(());
        }
        let mut tail = Vec::new();
        loop {
            // As much as is looked at stays, however long it is.
            tail.drain(..tail.len().saturating_sub(MAGIC.len()));
            if self.rest.by_ref().take(1 << 16).read_to_end(&mut tail)? == 0 {
                break;
            }
        }
        match tail == MAGIC {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it ends before its footer: it was cut short",
            )),
        }
    }
}

impl Read for IpcStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.begins.read(into)? {
            0 => self.rest.read(into),
            count => Ok(count),
        }
    }
}
