//! Types of 32 values under one scale, or a scale and a minimum: the bits of ggml's reference quantisers.
//!
//! The scale is stored as f16, but values are divided by the f32 that it was rounded from; and a value is rounded by adding
//! a half and cutting off. Both could be done better, and would then no longer be the bits that everybody has.

use gguf::TensorType;

use super::blocks::{each_block, put_f16};

/// Q8_0: `d = max |x| / 127`, halves away from zero.
pub(super) fn q8_0(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q8_0, values, out, |block: &[f32; 32], bytes: &mut [u8; 34]| {
        let largest = block.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let scale = largest / 127.0;
        let inverse = inverse(scale);
        put_f16(bytes, 0, scale);
        for (byte, x) in bytes[2..].iter_mut().zip(block) {
            *byte = (x * inverse).round() as i8 as u8;
        }
    });
}

/// Q4_0: the value of largest magnitude becomes -8.
pub(super) fn q4_0(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q4_0, values, out, |block: &[f32; 32], bytes: &mut [u8; 18]| {
        let scale = outermost(block) / -8.0;
        let inverse = inverse(scale);
        put_f16(bytes, 0, scale);
        pack_low_bits(&block.map(|x| ((x * inverse + 8.5) as i8).min(15) as u8), &mut bytes[2..]);
    });
}

/// Q4_1: from the least value to the largest in 15 steps.
pub(super) fn q4_1(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q4_1, values, out, |block: &[f32; 32], bytes: &mut [u8; 20]| {
        let (least, largest) = range(block);
        let scale = (largest - least) / 15.0;
        let inverse = inverse(scale);
        put_f16(bytes, 0, scale);
        put_f16(bytes, 2, least);
        pack_low_bits(&block.map(|x| (((x - least) * inverse + 0.5) as i8).min(15) as u8), &mut bytes[4..]);
    });
}

/// Q5_0: the value of largest magnitude becomes -16.
pub(super) fn q5_0(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q5_0, values, out, |block: &[f32; 32], bytes: &mut [u8; 22]| {
        let scale = outermost(block) / -16.0;
        let inverse = inverse(scale);
        put_f16(bytes, 0, scale);
        let codes = block.map(|x| ((x * inverse + 16.5) as i8).min(31) as u8);
        bytes[2..6].copy_from_slice(&fifth_bits(&codes).to_le_bytes());
        pack_low_bits(&codes, &mut bytes[6..]);
    });
}

/// Q5_1: from the least value to the largest in 31 steps.
pub(super) fn q5_1(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q5_1, values, out, |block: &[f32; 32], bytes: &mut [u8; 24]| {
        let (least, largest) = range(block);
        let scale = (largest - least) / 31.0;
        let inverse = inverse(scale);
        put_f16(bytes, 0, scale);
        put_f16(bytes, 2, least);
        let codes = block.map(|x| ((x - least) * inverse + 0.5) as u8);
        bytes[4..8].copy_from_slice(&fifth_bits(&codes).to_le_bytes());
        pack_low_bits(&codes, &mut bytes[8..]);
    });
}

/// 0 where there is none, as for scales so small that f16 has only 0 for them.
fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// The first value of the largest magnitude.
fn outermost(block: &[f32; 32]) -> f32 {
    block.iter().fold(0f32, |outermost, &x| if x.abs() > outermost.abs() { x } else { outermost })
}

fn range(block: &[f32; 32]) -> (f32, f32) {
    block.iter().fold((f32::MAX, f32::MIN), |(least, largest), &x| {
        (if x < least { x } else { least }, if x > largest { x } else { largest })
    })
}

/// Value `j` is the low nibble of byte `j`, value `j + 16` its high nibble.
fn pack_low_bits(codes: &[u8; 32], nibbles: &mut [u8]) {
    let (low, high) = codes.split_at(16);
    for ((byte, low), high) in nibbles.iter_mut().zip(low).zip(high) {
        *byte = low & 15 | high << 4;
    }
}

fn fifth_bits(codes: &[u8; 32]) -> u32 {
    codes.iter().enumerate().fold(0, |bits, (j, code)| bits | u32::from(code >> 4 & 1) << j)
}
