//! Attention within one sequence.

use std::ops::Range;

use kernels::{Kernels, PANEL, PanelsF32, Rows, RowsMut, matmul};

use crate::config::{Config, Mask};
use crate::workspace::QUERY_BLOCK;

/// Scratch of attention, borrowed from the workspace.
pub(crate) struct Scratch<'a> {
    pub(crate) scores: &'a mut [f32],
    pub(crate) keys: &'a mut PanelsF32,
    pub(crate) values: &'a mut PanelsF32,
}

/// `out = softmax(q k^T + mask) v` for every head of one sequence.
///
/// `qkv` is `tokens x (heads, kv_heads, kv_heads) x head_dim`, the queries scaled already; `out` is
/// `tokens x heads x head_dim`. Keys and values serve as packed weights of the matrix product; a block of
/// queries reads only the panels of keys that its mask can show.
pub(crate) fn attend(
    kernels: &Kernels,
    config: &Config,
    mask: Mask,
    qkv: &[f32],
    out: &mut [f32],
    scratch: &mut Scratch<'_>,
) {
    let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
    let stride = (heads + 2 * kv_heads) * head_dim;
    let tokens = qkv.len() / stride;
    let group = heads / kv_heads;
    for kv_head in 0..kv_heads {
        let keys_at = (heads + kv_head) * head_dim;
        let values_at = keys_at + kv_heads * head_dim;
        scratch.keys.pack_rows(Rows::strided(&qkv[keys_at..], tokens, head_dim, stride));
        scratch.values.pack_columns(Rows::strided(&qkv[values_at..], tokens, head_dim, stride));
        for head in kv_head * group..(kv_head + 1) * group {
            for first in (0..tokens).step_by(QUERY_BLOCK) {
                let queries = first..(first + QUERY_BLOCK).min(tokens);
                let count = queries.len();
                let seen = seen_by(mask, queries.clone(), tokens);
                let scores = &mut scratch.scores[..count * seen.len()];
                let query_rows =
                    Rows::strided(&qkv[first * stride + head * head_dim..], count, head_dim, stride);
                let mut score_rows = RowsMut::new(scores, seen.len());
                matmul(kernels, query_rows, scratch.keys, seen.start, 0..head_dim, &mut score_rows);
                for (i, query) in queries.enumerate() {
                    let visible = mask.visible(query, tokens);
                    let row = score_rows.row(i);
                    row[..visible.start - seen.start].fill(0.0);
                    row[visible.end - seen.start..].fill(0.0);
                    (kernels.softmax)(&mut row[visible.start - seen.start..visible.end - seen.start]);
                }
                let at = (first * heads + head) * head_dim;
                let mut out_rows = RowsMut::strided(&mut out[at..], count, head_dim, heads * head_dim);
                matmul(kernels, Rows::new(scores, seen.len()), scratch.values, 0, seen, &mut out_rows);
            }
        }
    }
}

/// Keys that any query of a block sees, from the start of a panel on.
fn seen_by(mask: Mask, queries: Range<usize>, tokens: usize) -> Range<usize> {
    let start = mask.visible(queries.start, tokens).start;
    let end = mask.visible(queries.end - 1, tokens).end;
    start - start % PANEL..end
}
