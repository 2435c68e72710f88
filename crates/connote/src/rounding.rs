//! Vectors in fewer bits, where no scale goes beside them: what clients of Voyage, Mistral and sentence-transformers ask for.

/// Integers from -127 to 127, the largest of a vector being 127. One scale for all vectors would be too coarse for most or too
/// small for some; a vector of length 1 needs none beside it: its scale is 1 / the length of its integers.
pub fn rounded_to_int8(vector: &[f32]) -> impl ExactSizeIterator<Item = i8> {
    let largest = vector.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    vector.iter().map(move |value| (value / largest * 127.0).round_ties_even() as i8)
}

/// Bits that say which values are above 0, eight a byte, the first in the highest, as `numpy.packbits` has them.
pub fn packed_signs(vector: &[f32]) -> impl ExactSizeIterator<Item = u8> {
    let byte = |eight: &[f32]| {
        eight.iter().enumerate().map(|(place, &value)| u8::from(value > 0.0) << (7 - place)).sum()
    };
    vector.chunks(8).map(byte)
}
