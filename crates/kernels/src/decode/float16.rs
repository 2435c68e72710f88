//! Floats of 16 bits.

use gguf::TensorType;

use super::half::f16_to_f32;

/// A float of 16 bits, whose value an f32 has exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float16 {
    /// IEEE binary16.
    F16,
    /// The upper half of an IEEE binary32.
    Bf16,
}

impl Float16 {
    /// What a tensor of this type holds, if it is such.
    pub fn of(ty: TensorType) -> Option<Self> {
        match ty {
            TensorType::F16 => Some(Self::F16),
            TensorType::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// The value that the bits stand for.
    #[inline(always)]
    pub fn value(self, bits: u16) -> f32 {
        match self {
            Self::F16 => f16_to_f32(bits),
            Self::Bf16 => f32::from_bits(u32::from(bits) << 16),
        }
    }
}
