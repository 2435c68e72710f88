//! The AVX2 level: 256-bit vectors with fused multiply-add.
//!
//! The tiles are written by hand; everything else is the generic body compiled with AVX2 on.
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for AVX2 and FMA

use std::arch::x86_64::{
    __m256, __m256i, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_storeu_ps,
};

use crate::level::Level;
use crate::matmul::DEPTH;
use crate::table::{Kernels, MOST_ROWS, PANEL, Shape, Sums, TileF32, TileI16};

/// What AVX2 and FMA improve over the scalar level: all of it.
pub(crate) const AVX2: Kernels = Kernels {
    level: Level::Avx2,
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

compiled_with!("avx2,fma");

/// 12 accumulators, 2 weights and 1 activation fill 15 of the 16 registers.
pub(crate) const SHAPE: Shape = Shape { rows: MOST_ROWS, panels: 1 };

fn tile_f32(tile: &TileF32<'_>, out: &mut Sums) {
    tile.check(SHAPE);
    // SAFETY: this row of the table is only handed out where AVX2 and FMA were detected, and `check`
    // asserted that everything lies inside its slice.
    unsafe { by_rows!(f32_of, tile, out) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows.
#[target_feature(enable = "avx2,fma")]
unsafe fn f32_of<const R: usize>(tile: &TileF32<'_>, out: &mut Sums) {
    let mut sums: [[__m256; 2]; R] = [[_mm256_setzero_ps(); 2]; R];
    let mut first = 0;
    while first < tile.inputs {
        let last = (first + DEPTH).min(tile.inputs);
        let mut chain: [[__m256; 2]; R] = [[_mm256_setzero_ps(); 2]; R];
        for i in first..last {
            // SAFETY: `i < inputs`, so the panel has 16 values at `16 i`, and row `r` has a value at `i`
            // by this function's contract.
            unsafe {
                let weights = tile.panels.as_ptr().add(i * PANEL);
                let (low, high) = (_mm256_loadu_ps(weights), _mm256_loadu_ps(weights.add(8)));
                for (r, chain) in chain.iter_mut().enumerate() {
                    let value = _mm256_set1_ps(*tile.x.as_ptr().add(r * tile.stride + i));
                    chain[0] = _mm256_fmadd_ps(value, low, chain[0]);
                    chain[1] = _mm256_fmadd_ps(value, high, chain[1]);
                }
            }
        }
        for (sum, part) in sums.iter_mut().zip(chain) {
            sum[0] = _mm256_add_ps(sum[0], part[0]);
            sum[1] = _mm256_add_ps(sum[1], part[1]);
        }
        first = last;
    }
    store(out, &sums);
}

#[target_feature(enable = "avx2,fma")]
fn store<const R: usize>(out: &mut Sums, sums: &[[__m256; 2]; R]) {
    for (row, sum) in out.iter_mut().zip(sums) {
        // SAFETY: a row of the sums has at least 16 values.
        unsafe {
            _mm256_storeu_ps(row.as_mut_ptr(), sum[0]);
            _mm256_storeu_ps(row.as_mut_ptr().add(8), sum[1]);
        }
    }
}

fn tile_i16(tile: &TileI16<'_>, out: &mut Sums) {
    tile.check(SHAPE);
    // SAFETY: as in `tile_f32`.
    unsafe { by_rows!(i16_of, tile, out) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows.
#[target_feature(enable = "avx2,fma")]
unsafe fn i16_of<const R: usize>(tile: &TileI16<'_>, out: &mut Sums) {
    let step = |sum: __m256i, x: __m256i, w: __m256i| _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
    // SAFETY: this function's contract.
    unsafe { i16_by::<R>(tile, out, step) }
}

/// The i16 tile over any way to multiply pairs and add them to a sum.
///
/// # Safety
/// `tile.check` must hold, with `R` rows.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn i16_by<const R: usize>(
    tile: &TileI16<'_>,
    out: &mut Sums,
    step: impl Fn(__m256i, __m256i, __m256i) -> __m256i,
) {
    let blocks = tile.blocks();
    let mut sums: [[__m256; 2]; R] = [[_mm256_setzero_ps(); 2]; R];
    for block in 0..blocks {
        let pairs = block * DEPTH / 2..((block + 1) * DEPTH).min(tile.inputs) / 2;
        let mut chain: [[__m256i; 2]; R] = [[_mm256_setzero_si256(); 2]; R];
        for pair in pairs {
            // SAFETY: the pair is inside the inputs, so the panel has 32 values at `32 pair` and every row
            // has two at `2 pair`; both are read as unaligned.
            unsafe {
                let weights = tile.panels.as_ptr().add(pair * 2 * PANEL).cast::<__m256i>();
                let (low, high) = (_mm256_loadu_si256(weights), _mm256_loadu_si256(weights.add(1)));
                for (r, chain) in chain.iter_mut().enumerate() {
                    let x = tile.x.as_ptr().add(r * tile.inputs + 2 * pair).cast::<i32>().read_unaligned();
                    let x = _mm256_set1_epi32(x);
                    chain[0] = step(chain[0], x, low);
                    chain[1] = step(chain[1], x, high);
                }
            }
        }
        // SAFETY: every block has 16 scales of the panel, and one of each row.
        unsafe {
            let scales = tile.scales.as_ptr().add(block * PANEL);
            let (low, high) = (_mm256_loadu_ps(scales), _mm256_loadu_ps(scales.add(8)));
            for (r, (sum, chain)) in sums.iter_mut().zip(chain).enumerate() {
                let x_scale = _mm256_set1_ps(*tile.x_scales.as_ptr().add(r * blocks + block));
                // Not fused: the same bits as every other level.
                for (half, scale) in [low, high].into_iter().enumerate() {
                    let part = _mm256_mul_ps(_mm256_cvtepi32_ps(chain[half]), _mm256_mul_ps(x_scale, scale));
                    sum[half] = _mm256_add_ps(sum[half], part);
                }
            }
        }
    }
    store(out, &sums);
}
