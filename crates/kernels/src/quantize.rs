//! Activations and weights as integers of 12 and a half bits.
//!
//! Both reach +-2895, so a sum of 256 products stays below 2^31: exact in i32, in any order. Each 256 values
//! have a scale of their own; one scale a token costs outliers. Other ways to share the bits out, and what they
//! cost, are in docs/KERNELS.md.

use crate::table::DEPTH;

/// The largest integer.
const LIMIT: f32 = 2895.0;
/// Blocks with smaller values than this are zero: their inverse scale would not be finite.
const SMALLEST: f32 = 1e-30;

/// One row; see [`crate::Kernels::quantize`]. `q = round(x / scale)` with `scale = max |x| / 2895` over each
/// block. NaN and infinity make their block's scale not finite, so that they stay visible in every product.
#[inline(always)]
pub(crate) fn quantize_body(x: &[f32], q: &mut [i16], scales: &mut [f32]) {
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
        *scale = if zero { 0.0 } else { largest / LIMIT };
        if zero || !largest.is_finite() {
            // The scale says it all; integers made of NaN could be any.
            q.fill(0);
            continue;
        }
        let inverse = LIMIT / largest;
        for (q, &value) in q.iter_mut().zip(x) {
            *q = (value * inverse + ROUND).to_bits() as i16;
        }
    }
}
