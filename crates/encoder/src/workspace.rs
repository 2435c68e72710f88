//! Scratch of one worker, sized by use and kept.

use kernels::{Activations, Aligned, RopeTable};

use crate::attention::Scratch;
use crate::batch::Batch;
use crate::config::Config;
use crate::distance_bias::BiasTable;
use crate::experts::ExpertRows;
use crate::profile::Profile;
use crate::rope::Rotation;
use crate::weights::Weights;

/// Rows a feed-forward pass takes at a time, so that its scratch does not grow with the longest text.
pub(crate) const ROW_BLOCK: usize = 512;
/// Queries that attend at a time, at most: bounds the scores.
pub(crate) const QUERY_BLOCK: usize = 48;

/// Scratch for forward passes, one a worker. It has room for the batches it was made for, grows where one is larger (a
/// text longer than the token budget), and stays so until it is dropped.
#[derive(Debug, Default)]
pub struct Workspace {
    /// `tokens x dim`: what passes from layer to layer.
    pub(crate) residual: Aligned<f32>,
    /// `tokens x dim`: what a branch reads, then what it gives.
    pub(crate) branch: Aligned<f32>,
    /// What the next product reads.
    pub(crate) activations: Activations,
    /// `tokens x (queries, keys, values)`.
    pub(crate) qkv: Aligned<f32>,
    /// Queries of the last layer, where pooling takes one row of each sequence.
    pub(crate) picked: Aligned<f32>,
    /// `tokens x (heads x head_dim)`.
    pub(crate) attended: Aligned<f32>,
    /// `ROW_BLOCK x feed-forward width`.
    pub(crate) inner: Aligned<f32>,
    /// Keys, values and scores.
    pub(crate) attention: Scratch,
    /// Each row's position in its sequence.
    pub(crate) positions: Vec<usize>,
    /// One table a kind of rotation, as long as the longest sequence so far.
    pub(crate) ropes: Vec<(Rotation, RopeTable)>,
    /// One table a bias of distances, as long as the longest sequence so far.
    pub(crate) biases: Vec<BiasTable>,
    /// Rows that one expert gets, and what all experts give.
    pub(crate) experts: ExpertRows,
    pub(crate) profile: Profile,
}

impl Workspace {
    /// A workspace without any memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A workspace with room for batches of so many tokens, so that it is sized once. Memory that is not written to yet
    /// costs nothing.
    pub fn with_room(config: &Config, tokens: usize) -> Self {
        let mut workspace = Self::default();
        for (buffer, width) in workspace.rows_of(config) {
            buffer.resize(tokens * width);
        }
        workspace.inner.resize(tokens.min(ROW_BLOCK) * config.feed_forward.dim);
        workspace.positions.reserve_exact(tokens);
        workspace
    }

    /// Buffers with rows for the tokens of a batch, and the width of those.
    fn rows_of(&mut self, config: &Config) -> [(&mut Aligned<f32>, usize); 4] {
        let queries = config.heads * config.head_dim;
        [
            (&mut self.residual, config.dim),
            (&mut self.branch, config.dim),
            (&mut self.qkv, queries + 2 * config.kv_heads * config.head_dim),
            (&mut self.attended, queries),
        ]
    }

    /// Where the time goes, once it is [started](Profile::start).
    pub fn profile(&mut self) -> &mut Profile {
        &mut self.profile
    }

    /// Makes room for a batch.
    pub(crate) fn prepare(&mut self, config: &Config, weights: &Weights, batch: &Batch) {
        let tokens = batch.tokens();
        self.positions.clear();
        self.positions.extend(batch.sequences().flat_map(|sequence| 0..sequence.len()));
        let longest = self.positions.iter().max().map_or(0, |last| last + 1);
        // Old values may stay, since every pass writes before it reads.
        for (buffer, width) in self.rows_of(config) {
            buffer.resize(tokens * width);
        }
        self.inner.resize(tokens.min(ROW_BLOCK) * config.feed_forward.dim);
        // A workspace may serve one encoder after another: a table is kept only for what it was made of.
        let room = longest.next_power_of_two();
        let nothing = || (Rotation { frequencies: Vec::new(), magnitude: 1.0 }, RopeTable::default());
        self.ropes.resize_with(weights.rotations.len(), nothing);
        for ((own, table), rotation) in self.ropes.iter_mut().zip(&weights.rotations) {
            if own != rotation || table.positions() < longest {
                *table = RopeTable::new(&rotation.frequencies, rotation.magnitude, room);
                own.clone_from(rotation);
            }
        }
        self.biases.truncate(weights.biases.len());
        for (index, bias) in weights.biases.iter().enumerate() {
            match self.biases.get_mut(index) {
                Some(table) if table.serves(bias, longest) => {}
                Some(table) => *table = BiasTable::new(bias, room),
                None => self.biases.push(BiasTable::new(bias, room)),
            }
        }
    }
}
