//! What stands outside quotes in a file of CSV, and quotes that it opens and never closes.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::delimiter::Delimiter;

/// Follows what is quoted, which the reader of records does not tell.
pub struct Quotes<R> {
    from: R,
    delimiter: u8,
    state: Quoting,
    is_open: Arc<AtomicBool>,
    /// How often each of [`Delimiter::USUAL`] stands outside quotes in the first line that is not empty.
    first_line: [usize; Delimiter::USUAL.len()],
    /// Where that line is.
    place: FirstLine,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// Before the first byte of all, but for a byte order mark, which is one only here.
    Begin,
    /// Before the first byte of a field.
    Outside,
    /// In a field without quotes, or behind them.
    Plain,
    Quoted,
    /// A quote within quotes: the first of two, or the end.
    Closing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FirstLine {
    Ahead,
    Here,
    Behind,
}

impl<R> Quotes<R> {
    /// What reads as `from`, and whether it has ended within quotes.
    pub fn follow(from: R, delimiter: u8) -> (Self, Arc<AtomicBool>) {
        let is_open = Arc::default();
        let this = Self {
            from,
            delimiter,
            state: Quoting::Begin,
            is_open: Arc::clone(&is_open),
            first_line: Default::default(),
            place: FirstLine::Ahead,
        };
        (this, is_open)
    }

    /// What the first line looks separated by, of what it is not read by.
    pub(super) fn other_delimiter(&self) -> Option<Delimiter> {
        let found = Delimiter::USUAL.into_iter().zip(self.first_line);
        let others = found.filter(|(usual, count)| usual.byte() != self.delimiter && *count > 0);
        others.max_by_key(|(_, count)| *count).map(|(usual, _)| usual)
    }

    fn note_first_line(&mut self, byte: u8) {
        if self.place == FirstLine::Behind || self.state == Quoting::Quoted {
            return;
        }
        self.place = match (self.place, byte) {
            (FirstLine::Ahead, b'\n' | b'\r') => FirstLine::Ahead,
            (_, b'\n' | b'\r') => FirstLine::Behind,
            _ => FirstLine::Here,
        };
        if let Some(usual) = Delimiter::USUAL.iter().position(|usual| usual.byte() == byte) {
            self.first_line[usual] += 1;
        }
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        for &byte in &into[..count] {
            self.note_first_line(byte);
            self.state = match (self.state, byte) {
                (Quoting::Begin, 0xef | 0xbb | 0xbf) => Quoting::Begin,
                (Quoting::Quoted, b'"') => Quoting::Closing,
                (Quoting::Quoted, _) | (Quoting::Begin | Quoting::Outside | Quoting::Closing, b'"') => {
                    Quoting::Quoted
                }
                (_, b'\n' | b'\r') => Quoting::Outside,
                (_, byte) if byte == self.delimiter => Quoting::Outside,
                _ => Quoting::Plain,
            };
        }
        // At the end, which the reader of records sees only with its last record.
        self.is_open.store(count == 0 && self.state == Quoting::Quoted, Ordering::Relaxed);
        Ok(count)
    }
}
