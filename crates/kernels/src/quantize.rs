//! Activations and weights as integers of 12 and 13 bits.
//!
//! Weights reach +-4095 and activations +-2047, so a sum of 256 products stays below 2^31: exact in i32,
//! in any order. Each 256 values have a scale of their own; one scale a token costs outliers (measured:
//! shared facts, numerics).

use crate::panels::columns_of;
use crate::rows::Rows;
use crate::table::{DEPTH, PANEL};

/// The largest integer of a weight.
const WEIGHT_LIMIT: f32 = 4095.0;
/// The largest integer of an activation.
const ACTIVATION_LIMIT: f32 = 2047.0;
/// Blocks with smaller values than this are zero: their inverse scale would not be finite.
const SMALLEST: f32 = 1e-30;

/// One row of activations; see [`crate::Kernels::quantize`].
#[inline(always)]
pub(crate) fn quantize_body(x: &[f32], q: &mut [i16], scales: &mut [f32]) {
    quantize_to(ACTIVATION_LIMIT, x, q, scales);
}

/// One output's weights; see [`crate::Kernels::quantize_weights`].
#[inline(always)]
pub(crate) fn quantize_weights_body(x: &[f32], q: &mut [i16], scales: &mut [f32]) {
    quantize_to(WEIGHT_LIMIT, x, q, scales);
}

/// `q = round(x / scale)` with `scale = max |x| / limit` over each block. NaN and infinity make their
/// block's scale not finite, so that they stay visible in every product.
#[inline(always)]
fn quantize_to(limit: f32, x: &[f32], q: &mut [i16], scales: &mut [f32]) {
    let padded = x.len().next_multiple_of(2);
    assert!(q.len() == x.len() || q.len() == padded, "quantize: {} values into {}", x.len(), q.len());
    assert_eq!(scales.len(), q.len().div_ceil(DEPTH), "quantize: scales");
    if let Some(odd) = q.get_mut(x.len()) {
        *odd = 0;
    }
    for ((x, q), scale) in x.chunks(DEPTH).zip(q.chunks_mut(DEPTH)).zip(scales) {
        // As bits, since NaN is then larger than every number.
        let largest =
            f32::from_bits(x.iter().fold(0, |largest, value| largest.max(value.to_bits() & 0x7fff_ffff)));
        let inverse;
        (*scale, inverse) = steps(limit, largest);
        if inverse == 0.0 {
            // The scale says it all; integers made of NaN could be any.
            q.fill(0);
            continue;
        }
        for (q, &value) in q.iter_mut().zip(x) {
            *q = nearest(value, inverse);
        }
    }
}

/// The scale of a block whose largest magnitude this is, and its inverse: 0 where the integers are to be 0,
/// because the values are, or because the scale alone says what they are.
#[inline(always)]
fn steps(limit: f32, largest: f32) -> (f32, f32) {
    let zero = largest < SMALLEST;
    let scale = if zero { 0.0 } else { largest / limit };
    (scale, if zero || !largest.is_finite() { 0.0 } else { limit / largest })
}

/// `round(value * inverse)`, 0 if the inverse is.
#[inline(always)]
fn nearest(value: f32, inverse: f32) -> i16 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits, in two's complement.
    const ROUND: f32 = 12_582_912.0;
    let integer = (value * inverse + ROUND).to_bits() as i16;
    // Infinities and NaN have an inverse of 0.
    if inverse == 0.0 { 0 } else { integer }
}

/// A panel of values that are weights: `PANEL` columns of `rows` from `first` on, quantised by column, each
/// block of rows with a scale a column; pairs of rows side by side, zeros where there are none.
#[inline(always)]
pub(crate) fn quantize_columns_body(rows: Rows<'_>, first: usize, panel: &mut [i16], scales: &mut [f32]) {
    const { assert!(DEPTH.is_multiple_of(2)) }
    let index = first / PANEL;
    let blocks = panel.chunks_mut(DEPTH * PANEL).zip(scales.as_chunks_mut::<PANEL>().0);
    for (block, (panel, scales)) in blocks.enumerate() {
        let at = block * DEPTH;
        let mut largest = [0u32; PANEL];
        for row in at..(at + DEPTH).min(rows.count()) {
            let values = columns_of(rows, row, index);
            for (largest, value) in largest.iter_mut().zip(values) {
                // As bits, since NaN is then larger than every number.
                *largest = (*largest).max(value.to_bits() & 0x7fff_ffff);
            }
        }
        let mut inverse = [0.0f32; PANEL];
        for ((inverse, scale), largest) in inverse.iter_mut().zip(scales).zip(largest) {
            (*scale, *inverse) = steps(WEIGHT_LIMIT, f32::from_bits(largest));
        }
        for (pair, out) in panel.as_chunks_mut::<{ 2 * PANEL }>().0.iter_mut().enumerate() {
            let even = columns_of(rows, at + 2 * pair, index);
            let odd = columns_of(rows, at + 2 * pair + 1, index);
            for column in 0..PANEL {
                out[2 * column] = nearest(even[column], inverse[column]);
                out[2 * column + 1] = nearest(odd[column], inverse[column]);
            }
        }
    }
}
