//! The matrix of texts a call and tokens a text.

use std::num::NonZeroUsize;

use connote::Model;
use serde::Serialize;

use super::args::MatrixArgs;
use super::texts::{self, Texts};
use crate::failure::Failure;

const BATCHES: &[usize] = &[8, 16, 32, 64, 128];
const LENGTHS: &[usize] = &[4, 64, 256];
const QUICK_BATCHES: &[usize] = &[4, 16];
const QUICK_LENGTHS: &[usize] = &[4, 32];
/// More texts than this in a call, and building them takes longer than embedding.
const MOST_TEXTS: usize = 65_536;

/// Which cells are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matrix {
    /// Texts a call.
    pub(crate) batches: Vec<usize>,
    /// Tokens a text, special tokens included.
    pub(crate) lengths: Vec<usize>,
}

/// One of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Cell {
    /// Texts a call.
    pub(crate) batch: usize,
    /// Tokens a text that were asked for, special tokens included.
    pub(crate) length: usize,
    /// Tokens a call: `batch` times `length`, unless the model's tokens did not allow it.
    pub(crate) tokens: usize,
}

impl Cell {
    /// For people.
    pub(crate) fn name(self) -> String {
        format!("{} x {}", self.batch, self.length)
    }
}

impl Matrix {
    /// What was asked for, else the whole of it, or a corner for a quick look. Lengths that this model would cut are
    /// refused where they were asked for, and else left out.
    pub(crate) fn of(args: &MatrixArgs, quick: bool, max_tokens: usize) -> Result<Self, Failure> {
        let asked = |list: &[NonZeroUsize], otherwise: &[usize]| {
            let mut list: Vec<usize> = list.iter().map(|count| count.get()).collect();
            if list.is_empty() {
                list = otherwise.to_vec();
            }
            list.sort_unstable();
            list.dedup();
            list
        };
        let batches = asked(&args.batches, if quick { QUICK_BATCHES } else { BATCHES });
        if let Some(large) = batches.iter().find(|&&batch| batch > MOST_TEXTS) {
            return Err(Failure::usage(format!("--batches {large}: at most {MOST_TEXTS} texts a call")));
        }
        let mut lengths = asked(&args.lengths, if quick { QUICK_LENGTHS } else { LENGTHS });
        let long = lengths.iter().find(|&&length| length > max_tokens);
        if let (Some(long), false) = (long, args.lengths.is_empty()) {
            return Err(Failure::usage(format!(
                "--lengths {long}: this model reads at most {max_tokens} tokens"
            )));
        }
        lengths.retain(|&length| length <= max_tokens);
        Ok(Self { batches, lengths })
    }

    pub(crate) fn count(&self) -> usize {
        self.batches.len() * self.lengths.len()
    }

    /// All cells with their texts, shortest texts first.
    pub(crate) fn cells(&self, model: &Model) -> Result<Vec<(Cell, Texts)>, Failure> {
        let mut cells = Vec::with_capacity(self.count());
        for &length in &self.lengths {
            for &batch in &self.batches {
                let texts = texts::of_length(model, batch, length)?;
                cells.push((Cell { batch, length, tokens: texts.tokens }, texts));
            }
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(batches: &[usize], lengths: &[usize]) -> MatrixArgs {
        let numbers = |list: &[usize]| list.iter().filter_map(|&count| NonZeroUsize::new(count)).collect();
        MatrixArgs { batches: numbers(batches), lengths: numbers(lengths) }
    }

    #[test]
    fn the_whole_a_corner_and_what_was_asked_for() {
        let whole = Matrix::of(&narrowed(&[], &[]), false, 256).expect("a matrix");
        assert_eq!((whole.batches.as_slice(), whole.lengths.as_slice()), (BATCHES, LENGTHS));
        assert_eq!(Matrix::of(&narrowed(&[], &[]), true, 256).expect("a matrix").count(), 4);
        let asked = Matrix::of(&narrowed(&[32, 8, 8], &[64]), true, 256).expect("a matrix");
        assert_eq!((asked.batches, asked.lengths), (vec![8, 32], vec![64]));
        let short = Matrix::of(&narrowed(&[], &[]), false, 100).expect("a matrix");
        assert_eq!(short.lengths, [4, 64]);
        assert!(Matrix::of(&narrowed(&[], &[256]), false, 100).is_err());
        assert!(Matrix::of(&narrowed(&[70_000], &[]), false, 100).is_err());
    }
}
