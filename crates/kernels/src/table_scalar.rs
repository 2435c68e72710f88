//! The scalar level: portable Rust, the fallback everywhere.

use std::hint::black_box;

use crate::layout::Layout;
use crate::level::Level;
use crate::peak::Peak;
use crate::table::{Floats, Kernels, PANEL, Sums, TileF32, TileI16};
use crate::{activation, bf16, bytes, norm, outliers, quantize, rope, scan, softmax, tile_bf16};

/// The functions every machine has.
pub(crate) const SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    quantised: Layout::I16,
    tile_rows: TILE_ROWS,
    i16_rows: |_, _| TILE_ROWS,
    tile_f32,
    tile_widening: None,
    keeps_float16: false,
    tile_i16,
    tile_bytes: |tile, sums, room| bytes::unpacked_tile(tile, sums, room, bytes::unpack_body, tile_i16),
    tile_left: tile_i16,
    shares_ahead: false,
    byte_rows: 0,
    unpack: bytes::unpack_body,
    cross: bytes::cross_body,
    bf16_rows: 1,
    panel_bf16: tile_bf16::panel_bf16_body,
    release: || {},
    to_bf16: bf16::to_bf16_body,
    quantize: |x, q, scales| quantize::quantize_body(x, q, scales, quantize::crossed_body),
    row_scales: quantize::row_scales_body,
    quantize_columns: quantize::quantize_columns_body,
    layer_norm: norm::layer_norm_body,
    rms_norm: norm::rms_norm_body,
    layer_norm_to: norm::layer_norm_to_body,
    rms_norm_to: norm::rms_norm_to_body,
    softmax: softmax::softmax_body,
    take_outliers: outliers::take_outliers_body,
    add_outliers: outliers::add_outliers_body,
    gelu_erf: activation::gelu_erf_body,
    silu: activation::silu_body,
    relu: activation::relu_body,
    gated_gelu_erf: activation::gated_gelu_erf_body,
    gated_gelu_tanh: activation::gated_gelu_tanh_body,
    gated_silu: activation::gated_silu_body,
    rope: rope::rope_body,
    add: add_body,
    add_to_rows: add_to_rows_body,
    scale: scale_body,
    dot_f32: scan::dot_f32_body,
    dot_f16: scan::dot_f16_body,
    dot_i8: scan::dot_i8_body,
    differing_bits: scan::differing_bits_body,
    read_words: scan::read_words_body,
    peaks: &[
        Peak { name: "f32 multiply and add", layout: Layout::F32, run: peak_f32, macs: CHAINS as u64 },
        Peak { name: "i16 multiply, i32 add", layout: Layout::I16, run: peak_i16, macs: CHAINS as u64 },
    ],
};

const TILE_ROWS: usize = 6;
/// What the compiler vectorises for the plainest machine of the architecture.
const CHAINS: usize = 32;

fn tile_f32(tile: &TileF32<'_>, sums: &mut Sums) {
    tile.check(TILE_ROWS, sums);
    let widened: Vec<f32>;
    let panel = match tile.panel {
        Floats::F32(values) | Floats::Near(values) => values,
        Floats::Float16(kind, bits) => {
            widened = bits.iter().map(|&bits| kind.value(bits)).collect();
            &widened
        }
    };
    for (r, sums) in sums[..tile.rows].iter_mut().enumerate() {
        let row = &tile.x[r * tile.stride..][..tile.inputs];
        let mut chain = [0.0f32; PANEL];
        for (&value, weights) in row.iter().zip(panel.as_chunks::<PANEL>().0) {
            for (sum, &weight) in chain.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        for (sum, part) in sums.iter_mut().zip(chain) {
            *sum += part;
        }
    }
}

fn tile_i16(tile: &TileI16<'_>, sums: &mut Sums) {
    tile.check_pairs(TILE_ROWS, sums);
    for (r, sums) in sums[..tile.rows].iter_mut().enumerate() {
        let row = &tile.x[r * tile.stride..][..tile.inputs];
        let mut chain = [0i32; PANEL];
        let pairs = tile.panel.as_chunks::<2>().0.as_chunks::<PANEL>().0;
        for (&[a, b], weights) in row.as_chunks::<2>().0.iter().zip(pairs) {
            for (sum, &[v, w]) in chain.iter_mut().zip(weights) {
                *sum += i32::from(a) * i32::from(v) + i32::from(b) * i32::from(w);
            }
        }
        let x_scale = tile.x_scales[r * tile.scale_stride].scale;
        for ((sum, part), scale) in sums.iter_mut().zip(chain).zip(tile.scales) {
            // Fused, at every level: the same bits.
            *sum = (part as f32).mul_add(x_scale * scale.scale, *sum);
        }
    }
}

fn peak_f32(steps: u64) {
    let mut chains = [0.0f32; CHAINS];
    let weights = black_box([0.5f32; CHAINS]);
    for _ in 0..steps {
        let x = black_box(1.0);
        for (chain, weight) in chains.iter_mut().zip(weights) {
            *chain += x * weight;
        }
    }
    black_box(chains);
}

fn peak_i16(steps: u64) {
    let mut chains = [0i32; CHAINS];
    let weights = black_box([3i16; CHAINS]);
    for _ in 0..steps {
        let x = i32::from(black_box(5i16));
        for (chain, weight) in chains.iter_mut().zip(weights) {
            *chain = chain.wrapping_add(x * i32::from(weight));
        }
    }
    black_box(chains);
}

/// `bias` to every row of sums.
#[inline(always)]
pub(crate) fn add_to_rows_body(rows: &mut Sums, bias: &[f32]) {
    assert_eq!(bias.len(), PANEL, "a bias for every output of a panel");
    for row in rows {
        for (value, &bias) in row.iter_mut().zip(bias) {
            *value += bias;
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
