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

/// Appends a vector in half precision; a value past its range is an error that names it.
pub(crate) fn to_f16(vector: &[f32], out: &mut Vec<u16>) -> Result<(), f32> {
    for &value in vector {
        let half = f16::from_f32(value);
        if !half.is_finite() {
            return Err(value);
        }
        out.push(half.to_bits());
    }
    Ok(())
}
