//! From a sequence's rows to its vector.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// How the rows of a sequence become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// The mean of all rows, special tokens included.
    Mean,
    /// The first row.
    Cls,
    /// The last row.
    Last,
    /// No pooling: every row is kept.
    None,
}

impl Pooling {
    /// All of them, in the order they are listed to users.
    pub const ALL: [Pooling; 4] = [Pooling::Mean, Pooling::Cls, Pooling::Last, Pooling::None];

    /// The name users and files know it by.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::Last => "last",
            Pooling::None => "none",
        }
    }

    /// Vectors that a sequence of `tokens` tokens gives.
    pub fn rows(self, tokens: usize) -> usize {
        if self == Pooling::None { tokens } else { 1 }
    }

    /// The one row of each sequence that this takes, of the batch's rows that the sequence is; `None` if it
    /// takes more.
    pub(crate) fn only_row(self) -> Option<fn(&Range<usize>) -> usize> {
        match self {
            Pooling::Mean | Pooling::None => None,
            Pooling::Cls => Some(|sequence| sequence.start),
            Pooling::Last => Some(|sequence| sequence.end - 1),
        }
    }

    /// Appends the pooled rows of one sequence. `rows` is `tokens x dim`, not empty.
    pub(crate) fn pool(self, rows: &[f32], dim: usize, out: &mut Vec<f32>) {
        match self {
            Pooling::None => out.extend_from_slice(rows),
            Pooling::Cls => out.extend_from_slice(&rows[..dim]),
            Pooling::Last => out.extend_from_slice(&rows[rows.len() - dim..]),
            Pooling::Mean => {
                // Sums of thousands of rows in f32 would lose bits that the rows still have.
                let mut sums = vec![0.0f64; dim];
                for row in rows.chunks_exact(dim) {
                    for (sum, &value) in sums.iter_mut().zip(row) {
                        *sum += f64::from(value);
                    }
                }
                let count = (rows.len() / dim) as f64;
                out.extend(sums.into_iter().map(|sum| (sum / count) as f32));
            }
        }
    }
}

/// What a pass gives of each sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readout {
    /// Vectors, pooled so.
    Vectors(Pooling),
    /// The scores that the model's head gives its row: [`Scoring::outputs`](crate::Scoring) of them.
    Scores {
        /// The token behind the first of two texts, where the second is of another token type: what stands after the first of
        /// these is of type 1. `None`: all is of type 0.
        separator: Option<u32>,
    },
}

impl Readout {
    /// Rows that a sequence of `tokens` tokens gives.
    pub fn rows(self, tokens: usize) -> usize {
        match self {
            Readout::Vectors(pooling) => pooling.rows(tokens),
            Readout::Scores { .. } => 1,
        }
    }
}

impl From<Pooling> for Readout {
    fn from(pooling: Pooling) -> Self {
        Readout::Vectors(pooling)
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Pooling {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|pooling| pooling.name() == name);
        known.ok_or_else(|| format!("no pooling is called `{name}`; there is mean, cls, last and none"))
    }
}
