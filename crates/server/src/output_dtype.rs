//! Vectors in fewer bits, as Voyage's and Mistral's clients ask for them.

use serde::Deserialize;

/// What the values of a vector are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputDtype {
    #[default]
    Float,
    /// -127 to 127, the largest of a vector being 127. One scale for all vectors would be too coarse for most or too small for
    /// some; a vector of length 1 needs none beside it: its scale is 1 / the length of its integers.
    Int8,
    /// The same and 128.
    Uint8,
    /// The bytes of [`Ubinary`](Self::Ubinary) less 128.
    Binary,
    /// Bits that say which values are above 0, eight a byte, the first in the highest, as `numpy.packbits` has them.
    Ubinary,
}

impl OutputDtype {
    /// A vector's integers; `None` where it is floats.
    pub(crate) fn integers(self, vector: &[f32]) -> Option<Vec<i16>> {
        match self {
            OutputDtype::Float => None,
            OutputDtype::Int8 => Some(rounded(vector, 0)),
            OutputDtype::Uint8 => Some(rounded(vector, 128)),
            OutputDtype::Binary => Some(packed(vector, -128)),
            OutputDtype::Ubinary => Some(packed(vector, 0)),
        }
    }
}

/// The bytes of integers that have one each.
pub(crate) fn bytes(integers: &[i16]) -> Vec<u8> {
    integers.iter().map(|&integer| integer as u8).collect()
}

fn rounded(vector: &[f32], offset: i16) -> Vec<i16> {
    let largest = vector.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    vector.iter().map(|value| (value / largest * 127.0).round_ties_even() as i16 + offset).collect()
}

fn packed(vector: &[f32], offset: i16) -> Vec<i16> {
    let byte = |eight: &[f32]| {
        let bits = eight.iter().enumerate().map(|(place, &value)| i16::from(value > 0.0) << (7 - place));
        bits.sum::<i16>() + offset
    };
    vector.chunks(8).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_rounded_and_bits_packed() {
        let vector = [0.5, -0.25, 0.0, -0.5, 0.002, 0.001, -1e-9, 0.1, 0.3, -0.3];
        let of = |dtype: OutputDtype| dtype.integers(&vector);
        let int8 = [127, -64, 0, -127, 1, 0, 0, 25, 76, -76];
        assert_eq!(of(OutputDtype::Float), None);
        assert_eq!(of(OutputDtype::Int8), Some(int8.to_vec()));
        assert_eq!(of(OutputDtype::Uint8), Some(int8.map(|value| value + 128).to_vec()));
        assert_eq!(of(OutputDtype::Ubinary), Some(vec![0b1000_1101, 0b1000_0000]));
        assert_eq!(of(OutputDtype::Binary), Some(vec![0b1000_1101 - 128, 0]));
        assert_eq!(bytes(&[-1, -128, 127, 255]), [255, 128, 127, 255]);
    }
}
