//! The AVX-512 level with VNNI: 512-bit vectors, `vpdpwssd` on 16 pairs at once.
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for the level

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_dpwssd_epi32, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_storeu_ps,
};

use crate::level::Level;
use crate::matmul::DEPTH;
use crate::table::{Kernels, MOST_PANELS, MOST_ROWS, PANEL, Shape, Sums, TileF32, TileI16};

/// What AVX-512 improves over the levels below: all of it.
pub(crate) const AVX512: Kernels = Kernels {
    level: Level::Avx512,
    shape: SHAPE,
    tile_f32,
    tile_i16,
    quantize,
    layer_norm,
    rms_norm,
    layer_norm_to,
    rms_norm_to,
    softmax,
    gelu_erf,
    silu,
    gated_gelu_erf,
    gated_gelu_tanh,
    gated_silu,
    rope,
    add,
    scale,
};

compiled_with!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");

/// 24 accumulators and 4 weights of 32 registers; the activation is broadcast from memory.
const SHAPE: Shape = Shape { rows: MOST_ROWS, panels: MOST_PANELS };

/// Calls `$of::<R, P>` for the tile's rows and panels.
macro_rules! by_shape {
    ($of:ident, $tile:expr, $out:expr; $($rows:literal)*) => {
        match ($tile.rows, $tile.panel_count) {
            $(
                ($rows, 1) => $of::<$rows, 1>($tile, $out),
                ($rows, 2) => $of::<$rows, 2>($tile, $out),
                ($rows, 3) => $of::<$rows, 3>($tile, $out),
                ($rows, 4) => $of::<$rows, 4>($tile, $out),
            )*
            (rows, panels) => unreachable!("a tile of {rows} rows and {panels} panels passed its check"),
        }
    };
}

fn tile_f32(tile: &TileF32<'_>, out: &mut Sums) {
    tile.check(SHAPE);
    // SAFETY: this row of the table is only handed out where its features were detected, and `check`
    // asserted that everything lies inside its slice.
    unsafe { by_shape!(f32_of, tile, out; 1 2 3 4 5 6) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows and `P` panels.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn f32_of<const R: usize, const P: usize>(tile: &TileF32<'_>, out: &mut Sums) {
    let mut sums: [[__m512; P]; R] = [[_mm512_setzero_ps(); P]; R];
    let mut first = 0;
    while first < tile.inputs {
        let last = (first + DEPTH).min(tile.inputs);
        let mut chain: [[__m512; P]; R] = [[_mm512_setzero_ps(); P]; R];
        for i in first..last {
            let mut weights = [_mm512_setzero_ps(); P];
            // SAFETY: `i < inputs`, so every panel has 16 values at `16 i` and every row one at `i`.
            unsafe {
                for (p, weights) in weights.iter_mut().enumerate() {
                    *weights = _mm512_loadu_ps(tile.panels.as_ptr().add(p * tile.panel_stride + i * PANEL));
                }
                for (r, chain) in chain.iter_mut().enumerate() {
                    let value = _mm512_set1_ps(*tile.x.as_ptr().add(r * tile.stride + i));
                    for (chain, &weights) in chain.iter_mut().zip(&weights) {
                        *chain = _mm512_fmadd_ps(value, weights, *chain);
                    }
                }
            }
        }
        for (sums, chain) in sums.iter_mut().zip(chain) {
            for (sum, part) in sums.iter_mut().zip(chain) {
                *sum = _mm512_add_ps(*sum, part);
            }
        }
        first = last;
    }
    store(out, &sums);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn store<const R: usize, const P: usize>(out: &mut Sums, sums: &[[__m512; P]; R]) {
    for (row, sums) in out.iter_mut().zip(sums) {
        for (values, &sum) in row.as_chunks_mut::<PANEL>().0.iter_mut().zip(sums) {
            // SAFETY: a panel's sums are 16 values.
            unsafe { _mm512_storeu_ps(values.as_mut_ptr(), sum) };
        }
    }
}

fn tile_i16(tile: &TileI16<'_>, out: &mut Sums) {
    tile.check(SHAPE);
    // SAFETY: as in `tile_f32`.
    unsafe { by_shape!(i16_of, tile, out; 1 2 3 4 5 6) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows and `P` panels.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn i16_of<const R: usize, const P: usize>(tile: &TileI16<'_>, out: &mut Sums) {
    let blocks = tile.blocks();
    let panel_stride = tile.inputs * PANEL;
    let mut sums: [[__m512; P]; R] = [[_mm512_setzero_ps(); P]; R];
    for block in 0..blocks {
        let pairs = block * DEPTH / 2..((block + 1) * DEPTH).min(tile.inputs) / 2;
        let mut chain: [[__m512i; P]; R] = [[_mm512_setzero_si512(); P]; R];
        for pair in pairs {
            let mut weights = [_mm512_setzero_si512(); P];
            // SAFETY: the pair is inside the inputs, so every panel has 32 values at `32 pair` and every
            // row two at `2 pair`; both are read as unaligned.
            unsafe {
                for (p, weights) in weights.iter_mut().enumerate() {
                    let at = tile.panels.as_ptr().add(p * panel_stride + pair * 2 * PANEL);
                    *weights = _mm512_loadu_si512(at.cast());
                }
                for (r, chain) in chain.iter_mut().enumerate() {
                    let x = tile.x.as_ptr().add(r * tile.inputs + 2 * pair).cast::<i32>().read_unaligned();
                    let x = _mm512_set1_epi32(x);
                    for (chain, &weights) in chain.iter_mut().zip(&weights) {
                        *chain = _mm512_dpwssd_epi32(*chain, x, weights);
                    }
                }
            }
        }
        for (r, (sums, chain)) in sums.iter_mut().zip(chain).enumerate() {
            // SAFETY: every row and every panel have scales for every block.
            let x_scale = unsafe { _mm512_set1_ps(*tile.x_scales.as_ptr().add(r * blocks + block)) };
            for (p, (sum, chain)) in sums.iter_mut().zip(chain).enumerate() {
                // SAFETY: as above.
                let scale =
                    unsafe { _mm512_loadu_ps(tile.scales.as_ptr().add((p * blocks + block) * PANEL)) };
                // Not fused: the same bits as every other level.
                let part = _mm512_mul_ps(_mm512_cvtepi32_ps(chain), _mm512_mul_ps(x_scale, scale));
                *sum = _mm512_add_ps(*sum, part);
            }
        }
    }
    store(out, &sums);
}
