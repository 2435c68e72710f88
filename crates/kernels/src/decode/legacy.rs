//! Blocks of 32 values under one f16 scale, and one f16 minimum in the `_1` types.

use super::blocks::{f16_at, field};
use super::integers::Affine;

/// Q4_0, 18 bytes: `d` f16, 16 bytes of nibbles; `y = d * (q - 8)`.
#[inline(always)]
pub(super) fn q4_0(block: &[u8; 18], out: &mut [i8; 32], of: &mut [Affine; 2]) {
    *of = [Affine::scale(f16_at(block, 0)); 2];
    nibbles(field(block, 2), out, |q| q as i8 - 8);
}

/// Q4_1, 20 bytes: `d` f16, `m` f16, 16 bytes of nibbles; `y = d * q + m`.
#[inline(always)]
pub(super) fn q4_1(block: &[u8; 20], out: &mut [i8; 32], of: &mut [Affine; 2]) {
    *of = [Affine { scale: f16_at(block, 0), offset: f16_at(block, 2) }; 2];
    nibbles(field(block, 4), out, |q| q as i8);
}

/// Q5_0, 22 bytes: `d` f16, 32 fifth bits, 16 bytes of nibbles; `y = d * (q - 16)`.
#[inline(always)]
pub(super) fn q5_0(block: &[u8; 22], out: &mut [i8; 32], of: &mut [Affine; 2]) {
    *of = [Affine::scale(f16_at(block, 0)); 2];
    five_bits(field(block, 2), field(block, 6), out, |q| q as i8 - 16);
}

/// Q5_1, 24 bytes: `d` f16, `m` f16, 32 fifth bits, 16 bytes of nibbles; `y = d * q + m`.
#[inline(always)]
pub(super) fn q5_1(block: &[u8; 24], out: &mut [i8; 32], of: &mut [Affine; 2]) {
    *of = [Affine { scale: f16_at(block, 0), offset: f16_at(block, 2) }; 2];
    five_bits(field(block, 4), field(block, 8), out, |q| q as i8);
}

/// Q8_0, 34 bytes: `d` f16, 32 signed bytes; `y = d * q`.
#[inline(always)]
pub(super) fn q8_0(block: &[u8; 34], out: &mut [i8; 32], of: &mut [Affine; 2]) {
    *of = [Affine::scale(f16_at(block, 0)); 2];
    *out = field::<32>(block, 2).map(|q| q as i8);
}

/// Low nibbles are the first 16 values, high nibbles the last 16; `value` maps 0..=15.
#[inline(always)]
pub(super) fn nibbles(packed: &[u8; 16], out: &mut [i8; 32], value: impl Fn(u8) -> i8) {
    let (low, high) = out.split_at_mut(16);
    for ((&pair, low), high) in packed.iter().zip(low).zip(high) {
        *low = value(pair & 15);
        *high = value(pair >> 4);
    }
}

/// Nibbles as above, each with its fifth bit: bit `e` of `fifth` (little-endian) belongs to value `e`;
/// `value` maps 0..=31.
#[inline(always)]
fn five_bits(fifth: &[u8; 4], packed: &[u8; 16], out: &mut [i8; 32], value: impl Fn(u8) -> i8) {
    let fifth = u32::from_le_bytes(*fifth);
    let (low, high) = out.split_at_mut(16);
    for (e, ((&pair, low), high)) in packed.iter().zip(low).zip(high).enumerate() {
        *low = value(pair & 15 | ((fifth >> e & 1) << 4) as u8);
        *high = value(pair >> 4 | ((fifth >> (e + 16) & 1) << 4) as u8);
    }
}
