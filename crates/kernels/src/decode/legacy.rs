//! Blocks of 32 values under one f16 scale, and one f16 minimum in the `_1` types.

use gguf::TensorType;

use super::blocks::{each_block, f16_at, field};

/// Q4_0, 18 bytes: `d` f16, 16 bytes of nibbles; `y = d * (q - 8)`.
pub(super) fn q4_0(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::Q4_0, bytes, out, |block: &[u8; 18], out| {
        let d = f16_at(block, 0);
        nibbles(field(block, 2), out, |q| d * f32::from(q as i8 - 8));
    });
}

/// Q4_1, 20 bytes: `d` f16, `m` f16, 16 bytes of nibbles; `y = d * q + m`.
pub(super) fn q4_1(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::Q4_1, bytes, out, |block: &[u8; 20], out| {
        let (d, m) = (f16_at(block, 0), f16_at(block, 2));
        nibbles(field(block, 4), out, |q| d * f32::from(q) + m);
    });
}

/// Q5_0, 22 bytes: `d` f16, 32 fifth bits, 16 bytes of nibbles; `y = d * (q - 16)`.
pub(super) fn q5_0(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::Q5_0, bytes, out, |block: &[u8; 22], out| {
        let d = f16_at(block, 0);
        five_bits(field(block, 2), field(block, 6), out, |q| d * f32::from(q as i8 - 16));
    });
}

/// Q5_1, 24 bytes: `d` f16, `m` f16, 32 fifth bits, 16 bytes of nibbles; `y = d * q + m`.
pub(super) fn q5_1(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::Q5_1, bytes, out, |block: &[u8; 24], out| {
        let (d, m) = (f16_at(block, 0), f16_at(block, 2));
        five_bits(field(block, 4), field(block, 8), out, |q| d * f32::from(q) + m);
    });
}

/// Q8_0, 34 bytes: `d` f16, 32 signed bytes; `y = d * q`.
pub(super) fn q8_0(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::Q8_0, bytes, out, |block: &[u8; 34], out: &mut [f32; 32]| {
        let d = f16_at(block, 0);
        for (out, &q) in out.iter_mut().zip(field::<32>(block, 2)) {
            *out = d * f32::from(q as i8);
        }
    });
}

/// Low nibbles are the first 16 values, high nibbles the last 16; `value` maps 0..=15.
#[inline(always)]
pub(super) fn nibbles<T>(packed: &[u8; 16], out: &mut [T; 32], value: impl Fn(u8) -> T) {
    let (low, high) = out.split_at_mut(16);
    for ((&pair, low), high) in packed.iter().zip(low).zip(high) {
        *low = value(pair & 15);
        *high = value(pair >> 4);
    }
}

/// Nibbles as above, each with its fifth bit: bit `e` of `fifth` (little-endian) belongs to value `e`;
/// `value` maps 0..=31.
#[inline(always)]
pub(super) fn five_bits<T>(fifth: &[u8; 4], packed: &[u8; 16], out: &mut [T; 32], value: impl Fn(u8) -> T) {
    let fifth = u32::from_le_bytes(*fifth);
    let (low, high) = out.split_at_mut(16);
    for (e, ((&pair, low), high)) in packed.iter().zip(low).zip(high).enumerate() {
        *low = value(pair & 15 | ((fifth >> e & 1) << 4) as u8);
        *high = value(pair >> 4 | ((fifth >> (e + 16) & 1) << 4) as u8);
    }
}
