//! The AVX2 level: 256-bit vectors with fused multiply-add.
//!
//! The tile is written by hand; everything else is the generic body compiled with AVX2 on, which
//! vectorises it and keeps its bits (the compiler never fuses a multiplication and an addition by itself).
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for AVX2 and FMA

use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_storeu_ps,
};

use crate::level::Level;
use crate::matmul::DEPTH;
use crate::table::{Kernels, TILE_COLUMNS, TILE_ROWS, Tile};
use crate::table_scalar::{add_body, scale_body};
use crate::{activation, norm, rope, softmax};

/// What AVX2 and FMA improve over the scalar level: all of it.
pub(crate) const AVX2: Kernels = Kernels {
    level: Level::Avx2,
    tile,
    layer_norm,
    rms_norm,
    softmax,
    gelu_erf,
    gated_gelu_tanh,
    rope,
    add,
    scale,
};

/// A plain function that runs a generic body compiled for this level.
macro_rules! compiled_here {
    ($($name:ident = $body:path, ($($arg:ident: $type:ty),*);)*) => {$(
        fn $name($($arg: $type),*) {
            #[target_feature(enable = "avx2,fma")]
            fn here($($arg: $type),*) {
                $body($($arg),*);
            }
            // SAFETY: `Kernels::of` hands out this row only where AVX2 and FMA were detected.
            unsafe { here($($arg),*) }
        }
    )*};
}

compiled_here! {
    layer_norm = norm::layer_norm_body, (x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32);
    rms_norm = norm::rms_norm_body, (x: &mut [f32], weight: &[f32], eps: f32);
    softmax = softmax::softmax_body, (x: &mut [f32]);
    gelu_erf = activation::gelu_erf_body, (x: &mut [f32]);
    gated_gelu_tanh = activation::gated_gelu_tanh_body, (gate: &[f32], up: &mut [f32]);
    rope = rope::rope_body, (head: &mut [f32], cos: &[f32], sin: &[f32]);
    add = add_body, (x: &mut [f32], y: &[f32]);
    scale = scale_body, (x: &mut [f32], factor: f32);
}

fn tile(x: &[f32], stride: usize, rows: usize, panel: &[f32], out: &mut Tile) {
    let inputs = panel.len() / TILE_COLUMNS;
    assert!((1..=TILE_ROWS).contains(&rows), "a tile has 1 to {TILE_ROWS} rows, not {rows}");
    assert!(
        x.len() >= (rows - 1) * stride + inputs,
        "tile: {rows} rows of {inputs} at stride {stride} run past {}",
        x.len()
    );
    // SAFETY: this row of the table is only handed out where AVX2 and FMA were detected, and the rows lie
    // inside `x` by the assertion above.
    unsafe {
        match rows {
            1 => tile_of::<1>(x, stride, panel, out),
            2 => tile_of::<2>(x, stride, panel, out),
            3 => tile_of::<3>(x, stride, panel, out),
            4 => tile_of::<4>(x, stride, panel, out),
            5 => tile_of::<5>(x, stride, panel, out),
            _ => tile_of::<6>(x, stride, panel, out),
        }
    }
}

/// 12 accumulators, 2 weights and 1 activation fill 15 of the 16 registers at 6 rows.
///
/// # Safety
/// `R` rows of `panel.len() / TILE_COLUMNS` values at `stride` must lie inside `x`.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_of<const R: usize>(x: &[f32], stride: usize, panel: &[f32], out: &mut Tile) {
    let inputs = panel.len() / TILE_COLUMNS;
    let mut sums: [[__m256; 2]; R] = [[_mm256_setzero_ps(); 2]; R];
    let mut first = 0;
    while first < inputs {
        let last = (first + DEPTH).min(inputs);
        let mut chain: [[__m256; 2]; R] = [[_mm256_setzero_ps(); 2]; R];
        for i in first..last {
            // SAFETY: `i < inputs`, so the panel has 16 values at `16 i`, and row `r` has a value at `i`
            // by this function's contract.
            unsafe {
                let weights = panel.as_ptr().add(i * TILE_COLUMNS);
                let (low, high) = (_mm256_loadu_ps(weights), _mm256_loadu_ps(weights.add(8)));
                for (r, chain) in chain.iter_mut().enumerate() {
                    let value = _mm256_set1_ps(*x.as_ptr().add(r * stride + i));
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
    for (row, sum) in out.iter_mut().zip(sums) {
        // SAFETY: a row of the tile has 16 values.
        unsafe {
            _mm256_storeu_ps(row.as_mut_ptr(), sum[0]);
            _mm256_storeu_ps(row.as_mut_ptr().add(8), sum[1]);
        }
    }
}
