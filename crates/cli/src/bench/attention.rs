//! The two products of attention, over keys and values that are weights for a moment.

use std::hint::black_box;

use connote::kernels::{Kernels, PanelsF32, Rows, RowsMut, matmul, pack_columns, pack_rows};
use serde::Serialize;

use super::timing::{Bounds, Figure, seconds};

/// Tokens and dimensions of a head: a sentence and a page, EmbeddingGemma and MiniLM.
pub(crate) const SHAPES: &[(usize, usize)] = &[(54, 256), (412, 256), (54, 32), (412, 32)];
/// Queries that attend at a time, as in the encoder.
const QUERIES: usize = 48;

/// Speed of one product of one head, on one thread.
#[derive(Debug, Serialize)]
pub(crate) struct AttentionProduct {
    pub(crate) product: &'static str,
    pub(crate) tokens: usize,
    pub(crate) head_dim: usize,
    /// Billions of multiply-adds a second.
    pub(crate) gmacs: Figure,
    /// Of one thread's f32 register peak, best by best. Set when it is known.
    pub(crate) fraction_of_peak: f64,
}

/// Both products over all queries of a text.
pub(crate) fn measure(
    kernels: &Kernels,
    (tokens, head_dim): (usize, usize),
    bounds: Bounds,
) -> [AttentionProduct; 2] {
    let values: Vec<f32> = (0..tokens * head_dim).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect();
    let rows = Rows::new(&values, head_dim);
    let mut keys = vec![0.0; PanelsF32::len(tokens, head_dim)];
    pack_rows(rows, &mut keys);
    let mut mixed = vec![0.0; PanelsF32::len(head_dim, tokens)];
    pack_columns(rows, &mut mixed);
    let keys = PanelsF32 { outputs: tokens, inputs: head_dim, data: &keys };
    let mixed = PanelsF32 { outputs: head_dim, inputs: tokens, data: &mixed };
    let scores = vec![1.0 / tokens as f32; tokens * tokens];

    let time = |x: &[f32], panels: PanelsF32<'_>| {
        let (inputs, outputs) = (panels.inputs, panels.outputs);
        let mut out = vec![0.0; tokens * outputs];
        let time = seconds(bounds, || {
            let blocks = x.chunks(QUERIES * inputs).zip(out.chunks_mut(QUERIES * outputs));
            for (x, out) in blocks {
                let mut out = RowsMut::new(out, outputs);
                matmul(kernels, Rows::new(x, inputs), black_box(panels), 0, 0..inputs, &mut out);
            }
        });
        time.giga_per_second((tokens * inputs * outputs) as u64)
    };
    let one = |product, gmacs| AttentionProduct { product, tokens, head_dim, gmacs, fraction_of_peak: 0.0 };
    [one("queries x keys", time(&values, keys)), one("weights x values", time(&scores, mixed))]
}
