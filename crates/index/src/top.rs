//! The best rows so far.

use std::cmp::Ordering;

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Its number in the collection.
    pub row: usize,
    /// How alike it is to the query: a dot product, or an estimate of one.
    pub score: f32,
}

/// Whether a comes before b: the higher score, then the lower row. What is no number comes last.
pub(crate) fn order(a: &Hit, b: &Hit) -> Ordering {
    let by_score = match (a.score.is_nan(), b.score.is_nan()) {
        (false, false) => b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    };
    by_score.then(a.row.cmp(&b.row))
}

/// Keeps the best `most` hits: twice as many come in, then the worse half goes.
#[derive(Debug, Clone)]
pub(crate) struct Top {
    most: usize,
    hits: Vec<Hit>,
    /// The worst that is sure to be kept, once there are `most`.
    bar: Option<Hit>,
}

impl Top {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, hits: Vec::new(), bar: None }
    }

    pub(crate) fn push(&mut self, hit: Hit) {
        if self.most == 0 || self.bar.is_some_and(|bar| order(&hit, &bar).is_gt()) {
            return;
        }
        self.hits.push(hit);
        if self.hits.len() >= self.most.saturating_mul(2) {
            self.cut();
        }
    }

    /// The best, best first.
    pub(crate) fn into_hits(mut self) -> Vec<Hit> {
        self.hits.sort_unstable_by(order);
        self.hits.truncate(self.most);
        self.hits
    }

    pub(crate) fn merge(&mut self, other: Self) {
        other.hits.into_iter().for_each(|hit| self.push(hit));
    }

    fn cut(&mut self) {
        if self.hits.len() > self.most {
            self.hits.select_nth_unstable_by(self.most - 1, order);
            self.hits.truncate(self.most);
        }
        if self.hits.len() == self.most {
            self.bar = self.hits.iter().copied().max_by(order);
        }
    }
}
