//! Activations and weights as integers of 12 and a half bits.
//!
//! Both reach +-2895, so a sum of 256 products stays below 2^31: exact in i32, in any order. Each 256 values
//! have a scale of their own; one scale a token costs outliers. Other ways to share the bits out, and what they
//! cost, are in docs/KERNELS.md.

use crate::table::DEPTH;

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
const LIMIT: f32 = 2895.0;
/// Blocks with smaller values than this are zero: their inverse scale would not be finite.
const SMALLEST: f32 = 1e-30;

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
    // Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits, in two's complement.
    const ROUND: f32 = 12_582_912.0;
    const { assert!(LIMIT * LIMIT * DEPTH as f32 <= 2_147_483_648.0) }
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
        let zero = largest < SMALLEST;
        *scale = BlockScale { scale: if zero { 0.0 } else { largest / LIMIT }, crossed: 0 };
        if zero || !largest.is_finite() {
            // The scale says it all; integers made of NaN could be any.
            q.fill(0);
            continue;
        }
        let inverse = LIMIT / largest;
        for (q, &value) in q.iter_mut().zip(x) {
            *q = (value * inverse + ROUND).to_bits() as i16;
        }
        scale.crossed = crossed(q);
    }
}

/// See [`BlockScale::crossed`]: `crossed` of quantize at the scalar level.
pub(crate) fn crossed_body(q: &[i16]) -> i32 {
    let product = |x: i16, y: i16| i32::from(x) * i32::from(y);
    -q.as_chunks::<4>().0.iter().map(|&[a, b, c, d]| product(a, c) + product(b, d)).sum::<i32>()
}
