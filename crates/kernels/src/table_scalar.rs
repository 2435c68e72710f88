//! The scalar level: portable Rust, the fallback everywhere.

use crate::level::Level;
use crate::matmul::DEPTH;
use crate::table::{Kernels, MOST_ROWS, PANEL, Shape, Sums, TileF32, TileI16};
use crate::{activation, norm, quantize, rope, softmax};

/// The functions every machine has.
pub(crate) const SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    shape: SHAPE,
    tile_f32,
    tile_i16,
    quantize: quantize::quantize_body,
    layer_norm: norm::layer_norm_body,
    rms_norm: norm::rms_norm_body,
    layer_norm_to: norm::layer_norm_to_body,
    rms_norm_to: norm::rms_norm_to_body,
    softmax: softmax::softmax_body,
    gelu_erf: activation::gelu_erf_body,
    silu: activation::silu_body,
    gated_gelu_erf: activation::gated_gelu_erf_body,
    gated_gelu_tanh: activation::gated_gelu_tanh_body,
    gated_silu: activation::gated_silu_body,
    rope: rope::rope_body,
    add: add_body,
    scale: scale_body,
};

const SHAPE: Shape = Shape { rows: MOST_ROWS, panels: 1 };

fn tile_f32(tile: &TileF32<'_>, out: &mut Sums) {
    tile.check(SHAPE);
    for (r, sums) in out[..tile.rows].iter_mut().enumerate() {
        let row = &tile.x[r * tile.stride..][..tile.inputs];
        let panel = &tile.panels[..tile.inputs * PANEL];
        sums[..PANEL].fill(0.0);
        for (values, weights) in row.chunks(DEPTH).zip(panel.chunks(DEPTH * PANEL)) {
            let mut chain = [0.0f32; PANEL];
            for (&value, weights) in values.iter().zip(weights.chunks_exact(PANEL)) {
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

fn tile_i16(tile: &TileI16<'_>, out: &mut Sums) {
    tile.check(SHAPE);
    let blocks = tile.blocks();
    for (r, sums) in out[..tile.rows].iter_mut().enumerate() {
        let row = &tile.x[r * tile.inputs..][..tile.inputs];
        let panel = &tile.panels[..tile.inputs * PANEL];
        sums[..PANEL].fill(0.0);
        for (block, (values, weights)) in row.chunks(DEPTH).zip(panel.chunks(DEPTH * PANEL)).enumerate() {
            let mut chain = [0i32; PANEL];
            for (pair, weights) in values.chunks_exact(2).zip(weights.chunks_exact(2 * PANEL)) {
                for (sum, weights) in chain.iter_mut().zip(weights.chunks_exact(2)) {
                    *sum += i32::from(pair[0]) * i32::from(weights[0])
                        + i32::from(pair[1]) * i32::from(weights[1]);
                }
            }
            let x_scale = tile.x_scales[r * blocks + block];
            let scales = &tile.scales[block * PANEL..][..PANEL];
            for ((sum, part), scale) in sums.iter_mut().zip(chain).zip(scales) {
                *sum += part as f32 * (x_scale * scale);
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
