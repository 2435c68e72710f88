//! Buffers that begin where a cache line does.

/// A vector reads as fast as it can only if no load crosses two cache lines.
const LINE: usize = 64;

/// Values of which the first begins a cache line. Grows, keeps its memory, and starts as zeros.
#[derive(Default)]
pub(crate) struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// Sets the length. What was there before may show; a fresh buffer is all zeros.
    pub(crate) fn resize(&mut self, len: usize) {
        let spare = LINE / size_of::<T>();
        if self.data.len() < len + spare {
            // A fresh vector: pages of zeros that the system gives are not written twice.
            self.data = vec![T::default(); len + spare];
            // An offset that cannot be had would only cost speed.
            self.start = self.data.as_ptr().align_offset(LINE).min(spare);
        }
        self.len = len;
    }
}

impl<T> std::ops::Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> std::ops::DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
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
    fn the_first_value_begins_a_line_whatever_the_length() {
        let mut buffer = Aligned::<i16>::default();
        for len in [0, 1, 31, 32, 1000, 5, 100_000] {
            buffer.resize(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().addr() % LINE, 0);
        }
    }
}
