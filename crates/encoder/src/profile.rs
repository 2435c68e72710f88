//! Where the time of forward passes goes.

use std::time::{Duration, Instant};

/// Kinds of work in a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Embedding rows: decoding, positions, their norm.
    Embedding,
    /// Row by row: norms, residuals, turning rows into a product's activations.
    Rows,
    /// Products with the model's weights, their endings (bias, activation, gate) included.
    Products,
    /// Head norms, rotation, scores, softmax, mixtures.
    Attention,
    /// The last norm, pooling, dense heads.
    Pooling,
}

impl Work {
    /// All of them, in the order of a pass.
    pub const ALL: [Work; 5] = [Work::Embedding, Work::Rows, Work::Products, Work::Attention, Work::Pooling];

    /// A name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Work::Embedding => "embedding rows",
            Work::Rows => "norms, residuals, packing rows",
            Work::Products => "matrix products",
            Work::Attention => "attention",
            Work::Pooling => "pooling and heads",
        }
    }
}

/// Time by kind of work, as the thread that runs the pass sees it. Off until [`Profile::start`].
#[derive(Debug, Default)]
pub struct Profile {
    since: Option<Instant>,
    spent: [Duration; Work::ALL.len()],
    macs: u64,
}

impl Profile {
    /// Counts from here on, and forgets what was counted.
    pub fn start(&mut self) {
        *self = Self { since: Some(Instant::now()), ..Self::default() };
    }

    /// Time spent on a kind of work since [`Profile::start`].
    pub fn spent(&self, work: Work) -> Duration {
        self.spent[work as usize]
    }

    /// Multiply-adds of the products with the layers' weights since [`Profile::start`].
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// A pass begins: the time since the last one was not its.
    pub(crate) fn begin(&mut self) {
        if let Some(since) = &mut self.since {
            *since = Instant::now();
        }
    }

    /// The time since the last lap was for `work`.
    pub(crate) fn lap(&mut self, work: Work) {
        if let Some(since) = &mut self.since {
            let now = Instant::now();
            self.spent[work as usize] += now - *since;
            *since = now;
        }
    }

    /// Counts multiply-adds of [`Work::Products`].
    pub(crate) fn count(&mut self, macs: u64) {
        self.macs += macs;
    }
}
