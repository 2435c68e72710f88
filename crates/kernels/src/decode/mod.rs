//! Plain decoding of every tensor type connote computes with: the oracle for packing.
//!
//! A tensor's bytes are blocks, each of some bytes that stand for some values; blocks lie back to back and
//! need no alignment. Every function here computes in `f32` with ggml's order of operations, so that results
//! are the same bits as those of the `gguf` Python package, which the fixtures of this crate hold.
//! Arbitrary bytes decode without panic: no stored number is a place or a count. A block whose scale is not
//! finite decodes to values that are not finite; refusing them is the loader's task.
//!
//! Source of the layouts: `ggml-common.h` and `gguf-py` of the ggml project.

mod blocks;
mod half;
mod integers;
mod iq4;
mod k_quants;
mod legacy;
mod plain;

pub use half::f16_to_f32;
pub use integers::{DecodeIntegers, RUN, integer_decoder};

use gguf::TensorType;

/// Decodes whole blocks: `bytes` little-endian as in the file, `out` the values in the file's order.
///
/// # Panics
/// If `bytes` are no whole blocks, or `out` is not exactly their values:
/// `bytes.len() / block_bytes * block_elements == out.len()`.
pub type Decode = fn(bytes: &[u8], out: &mut [f32]);

/// All of them.
const DECODERS: [(TensorType, Decode); 15] = [
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
    (TensorType::IQ4_NL, iq4::iq4_nl),
    (TensorType::IQ4_XS, iq4::iq4_xs),
];

/// Types with a decoder.
pub const DECODABLE: &[TensorType] = &types(&DECODERS);

/// The plain decode function of a tensor type, or `None` if connote cannot compute with it.
pub fn decoder(ty: TensorType) -> Option<Decode> {
    of_type(&DECODERS, ty)
}

/// All values of a tensor's bytes; `None` if connote cannot compute with the type.
///
/// # Panics
/// If the bytes are no whole blocks.
pub fn values(ty: TensorType, bytes: &[u8]) -> Option<Vec<f32>> {
    let decode = decoder(ty)?;
    let mut values = vec![0.0; bytes.len() / ty.block_bytes() * ty.block_elements()];
    decode(bytes, &mut values);
    Some(values)
}

/// The types of a table's functions.
pub(crate) const fn types<F: Copy, const N: usize>(table: &[(TensorType, F); N]) -> [TensorType; N] {
    let mut types = [table[0].0; N];
    let mut row = 1;
    while row < N {
        types[row] = table[row].0;
        row += 1;
    }
    types
}

/// The function that a table has for a type.
pub(crate) fn of_type<F: Copy>(table: &[(TensorType, F)], ty: TensorType) -> Option<F> {
    table.iter().find(|(known, _)| *known == ty).map(|(_, function)| *function)
}
