//! Quotes that a file of CSV opens and never closes.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Follows what is quoted, which the reader of records does not tell.
pub struct Quotes<R> {
    from: R,
    delimiter: u8,
    state: Quoting,
    is_open: Arc<AtomicBool>,
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

impl<R> Quotes<R> {
    /// What reads as `from`, and whether it has ended within quotes.
    pub fn follow(from: R, delimiter: u8) -> (Self, Arc<AtomicBool>) {
        let is_open = Arc::default();
        (Self { from, delimiter, state: Quoting::Begin, is_open: Arc::clone(&is_open) }, is_open)
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        for &byte in &into[..count] {
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
