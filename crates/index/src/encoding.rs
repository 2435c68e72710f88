//! Vectors in coarser forms.

use half::f16;

/// The largest magnitude becomes this.
const MOST: f32 = 127.0;

/// Appends a vector as integers; gives its scale. Zeros have the scale 0.
pub(crate) fn to_int8(vector: &[f32], out: &mut Vec<i8>) -> f32 {
    let largest = vector.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let scale = largest / MOST;
    // A scale so small that it is 0, or that its inverse is none, leaves nothing to tell values apart by.
    let inverse = if scale > f32::MIN_POSITIVE { MOST / largest } else { 0.0 };
    // The cast saturates.
    out.extend(vector.iter().map(|value| (value * inverse).round() as i8));
    if inverse > 0.0 { scale } else { 0.0 }
}

/// Appends a vector as bits, 8 to a byte, the first in the highest; those past the end are 0, as `numpy.packbits` has them.
pub fn pack_bits(vector: impl ExactSizeIterator<Item = bool>, out: &mut Vec<u8>) {
    let begin = out.len();
    out.resize(begin + vector.len().div_ceil(8), 0);
    for (place, positive) in vector.enumerate() {
        out[begin + place / 8] |= u8::from(positive) << (7 - place % 8);
    }
}

/// Appends a vector in half precision, rounded to the nearest, ties to even.
///
/// # Errors
/// The first value that is past its range, which must not become infinite.
pub fn to_f16(vector: &[f32], out: &mut Vec<f16>) -> Result<(), f32> {
    for &value in vector {
        let half = f16::from_f32(value);
        if !half.is_finite() {
            return Err(value);
        }
        out.push(half);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_rounds_to_even_and_never_becomes_infinite() {
        let mut out = Vec::new();
        // Halfway between 1 and its neighbour 1 + 2^-10, and between that and the next.
        to_f16(&[1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 65504.0, 65519.0], &mut out).expect("they fit");
        let back: Vec<f32> = out.iter().map(|value| value.to_f32()).collect();
        assert_eq!(back, [1.0, 1.0 + 1.0 / 512.0, 65504.0, 65504.0]);
        for beyond in [-65520.0, f32::INFINITY] {
            assert_eq!(to_f16(&[1.0, beyond], &mut out), Err(beyond));
        }
    }
}
