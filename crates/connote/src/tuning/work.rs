//! What there is to compute, as far as the choice depends on it.

use crate::plan::MOST_TOKENS;

/// Texts up to which the lengths themselves are kept: planning more would cost more than it tells.
const KEPT: usize = 256;

/// The texts of a call, by their token counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Work {
    /// How many.
    pub(crate) texts: usize,
    /// Tokens of all.
    pub(crate) tokens: usize,
    /// Tokens of the longest.
    pub(crate) longest: usize,
    /// Squares of their lengths, summed: what attention grows with.
    pub(crate) squares: f64,
    /// Each length; none where there are more texts than [`KEPT`].
    pub(crate) lengths: Vec<usize>,
    /// Tokens that its micro-batches have at most.
    pub(crate) most_tokens: usize,
}

impl Work {
    /// The work of texts with these token counts.
    pub(crate) fn of(lengths: &[usize]) -> Self {
        Self {
            texts: lengths.len(),
            tokens: lengths.iter().sum(),
            longest: lengths.iter().copied().max().unwrap_or(0),
            squares: lengths.iter().map(|&length| (length as f64).powi(2)).sum(),
            lengths: if lengths.len() <= KEPT { lengths.to_vec() } else { Vec::new() },
            most_tokens: MOST_TOKENS,
        }
    }

    /// The same, cut into micro-batches of at most so many tokens.
    pub(crate) fn within(self, most_tokens: usize) -> Self {
        Self { most_tokens, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Work};

    #[test]
    fn lengths_are_kept_of_few_texts_and_summed_of_many() {
        let few = Work::of(&[3, 1, 2]);
        assert_eq!((few.texts, few.tokens, few.longest, few.squares), (3, 6, 3, 14.0));
        assert_eq!(few.lengths, [3, 1, 2]);
        let many = Work::of(&vec![2; KEPT + 1]);
        assert_eq!((many.texts, many.tokens, many.lengths.len()), (KEPT + 1, 2 * KEPT + 2, 0));
        assert_eq!(Work::of(&[]).longest, 0);
    }
}
