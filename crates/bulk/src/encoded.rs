//! Vectors in the form that is written.

use half::f16;
use index::{Precision, pack_bits, to_f16};

/// Vectors in the form that is written, one after another.
#[derive(Debug)]
pub(crate) enum Encoded {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Int8 { values: Vec<i8>, scales: Vec<f32> },
    Bits(Vec<u8>),
}

impl Encoded {
    pub(crate) fn new(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(Vec::new()),
            Precision::F16 => Self::F16(Vec::new()),
            Precision::Int8 => Self::Int8 { values: Vec::new(), scales: Vec::new() },
            Precision::Binary => Self::Bits(Vec::new()),
        }
    }

    /// Appends a vector.
    ///
    /// # Errors
    /// The value that is too large for half precision.
    pub(crate) fn push(&mut self, vector: &[f32]) -> Result<(), f32> {
        match self {
            Self::F32(values) => values.extend_from_slice(vector),
            Self::F16(values) => to_f16(vector, values)?,
            Self::Int8 { values, scales } => scales.push(to_int8(vector, values)),
            Self::Bits(bytes) => to_bits(vector, bytes),
        }
        Ok(())
    }

    /// Appends zeros in the place of a vector that is not there.
    pub(crate) fn push_absent(&mut self, dimensions: usize) {
        match self {
            Self::F32(values) => values.resize(values.len() + dimensions, 0.0),
            Self::F16(values) => values.resize(values.len() + dimensions, f16::ZERO),
            Self::Int8 { values, scales } => {
                values.resize(values.len() + dimensions, 0);
                scales.push(0.0);
            }
            Self::Bits(bytes) => bytes.resize(bytes.len() + dimensions.div_ceil(8), 0),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::F32(values) => values.clear(),
            Self::F16(values) => values.clear(),
            Self::Int8 { values, scales } => {
                values.clear();
                scales.clear();
            }
            Self::Bits(bytes) => bytes.clear(),
        }
    }
}

/// Rounds to multiples of the scale that it gives back.
pub(crate) fn to_int8(vector: &[f32], out: &mut Vec<i8>) -> f32 {
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    // Not 0 even for values so small that they have no 127th.
    let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
    out.extend(vector.iter().map(|&value| (value / scale).round_ties_even().clamp(-127.0, 127.0) as i8));
    scale
}

/// The scale of integers that stand for a vector of length 1.
pub(crate) fn unit_scale(integers: &[i8]) -> f32 {
    let sum: i64 = integers.iter().map(|&value| i64::from(value) * i64::from(value)).sum();
    if sum == 0 { 0.0 } else { (1.0 / (sum as f64).sqrt()) as f32 }
}

/// Packs the signs.
pub(crate) fn to_bits(vector: &[f32], out: &mut Vec<u8>) {
    pack_bits(vector.iter().map(|value| *value > 0.0), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_times_their_scale_are_the_values_within_half_a_step() {
        let vector = [0.0, 0.05, -0.15, 0.25, 12.7, -12.7];
        let mut out = Vec::new();
        let scale = to_int8(&vector, &mut out);
        assert_eq!((out[0], out[4], out[5]), (0, 127, -127));
        for (&integer, value) in out.iter().zip(vector) {
            assert!((f32::from(integer) * scale - value).abs() <= scale * 0.500_001, "{integer} for {value}");
        }
        for tiny in [0.0, 1e-45, 1e-38] {
            out.clear();
            let scale = to_int8(&[tiny, -tiny], &mut out);
            assert!(scale > 0.0 && (f32::from(out[0]) * scale - tiny).abs() <= scale, "{tiny}");
        }
    }

    #[test]
    fn the_scale_of_a_unit_vector_is_known_without_being_written() {
        let vector: Vec<f32> = [3.0, -4.0, 12.0, 84.0].map(|value| value / 85.0).to_vec();
        let mut out = Vec::new();
        let scale = to_int8(&vector, &mut out);
        assert!((unit_scale(&out) / scale - 1.0).abs() < 0.01);
        assert_eq!(unit_scale(&[0, 0]), 0.0);
    }

    #[test]
    fn bits_stand_as_numpy_packs_them() {
        let mut out = Vec::new();
        to_bits(&[1.0, -1.0, 0.0, 2.0, -0.0, 1e-30, -3.0, 0.5, 0.1, -0.1, 0.1], &mut out);
        assert_eq!(out, [0b1001_0101, 0b1010_0000]);
        assert_eq!(Precision::Binary.width(11), 2);
    }
}
