//! Writing values as every tensor type that connote makes: the inverse of [`crate::decode`].
//!
//! F16, BF16 and the types of 32 values are the same bits as ggml's reference quantisers. K-quants are searched for
//! here: each block ends with the smallest squared error that a bounded search finds, which is below that of
//! `llama-quantize` without an importance matrix (`crates/convert/tests`, docs/MODELS.md).
//!
//! Values must be finite; who reads a model checks that once for a whole tensor ([`overflows`] says it for a type).

mod asymmetric;
mod blocks;
mod half;
mod k_quants;
mod legacy;
mod plain;
mod symmetric;

pub use half::f32_to_f16;

use gguf::TensorType;

use crate::decode::{of_type, types};

/// Encodes whole blocks: `values` in the file's order, `out` little-endian as in the file.
///
/// # Panics
/// If `values` are no whole blocks, or `out` is not exactly their bytes:
/// `values.len() / block_elements * block_bytes == out.len()`.
pub type Encode = fn(values: &[f32], out: &mut [u8]);

/// All of them.
const ENCODERS: [(TensorType, Encode); 13] = [
    (TensorType::F32, plain::f32),
    (TensorType::F16, plain::f16),
    (TensorType::BF16, plain::bf16),
    (TensorType::Q4_0, legacy::q4_0),
    (TensorType::Q4_1, legacy::q4_1),
    (TensorType::Q5_0, legacy::q5_0),
    (TensorType::Q5_1, legacy::q5_1),
    (TensorType::Q8_0, legacy::q8_0),
    (TensorType::Q2_K, k_quants::q2_k),
    (TensorType::Q3_K, k_quants::q3_k),
    (TensorType::Q4_K, k_quants::q4_k),
    (TensorType::Q5_K, k_quants::q5_k),
    (TensorType::Q6_K, k_quants::q6_k),
];

/// Types with an encoder.
pub const ENCODABLE: &[TensorType] = &types(&ENCODERS);

/// The encode function of a tensor type, or `None` if connote does not write it.
pub fn encoder(ty: TensorType) -> Option<Encode> {
    of_type(&ENCODERS, ty)
}

/// Whether a finite value of this magnitude would become infinite in `ty`: beyond what f16 holds, as a value or as the
/// scale of a block.
pub fn overflows(ty: TensorType, largest: f32) -> bool {
    /// What rounds to infinity: half a step above 65504.
    const F16: f32 = 65_520.0;
    match ty {
        TensorType::F32 => false,
        TensorType::BF16 => largest >= f32::from_bits(0x7f7f_8000),
        // Scales are a fraction of the values, but minima are the values themselves.
        _ => largest >= F16,
    }
}
