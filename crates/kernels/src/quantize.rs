//! Activations and weights as integers of 12 and a half bits.
//!
//! Both reach +-2895, so a sum of 256 products stays below 2^31: exact in i32, in any order. Each 256 values
//! have a scale of their own; one scale a token costs outliers. Other ways to share the bits out, and what they
//! cost, are in docs/KERNELS.md.

use crate::rows::{Rows, first_columns};
use crate::table::{DEPTH, PANEL};

/// What a block of up to [`DEPTH`] integers has beside them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C)]
pub struct BlockScale {
    /// What the integers are multiplied with.
    pub scale: f32,
    /// Minus the products of values two places apart in each whole four, `-(q[4i] * q[4i + 2] + q[4i + 1] * q[4i + 3])`:
    /// with what a sum by Winograd's inner product begins (A New Algorithm for Inner Product, 1968; see
    /// `tile_i16_avx512.rs`). At most 128 products, so it is exact.
    pub crossed: i32,
}

/// The largest integer.
pub(crate) const LIMIT: f32 = 2895.0;
/// Blocks with smaller values than this are zero: their inverse scale would not be finite.
const SMALLEST: f32 = 1e-30;

/// The scale of a block by its largest value's bits, without the sign, and what values are multiplied with to become
/// integers: 0 where they all are 0, since the scale says it all (integers made of NaN could be any).
#[inline(always)]
pub(crate) fn scale_of(largest: u32) -> (f32, f32) {
    scale_within(largest, LIMIT)
}

/// As [`scale_of`], for integers up to `limit`.
#[inline(always)]
pub(crate) fn scale_within(largest: u32, limit: f32) -> (f32, f32) {
    // As bits, since NaN is then larger than every number.
    let largest = f32::from_bits(largest);
    if largest < SMALLEST {
        (0.0, 0.0)
    } else {
        (largest / limit, if largest.is_finite() { limit / largest } else { 0.0 })
    }
}

/// The larger of what there is and a value's bits without the sign.
#[inline(always)]
pub(crate) fn larger(largest: u32, value: f32) -> u32 {
    largest.max(value.to_bits() & 0x7fff_ffff)
}

/// The nearest integer to `value * inverse`, which must be within 16 bits.
#[inline(always)]
pub(crate) fn nearest(value: f32, inverse: f32) -> i16 {
    // Adding 1.5 * 2^23 leaves it in the low mantissa bits, in two's complement.
    (value * inverse + 12_582_912.0).to_bits() as i16
}

/// One row; see [`crate::Kernels::quantize`]. `q = round(x / scale)` with `scale = max |x| / 2895` over each
/// block. NaN and infinity make their block's scale not finite, so that they stay visible in every product. `crossed` is
/// [`BlockScale::crossed`] of a block.
#[inline(always)]
pub(crate) fn quantize_body(
    x: &[f32],
    q: &mut [i16],
    scales: &mut [BlockScale],
    crossed: impl Fn(&[i16]) -> i32,
) {
    const { assert!(LIMIT * LIMIT * DEPTH as f32 <= 2_147_483_648.0) }
    let padded = x.len().next_multiple_of(2);
    assert!(q.len() == x.len() || q.len() == padded, "quantize: {} values into {}", x.len(), q.len());
    assert_eq!(scales.len(), q.len().div_ceil(DEPTH), "quantize: scales");
    if let Some(odd) = q.get_mut(x.len()) {
        *odd = 0;
    }
    for ((x, q), scale) in x.chunks(DEPTH).zip(q.chunks_mut(DEPTH)).zip(scales) {
        let largest = x.iter().fold(0, |largest, &value| larger(largest, value));
        let (factor, inverse) = scale_of(largest);
        *scale = BlockScale { scale: factor, crossed: 0 };
        if inverse == 0.0 {
            q.fill(0);
            continue;
        }
        for (q, &value) in q.iter_mut().zip(x) {
            *q = nearest(value, inverse);
        }
        scale.crossed = crossed(q);
    }
}

/// Columns of a block of rows; see [`crate::Kernels::quantize_columns`]. A row's values lie side by side, so that all
/// columns are turned at once.
#[inline(always)]
pub(crate) fn quantize_columns_body(
    rows: Rows<'_>,
    row_scales: &[f32],
    q: &mut [i16],
    scales: &mut [BlockScale; PANEL],
) {
    assert_eq!(rows.count(), row_scales.len(), "quantize: a scale for every row");
    let padded = rows.count().next_multiple_of(2);
    assert!(rows.width() <= PANEL && padded <= DEPTH, "columns of {} x {}", rows.count(), rows.width());
    assert_eq!(q.len(), padded * PANEL, "quantize: columns of {} rows", rows.count());
    let mut largest = [0; PANEL];
    for (row, &scale) in row_scales.iter().enumerate() {
        let factor = inverse_of(scale);
        for (largest, value) in largest.iter_mut().zip(first_columns(rows.row(row))) {
            *largest = larger(*largest, value * factor);
        }
    }
    let mut inverses = [0.0; PANEL];
    for (column, scale) in scales.iter_mut().enumerate() {
        let (factor, inverse) = scale_of(largest[column]);
        *scale = BlockScale { scale: factor, crossed: 0 };
        inverses[column] = inverse;
    }
    let (fours, rest) = q.as_chunks_mut::<{ 4 * PANEL }>();
    let mut crossed = [0i32; PANEL];
    for (four, q) in fours.iter_mut().enumerate() {
        let first = 4 * four;
        let [a, b] = two_rows(rows, row_scales, first, &inverses);
        let [c, d] = two_rows(rows, row_scales, first + 2, &inverses);
        interleave(q, 0, &a, &b);
        interleave(q, 1, &c, &d);
        for column in 0..PANEL {
            crossed[column] -= product(a[column], c[column]) + product(b[column], d[column]);
        }
    }
    if !rest.is_empty() {
        let [a, b] = two_rows(rows, row_scales, padded - 2, &inverses);
        interleave(rest, 0, &a, &b);
    }
    for (scale, crossed) in scales.iter_mut().zip(crossed) {
        scale.crossed = crossed;
    }
}

#[inline(always)]
pub(crate) fn product(x: i16, y: i16) -> i32 {
    i32::from(x) * i32::from(y)
}

/// Two rows as integers; zeros where there is no row.
#[inline(always)]
fn two_rows(rows: Rows<'_>, row_scales: &[f32], first: usize, inverses: &[f32; PANEL]) -> [[i16; PANEL]; 2] {
    let mut integers = [[0; PANEL]; 2];
    for (row, integers) in integers.iter_mut().enumerate() {
        if let Some(&scale) = row_scales.get(first + row) {
            let (values, factor) = (first_columns(rows.row(first + row)), inverse_of(scale));
            for column in 0..PANEL {
                integers[column] = kept_integer(values[column] * factor, inverses[column]);
            }
        }
    }
    integers
}

/// Of a power of two up to 2^126; 0 of 0.
#[inline(always)]
fn inverse_of(scale: f32) -> f32 {
    // The exponent is biased by 127.
    f32::from_bits(if scale == 0.0 { 0 } else { (254u32 << 23).saturating_sub(scale.to_bits()) })
}

/// See [`crate::Kernels::row_scales`].
#[inline(always)]
pub(crate) fn row_scales_body(rows: Rows<'_>, out: &mut [f32]) {
    assert_eq!(rows.count(), out.len(), "quantize: a scale for every row");
    for (row, scale) in out.iter_mut().enumerate() {
        let largest = rows.row(row).iter().fold(0, |largest, &value| larger(largest, value));
        let power = f32::from_bits(largest & f32::INFINITY.to_bits());
        *scale = if power < SMALLEST {
            0.0
        } else if power.is_finite() {
            // 2^127 has no inverse that is a normal number.
            power.min(f32::from_bits(253 << 23))
        } else {
            1.0
        };
    }
}

/// [`integer`], or 0 where the scale says it all.
#[inline(always)]
fn kept_integer(value: f32, inverse: f32) -> i16 {
    if inverse == 0.0 { 0 } else { nearest(value, inverse) }
}

/// Writes a pair of inputs of all columns.
#[inline(always)]
fn interleave(panel: &mut [i16], pair: usize, even: &[i16; PANEL], odd: &[i16; PANEL]) {
    for (column, pair) in panel[pair * 2 * PANEL..][..2 * PANEL].as_chunks_mut::<2>().0.iter_mut().enumerate()
    {
        *pair = [even[column], odd[column]];
    }
}

/// See [`BlockScale::crossed`]: `crossed` of quantize at the scalar level.
pub(crate) fn crossed_body(q: &[i16]) -> i32 {
    -q.as_chunks::<4>().0.iter().map(|&[a, b, c, d]| product(a, c) + product(b, d)).sum::<i32>()
}
