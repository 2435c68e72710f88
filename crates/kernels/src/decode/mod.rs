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
mod float16;
mod half;
mod integers;
mod iq4;
mod k_quants;
mod legacy;
mod plain;

pub use float16::Float16;
pub use half::f16_to_f32;
pub use integers::{Affine, DecodeIntegers, Grain, RUN};

use gguf::TensorType;

use integers::quantised;

/// Decodes whole blocks: `bytes` little-endian as in the file, `out` the values in the file's order.
///
/// # Panics
/// If `bytes` are no whole blocks, or `out` is not exactly their values:
/// `bytes.len() / block_bytes * block_elements == out.len()`.
pub type Decode = fn(bytes: &[u8], out: &mut [f32]);

/// What a type is decoded by.
#[derive(Clone, Copy)]
struct Decoders {
    values: Decode,
    /// Where values are integers under scales.
    integers: Option<(Grain, DecodeIntegers)>,
}

/// All of them.
const DECODERS: [(TensorType, Decoders); 15] = [
    (TensorType::F32, Decoders { values: plain::f32, integers: None }),
    (TensorType::F16, Decoders { values: plain::f16, integers: None }),
    (TensorType::BF16, Decoders { values: plain::bf16, integers: None }),
    quantised!(Q4_0 Coarse legacy::q4_0),
    quantised!(Q4_1 Fine legacy::q4_1),
    quantised!(Q5_0 Coarse legacy::q5_0),
    quantised!(Q5_1 Fine legacy::q5_1),
    quantised!(Q8_0 Coarse legacy::q8_0),
    quantised!(Q2_K Fine k_quants::q2_k),
    quantised!(Q3_K Fine k_quants::q3_k),
    quantised!(Q4_K Fine k_quants::q4_k),
    quantised!(Q5_K Fine k_quants::q5_k),
    quantised!(Q6_K Fine k_quants::q6_k),
    quantised!(IQ4_NL Coarse iq4::iq4_nl),
    quantised!(IQ4_XS Coarse iq4::iq4_xs),
];

/// Types with a decoder.
pub const DECODABLE: &[TensorType] = &types(&DECODERS);

/// The plain decode function of a tensor type, or `None` if connote cannot compute with it.
pub fn decoder(ty: TensorType) -> Option<Decode> {
    Some(of_type(&DECODERS, ty)?.values)
}

/// Of a quantised type the function that gives its integers, and how far their scales reach; `None` for others.
pub fn integer_decoder(ty: TensorType) -> Option<(Grain, DecodeIntegers)> {
    of_type(&DECODERS, ty)?.integers
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
