//! The i16 tile on NEON's vectors of 128 bits.
//!
//! NEON multiplies vectors of i16 into i32 (`smlal` the lower four, `smlal2` the upper four) but does not add neighbours as
//! `pmaddwd` does. Panels have an output's two values side by side, so a sum here has two places an output, one for each
//! input of a pair, which are added when the block is over: no shuffle in the loop, and the panel is the one of all levels.
//!
//! **Crossed**, for whole blocks: Winograd's inner product (see `tile_i16_avx512.rs`), two `add` in place of one `smlal` and
//! one `smlal2`. So there are as many instructions as straight ones, but half as many products: Arm's cores multiply in one
//! unit of two (Cortex-A72 to A78, Neoverse N1, N2) or two of four (X1 and later, V1, V2) and add in all.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for NEON

use std::arch::aarch64::{
    int16x8_t, int32x4_t, vaddq_s16, vaddq_s32, vcvtq_f32_s32, vdupq_lane_s32, vdupq_n_s16, vdupq_n_s32,
    vfmaq_f32, vget_low_s16, vld1_s16, vld1q_f32, vld1q_s16, vld2q_f32, vld2q_s32, vmlal_high_s16, vmlal_s16,
    vmulq_n_f32, vpaddq_s32, vreinterpret_s32_s16, vreinterpretq_s16_s32, vst1q_f32,
};
use std::mem::offset_of;

use crate::quantize::BlockScale;
use crate::table::{PANEL, Sums, TileI16};

/// What is read as two vectors of four values.
const _: () = assert!(offset_of!(BlockScale, scale) == 0 && offset_of!(BlockScale, crossed) == 4);

/// Outputs a vector of weights holds: two inputs of each.
pub(crate) const OUTPUTS: usize = 4;
/// Values of a vector of weights.
pub(crate) const VALUES: usize = 2 * OUTPUTS;
/// Inputs of a turn of the loop.
pub(crate) const FOUR: usize = 4;
/// Vectors of weights, for two inputs, that are multiplied at a time: two rows' sums are sixteen registers, and the weights of
/// four inputs eight.
const AT_ONCE: usize = 4;

/// Sums of four outputs, two places each: those of outputs 0 and 1, and of 2 and 3.
pub(crate) type Pair = [int32x4_t; 2];

/// No sums yet.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn none() -> Pair {
    [vdupq_n_s32(0); 2]
}

/// Two inputs of a row in every place of a vector.
///
/// # Safety
/// There must be four inputs.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn two_and_two(x: *const i16) -> [int16x8_t; 2] {
    // SAFETY: as this function's.
    let four = vreinterpret_s32_s16(unsafe { vld1_s16(x) });
    [vreinterpretq_s16_s32(vdupq_lane_s32::<0>(four)), vreinterpretq_s16_s32(vdupq_lane_s32::<1>(four))]
}

/// Products of two vectors, added.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn add_products(sums: &mut Pair, a: int16x8_t, b: int16x8_t) {
    sums[0] = vmlal_s16(sums[0], vget_low_s16(a), vget_low_s16(b));
    sums[1] = vmlal_high_s16(sums[1], a, b);
}

/// Four inputs of a row with their weights in four outputs: those of the first two inputs, and of the others.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn add_four<const CROSSED: bool>(sums: &mut Pair, x: [int16x8_t; 2], weights: [int16x8_t; 2]) {
    if CROSSED {
        add_products(sums, vaddq_s16(x[0], weights[1]), vaddq_s16(x[1], weights[0]));
    } else {
        add_products(sums, x[0], weights[0]);
        add_products(sums, x[1], weights[1]);
    }
}

/// Sums of four outputs, from the `at`th on, with what stands beside a crossed block's integers, scaled and added to those of
/// the blocks before.
///
/// # Safety
/// `row` must be a row of the tile.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn end<const CROSSED: bool>(
    tile: &TileI16<'_>,
    row: usize,
    at: usize,
    of: Pair,
    sums: &mut [f32; PANEL],
) {
    let mut all = vpaddq_s32(of[0], of[1]);
    // SAFETY: a scale is two values of 32 bits; the row has one, by this function's contract.
    unsafe {
        if CROSSED {
            let outputs = vld2q_s32(tile.scales[at..][..OUTPUTS].as_ptr().cast()).1;
            let row = vdupq_n_s32((*tile.x_scales.as_ptr().add(row * tile.scale_stride)).crossed);
            all = vaddq_s32(all, vaddq_s32(outputs, row));
        }
        add_scaled(tile, row, at, all, sums);
    }
}

/// Sums of four outputs, from the `at`th on, scaled and added to those of the blocks before.
///
/// # Safety
/// `row` must be a row of the tile.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn add_scaled(
    tile: &TileI16<'_>,
    row: usize,
    at: usize,
    all: int32x4_t,
    sums: &mut [f32; PANEL],
) {
    let values = sums[at..][..OUTPUTS].as_mut_ptr();
    // SAFETY: a scale is two values of 32 bits; the row has one, by this function's contract. Four values are read and
    // written. Fused, at every level: the same bits.
    unsafe {
        let scales = vld2q_f32(tile.scales[at..][..OUTPUTS].as_ptr().cast()).0;
        let scale = vmulq_n_f32(scales, (*tile.x_scales.as_ptr().add(row * tile.scale_stride)).scale);
        vst1q_f32(values, vfmaq_f32(vld1q_f32(values), vcvtq_f32_s32(all), scale));
    }
}

/// A tile of pairs, of any number of rows.
///
/// # Safety
/// `tile.check_pairs` must hold; if `CROSSED`, the block must be whole.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn tile<const CROSSED: bool>(tile: &TileI16<'_>, sums: &mut Sums) {
    for row in (0..tile.rows).step_by(2) {
        // SAFETY: as this function's.
        unsafe {
            if row + 1 < tile.rows {
                rows::<CROSSED, 2>(tile, row, sums);
            } else {
                rows::<CROSSED, 1>(tile, row, sums);
            }
        }
    }
}

/// `R` rows from `row` on.
///
/// # Safety
/// As [`tile`]'s; the tile must have the rows.
#[target_feature(enable = "neon")]
unsafe fn rows<const CROSSED: bool, const R: usize>(tile: &TileI16<'_>, row: usize, sums: &mut Sums) {
    let x_of = |r: usize| tile.x.as_ptr().wrapping_add((row + r) * tile.stride);
    for first in (0..PANEL / OUTPUTS).step_by(AT_ONCE) {
        let mut chain = [[none(); AT_ONCE]; R];
        let panel = tile.panel.as_ptr().wrapping_add(first * VALUES);
        let fours = tile.inputs / FOUR;
        for four in 0..fours {
            // SAFETY: the four is inside the inputs, so the panel has 128 values at `128 four`, and every row four.
            unsafe {
                let weights = panel.add(four * FOUR * PANEL);
                let mut x = [[vdupq_n_s16(0); 2]; R];
                for r in 0..R {
                    x[r] = two_and_two(x_of(r).add(four * FOUR));
                }
                for w in 0..AT_ONCE {
                    let first = vld1q_s16(weights.add(w * VALUES));
                    let other = vld1q_s16(weights.add(2 * PANEL + w * VALUES));
                    for r in 0..R {
                        add_four::<CROSSED>(&mut chain[r][w], x[r], [first, other]);
                    }
                }
            }
        }
        if !tile.inputs.is_multiple_of(FOUR) {
            // SAFETY: two inputs are left, so the panel has 64 values there, and every row two.
            unsafe {
                for r in 0..R {
                    let two = x_of(r).add(fours * FOUR).cast::<i32>().read_unaligned();
                    let two = vreinterpretq_s16_s32(vdupq_n_s32(two));
                    for w in 0..AT_ONCE {
                        let weights = vld1q_s16(panel.add(fours * FOUR * PANEL + w * VALUES));
                        add_products(&mut chain[r][w], two, weights);
                    }
                }
            }
        }
        for r in 0..R {
            for w in 0..AT_ONCE {
                // SAFETY: the tile has the row.
                unsafe {
                    end::<CROSSED>(tile, row + r, (first + w) * OUTPUTS, chain[r][w], &mut sums[row + r]);
                }
            }
        }
    }
}
