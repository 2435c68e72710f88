//! Execution layouts: the few forms in which the products read weights and activations.

use gguf::TensorType;

use crate::table::Kernels;

/// A form in which a product reads its weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// f32 on both sides: exact, for files of floats.
    F32,
    /// 12 and a half bits on both sides, with a scale an output or row and [`crate::DEPTH`] inputs; i32 sums.
    I16,
    /// bf16 on both sides, f32 sums: what tile registers multiply.
    Bf16,
}

impl Layout {
    /// The layout for weights that a file holds as these types: quantised ones as the level wants them, but
    /// exact if any part is of floats.
    pub fn of(kernels: &Kernels, types: impl IntoIterator<Item = TensorType>) -> Self {
        let floats = |ty| matches!(ty, TensorType::F32 | TensorType::F16 | TensorType::BF16);
        if types.into_iter().any(floats) { Layout::F32 } else { kernels.quantised }
    }

    /// The name it has in reports.
    pub fn name(self) -> &'static str {
        match self {
            Layout::F32 => "f32",
            Layout::I16 => "i16",
            Layout::Bf16 => "bf16",
        }
    }

    /// Inputs are filled up with zeros to a multiple of this.
    pub(crate) fn step(self) -> usize {
        match self {
            Layout::F32 => 1,
            Layout::I16 => 2,
            Layout::Bf16 => crate::tile_bf16::STEP,
        }
    }

    /// Bytes of a value, of weights as of activations; scales are beside them.
    pub fn size(self) -> usize {
        match self {
            Layout::F32 => size_of::<f32>(),
            Layout::I16 | Layout::Bf16 => size_of::<i16>(),
        }
    }
}
