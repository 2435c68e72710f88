//! The two products of attention, over keys and values that are weights for a moment.

use std::hint::black_box;

use connote::kernels::{Activations, Kernels, Layout, PanelStore, Rows, RowsMut, matmul};
use connote::threads::Team;
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
    pub(crate) layout: &'static str,
    pub(crate) tokens: usize,
    pub(crate) head_dim: usize,
    /// Billions of multiply-adds a second.
    pub(crate) gmacs: Figure,
    /// Of one thread's register peak in the layout, best by best. Set when it is known.
    pub(crate) fraction_of_peak: f64,
}

/// The products over all queries of a text, in f32 and in the level's layout for quantised weights; turning
/// queries and scores into activations is part of them, packing keys and values and taking outliers is not.
pub(crate) fn measure(
    kernels: &Kernels,
    (tokens, head_dim): (usize, usize),
    bounds: Bounds,
) -> Vec<AttentionProduct> {
    let team = Team::new(1);
    let values: Vec<f32> = (0..tokens * head_dim).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect();
    let rows = Rows::new(&values, head_dim);
    let scores = vec![1.0 / tokens as f32; tokens * tokens];
    let (mut keys, mut mixed) = (PanelStore::default(), PanelStore::default());
    let mut products = Vec::new();
    for layout in [Layout::F32, kernels.quantised] {
        let (wide, tall) = ([(tokens, head_dim)], [(head_dim, tokens)]);
        keys.pack(kernels, &team, layout, wide, |_, slots| slots.pack_rows(rows));
        mixed.pack(kernels, &team, layout, tall, |_, slots| slots.pack_columns(rows));
        let time = |x: &[f32], inputs: usize, outputs: usize, panels: &PanelStore| {
            let mut activations = Activations::default();
            let mut out = vec![0.0; tokens * outputs];
            let time = seconds(bounds, || {
                let blocks = x.chunks(QUERIES * inputs).zip(out.chunks_mut(QUERIES * outputs));
                for (x, out) in blocks {
                    activations.set(kernels, layout, Rows::new(x, inputs));
                    let panels = black_box(panels.get(0));
                    matmul(kernels, &activations, panels, 0, 0, &mut RowsMut::new(out, outputs));
                }
            });
            time.giga_per_second((tokens * inputs * outputs) as u64)
        };
        let layout = layout.name();
        let one = |product, gmacs| AttentionProduct {
            product,
            layout,
            tokens,
            head_dim,
            gmacs,
            fraction_of_peak: 0.0,
        };
        products.push(one("queries x keys", time(&values, head_dim, tokens, &keys)));
        products.push(one("weights x values", time(&scores, tokens, head_dim, &mixed)));
    }
    products
}
