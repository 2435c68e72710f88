//! The cost model, corrected by what is observed.

use std::collections::HashMap;

use super::cell::{Cell, Pick};
use super::{CostModel, Shape, Work};

/// Kinds of work that are remembered; past it the one that was not used for longest is forgotten.
const MOST_CELLS: usize = 256;

/// How many times as long as the best a shape may be predicted to take, and be tried all the same.
const DOUBT: f64 = 1.3;
const DOUBT_UNMEASURED: f64 = 1.8;

/// What was observed so far, by kind of work: calls of about as many texts of about as many tokens.
#[derive(Debug, Default, Clone)]
pub(crate) struct Learned {
    cells: HashMap<Kind, Entry>,
    clock: u64,
}

/// Whole parts of the binary logarithms of the number of texts and of their mean number of tokens.
type Kind = (u32, u32);

#[derive(Debug, Clone)]
struct Entry {
    cell: Cell,
    used: u64,
}

impl Learned {
    /// The shape for a call of this work, of `shapes`.
    pub(crate) fn choose(&mut self, work: &Work, shapes: &[Shape], cost: &CostModel) -> Pick {
        let doubt = if cost.is_measured() { DOUBT } else { DOUBT_UNMEASURED };
        self.cell(work).choose(shapes, doubt, |some| cost.seconds_of_each(work, some))
    }

    /// What a call of this work took in this shape, alone on the machine.
    pub(crate) fn observe(&mut self, work: &Work, shape: Shape, seconds: f64, cost: &CostModel) {
        let ratio = seconds / cost.seconds(work, shape);
        // A clock that stood still, a call without work.
        if ratio.is_finite() && ratio > 0.0 {
            self.cell(work).observe(shape, ratio);
        }
    }

    fn cell(&mut self, work: &Work) -> &mut Cell {
        let kind = kind(work);
        self.clock += 1;
        if !self.cells.contains_key(&kind) {
            if self.cells.len() >= MOST_CELLS {
                let oldest = self.cells.iter().min_by_key(|(_, entry)| entry.used).map(|(&kind, _)| kind);
                oldest.and_then(|oldest| self.cells.remove(&oldest));
            }
            let cell = self.like(kind).map(Cell::like).unwrap_or_default();
            self.cells.insert(kind, Entry { cell, used: 0 });
        }
        let entry = self.cells.entry(kind).or_insert_with(|| Entry { cell: Cell::default(), used: 0 });
        entry.used = self.clock;
        &mut entry.cell
    }

    /// The cell of half or double the texts or tokens that was used last.
    fn like(&self, (texts, tokens): Kind) -> Option<&Cell> {
        let near = |&(&(a, b), _): &(&Kind, &Entry)| texts.abs_diff(a) + tokens.abs_diff(b) == 1;
        self.cells.iter().filter(near).max_by_key(|(_, entry)| entry.used).map(|(_, entry)| &entry.cell)
    }

    /// Kinds of work remembered.
    #[cfg(test)]
    pub(crate) fn kinds(&self) -> usize {
        self.cells.len()
    }
}

fn kind(work: &Work) -> Kind {
    let log = |number: usize| number.max(1).ilog2();
    (log(work.texts), log(work.tokens / work.texts.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_matrix_has_cells_of_its_own() {
        let cost = CostModel::unmeasured(4, 10_600_000, 6);
        let shapes = [Shape::new(1, 4), Shape::new(4, 1)];
        let mut learned = Learned::default();
        for texts in [8, 16, 32, 64, 128] {
            for tokens in [4, 64, 256] {
                learned.choose(&Work::of(&vec![tokens; texts]), &shapes, &cost);
            }
        }
        assert_eq!(learned.kinds(), 15);
        for texts in 0..30 {
            for tokens in 0..20 {
                let work = Work {
                    texts: 1 << texts,
                    tokens: 1 << (texts + tokens),
                    longest: 1 << tokens,
                    squares: 0.0,
                    lengths: vec![],
                    most_tokens: crate::plan::MOST_TOKENS,
                };
                learned.choose(&work, &shapes, &cost);
                learned.observe(&work, shapes[0], 0.0, &cost);
                learned.observe(&work, shapes[1], f64::NAN, &cost);
            }
        }
        assert_eq!(learned.kinds(), MOST_CELLS);
    }
}
