//! Vectors in fewer bits, as Voyage's and Mistral's clients ask for them.

use connote::{packed_signs, rounded_to_int8};
use serde::Deserialize;

/// What the values of a vector are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputDtype {
    #[default]
    Float,
    /// Of [`rounded_to_int8`].
    Int8,
    /// The same and 128.
    Uint8,
    /// The bytes of [`Ubinary`](Self::Ubinary) less 128.
    Binary,
    /// Of [`packed_signs`].
    Ubinary,
}

impl OutputDtype {
    /// A vector's integers; `None` where it is floats.
    pub(crate) fn integers(self, vector: &[f32]) -> Option<Vec<i16>> {
        let rounded = |offset| rounded_to_int8(vector).map(|value| i16::from(value) + offset).collect();
        let packed = |offset| packed_signs(vector).map(|byte| i16::from(byte) + offset).collect();
        match self {
            OutputDtype::Float => None,
            OutputDtype::Int8 => Some(rounded(0)),
            OutputDtype::Uint8 => Some(rounded(128)),
            OutputDtype::Binary => Some(packed(-128)),
            OutputDtype::Ubinary => Some(packed(0)),
        }
    }
}

/// The bytes of integers that have one each.
pub(crate) fn bytes(integers: &[i16]) -> Vec<u8> {
    integers.iter().map(|&integer| integer as u8).collect()
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
