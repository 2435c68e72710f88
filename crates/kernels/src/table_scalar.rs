//! The scalar level: portable Rust, the fallback everywhere.

use crate::level::Level;
use crate::matmul::DEPTH;
use crate::table::{Kernels, TILE_COLUMNS, TILE_ROWS, Tile};
use crate::{activation, norm, rope, softmax};

/// The functions every machine has.
pub(crate) const SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    tile,
    layer_norm: norm::layer_norm_body,
    rms_norm: norm::rms_norm_body,
    softmax: softmax::softmax_body,
    gelu_erf: activation::gelu_erf_body,
    gated_gelu_tanh: activation::gated_gelu_tanh_body,
    rope: rope::rope_body,
    add: add_body,
    scale: scale_body,
};

fn tile(x: &[f32], stride: usize, rows: usize, panel: &[f32], out: &mut Tile) {
    assert!((1..=TILE_ROWS).contains(&rows), "a tile has 1 to {TILE_ROWS} rows, not {rows}");
    let inputs = panel.len() / TILE_COLUMNS;
    for (r, sums) in out[..rows].iter_mut().enumerate() {
        let row = &x[r * stride..][..inputs];
        *sums = [0.0; TILE_COLUMNS];
        for (values, weights) in row.chunks(DEPTH).zip(panel.chunks(DEPTH * TILE_COLUMNS)) {
            let mut chain = [0.0f32; TILE_COLUMNS];
            for (&value, weights) in values.iter().zip(weights.chunks_exact(TILE_COLUMNS)) {
                for (sum, &weight) in chain.iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            }
            for (sum, part) in sums.iter_mut().zip(chain) {
                *sum += part;
            }
        }
    }
}

/// `x += y`.
#[inline(always)]
pub(crate) fn add_body(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "add: rows differ in length");
    for (x, &y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `x *= factor`.
#[inline(always)]
pub(crate) fn scale_body(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}
