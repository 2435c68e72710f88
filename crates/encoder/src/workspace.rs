//! Scratch of one worker, sized by use and kept.

use kernels::{PanelsF32, Quantized, RopeTable};

use crate::config::{Config, Positions, Rope};

/// Rows a feed-forward pass takes at a time, so that its scratch does not grow with the longest text.
pub(crate) const ROW_BLOCK: usize = 512;
/// Queries that attend at a time: bounds the scores.
pub(crate) const QUERY_BLOCK: usize = 64;

/// Scratch for forward passes, one a worker. It grows to the largest batch it has seen and stays.
#[derive(Debug, Default)]
pub struct Workspace {
    /// `tokens x dim`: what passes from layer to layer.
    pub(crate) residual: Vec<f32>,
    /// `tokens x dim`: what a branch reads, then what it gives.
    pub(crate) branch: Vec<f32>,
    /// `tokens x (queries, keys, values)`.
    pub(crate) qkv: Vec<f32>,
    /// `tokens x (heads x head_dim)`.
    pub(crate) attended: Vec<f32>,
    /// `ROW_BLOCK x (gate, up)`.
    pub(crate) inner: Vec<f32>,
    /// `QUERY_BLOCK x keys`.
    pub(crate) scores: Vec<f32>,
    /// Keys and values of one head of one sequence, as weights of the product.
    pub(crate) keys: PanelsF32,
    pub(crate) values: PanelsF32,
    /// Activations as integers, for products with quantised weights.
    pub(crate) quantized: Quantized,
    /// One table a kind of rotation, as long as the longest sequence so far.
    pub(crate) ropes: Vec<(Rope, RopeTable)>,
}

impl Workspace {
    /// A workspace without any memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for a batch whose longest sequence has `longest` tokens.
    pub(crate) fn prepare(&mut self, config: &Config, tokens: usize, longest: usize) {
        let queries = config.heads * config.head_dim;
        let inner = config.feed_forward.dim * if config.feed_forward.activation.is_gated() { 2 } else { 1 };
        resize(&mut self.residual, tokens * config.dim);
        resize(&mut self.branch, tokens * config.dim);
        resize(&mut self.qkv, tokens * (queries + 2 * config.kv_heads * config.head_dim));
        resize(&mut self.attended, tokens * queries);
        resize(&mut self.inner, tokens.min(ROW_BLOCK) * inner);
        resize(&mut self.scores, longest.min(QUERY_BLOCK) * longest);
        if let Positions::Rope(ropes) = &config.positions {
            // A workspace may serve one encoder after another: a table is kept only for the rotation it has.
            self.ropes
                .resize_with(ropes.len(), || (Rope { dims: 0, base: 1.0, scale: 1.0 }, RopeTable::default()));
            for ((own, table), rope) in self.ropes.iter_mut().zip(ropes) {
                if own != rope || table.positions() < longest {
                    *table = RopeTable::new(rope.dims, longest.next_power_of_two(), rope.base, rope.scale);
                    own.clone_from(rope);
                }
            }
        }
    }
}

/// Sets the length; old values may stay, since every pass writes before it reads.
fn resize(buffer: &mut Vec<f32>, length: usize) {
    buffer.resize(length, 0.0);
}
