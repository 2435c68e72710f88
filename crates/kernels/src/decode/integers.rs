//! Types whose values are integers of a byte times a scale: those integers, and the scales.

use gguf::TensorType;

use super::blocks::{blocks_of, f16_at, field};
use super::legacy::{five_bits, nibbles};
use super::of_type;

/// Values under one scale.
pub const RUN: usize = 32;

/// Decodes whole blocks into integers and a scale for each [`RUN`] of them, whose products are what
/// [`Decode`](super::Decode) gives, bit by bit.
///
/// # Panics
/// If `bytes` are no whole blocks, or there is not exactly room for their values.
pub type DecodeIntegers = fn(bytes: &[u8], integers: &mut [i8], scales: &mut [f32]);

const DECODERS: [(TensorType, DecodeIntegers); 3] =
    [(TensorType::Q4_0, q4_0), (TensorType::Q5_0, q5_0), (TensorType::Q8_0, q8_0)];

/// The function for a tensor type, or `None` if its values are not of that form.
pub fn integer_decoder(ty: TensorType) -> Option<DecodeIntegers> {
    of_type(&DECODERS, ty)
}

fn q4_0(bytes: &[u8], integers: &mut [i8], scales: &mut [f32]) {
    each_run(TensorType::Q4_0, bytes, integers, scales, |block: &[u8; 18], out| {
        nibbles(field(block, 2), out, |q| q as i8 - 8);
    });
}

fn q5_0(bytes: &[u8], integers: &mut [i8], scales: &mut [f32]) {
    each_run(TensorType::Q5_0, bytes, integers, scales, |block: &[u8; 22], out| {
        five_bits(field(block, 2), field(block, 6), out, |q| q as i8 - 16);
    });
}

fn q8_0(bytes: &[u8], integers: &mut [i8], scales: &mut [f32]) {
    each_run(TensorType::Q8_0, bytes, integers, scales, |block: &[u8; 34], out| {
        *out = field::<RUN>(block, 2).map(|q| q as i8);
    });
}

/// Calls `decode` with every block and room for its integers. All of these blocks begin with their scale.
#[inline(always)]
fn each_run<const BYTES: usize>(
    ty: TensorType,
    bytes: &[u8],
    integers: &mut [i8],
    scales: &mut [f32],
    mut decode: impl FnMut(&[u8; BYTES], &mut [i8; RUN]),
) {
    let blocks = blocks_of::<BYTES, RUN>(ty, bytes, integers.len());
    assert_eq!(scales.len(), blocks.len(), "{ty}: a scale for every block");
    for ((block, out), scale) in blocks.iter().zip(integers.as_chunks_mut::<RUN>().0).zip(scales) {
        *scale = f16_at(block, 0);
        decode(block, out);
    }
}
