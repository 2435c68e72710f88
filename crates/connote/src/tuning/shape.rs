//! A way to use cores.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// Workers, each with a micro-batch of its own, times the threads that share the matrix products of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    /// Micro-batches side by side; at least 1.
    pub workers: usize,
    /// Threads on each; at least 1.
    pub threads: usize,
}

impl Shape {
    /// Neither can be 0: that is taken as 1.
    pub fn new(workers: usize, threads: usize) -> Self {
        Self { workers: workers.max(1), threads: threads.max(1) }
    }

    /// CPUs that it keeps busy.
    pub fn cpus(self) -> usize {
        self.workers.saturating_mul(self.threads)
    }
}

/// As `4x2`: four workers of two threads.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}x{}", self.workers, self.threads))
    }
}

impl FromStr for Shape {
    type Err = String;

    /// `4x2`; a number alone is that many workers of one thread.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| -> Result<usize, ParseIntError> { part.trim().parse() };
        let (workers, threads) = text.split_once(['x', 'X']).unwrap_or((text, "1"));
        match (number(workers), number(threads)) {
            (Ok(workers @ 1..), Ok(threads @ 1..)) => Ok(Self { workers, threads }),
            _ => Err(format!("`{text}` is not workers x threads, as in 4x2 or 4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn shapes_read_as_they_are_written() {
        for shape in [Shape::new(1, 1), Shape::new(4, 2), Shape::new(192, 16)] {
            assert_eq!(shape.to_string().parse(), Ok(shape));
        }
        assert_eq!("3".parse(), Ok(Shape::new(3, 1)));
        for wrong in ["", "x", "0x2", "2x0", "-1", "2x2x2", "two"] {
            assert!(wrong.parse::<Shape>().unwrap_err().contains(wrong));
        }
    }
}
