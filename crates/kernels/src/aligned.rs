//! Buffers that begin where a cache line does.

use crate::large_pages::{Piece, Plain};
use crate::shelf::Mapped;

/// A vector reads as fast as it can only if no load crosses two cache lines.
const LINE: usize = 64;

/// Values of which the first begins a cache line. Grows, keeps its memory, and starts as zeros.
///
/// For what products read and write: a row of a tile that lies across two lines is written at two thirds of the speed.
pub struct Aligned<T> {
    memory: Memory<T>,
    len: usize,
}

enum Memory<T> {
    /// From `start` on.
    Own {
        data: Vec<T>,
        start: usize,
    },
    Large(Piece<T>),
    /// Of all processes, so never written to.
    Mapped(Mapped<T>),
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Self { memory: Memory::Own { data: Vec::new(), start: 0 }, len: 0 }
    }
}

impl<T: Plain + Default> Aligned<T> {
    /// Zeros in large pages, if the system has them: for what lives long and is read in one stream.
    pub fn in_large_pages(len: usize) -> Self {
        match Piece::of(len) {
            Some(piece) => Self { memory: Memory::Large(piece), len },
            None => {
                let mut ordinary = Self::default();
                ordinary.resize(len);
                ordinary
            }
        }
    }

    /// Values of a file.
    pub(crate) fn mapped(values: Mapped<T>) -> Self {
        let len = values.len();
        Self { memory: Memory::Mapped(values), len }
    }

    /// Sets the length. What was there before may show or be gone; a fresh buffer is all zeros. Memory that was never
    /// written to costs nothing.
    pub fn resize(&mut self, len: usize) {
        let spare = LINE / size_of::<T>();
        let fits = match &self.memory {
            Memory::Own { data, .. } => data.len() >= len + spare,
            Memory::Large(piece) => piece.len() >= len,
            Memory::Mapped(_) => false,
        };
        if !fits {
            // A fresh vector: pages of zeros that the system gives are not written twice.
            let data = vec![T::default(); len + spare];
            // An offset that cannot be had would only cost speed.
            let start = data.as_ptr().align_offset(LINE).min(spare);
            self.memory = Memory::Own { data, start };
        }
        self.len = len;
    }
}

impl<T: Plain> std::ops::Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.memory {
            Memory::Own { data, start } => &data[*start..start + self.len],
            Memory::Large(piece) => &piece[..self.len],
            Memory::Mapped(values) => &values[..self.len],
        }
    }
}

impl<T: Plain> std::ops::DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.memory {
            Memory::Own { data, start } => &mut data[*start..*start + self.len],
            Memory::Large(piece) => &mut piece[..self.len],
            Memory::Mapped(_) => panic!("weights of a file are only read"),
        }
    }
}

impl<T> std::fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} values", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::{Aligned, LINE};

    #[test]
    fn large_pages_hold_zeros_and_what_outgrows_them_moves() {
        let mut buffer = Aligned::<f32>::in_large_pages(100);
        assert_eq!(*buffer, [0.0; 100]);
        buffer[99] = 1.0;
        buffer.resize(50);
        buffer.resize(100);
        assert_eq!(buffer[99], 1.0);
        buffer.resize(200);
        assert_eq!(*buffer, [0.0; 200]);
        assert_eq!(buffer.as_ptr().addr() % LINE, 0);
    }

    #[test]
    fn the_first_value_begins_a_line_whatever_the_length() {
        let mut buffer = Aligned::<i16>::default();
        for len in [0, 1, 31, 32, 1000, 5, 100_000] {
            buffer.resize(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().addr() % LINE, 0);
        }
    }
}
