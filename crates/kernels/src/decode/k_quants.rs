//! K-quants: blocks of 256 values in sub-blocks of 16 or 32, whose small scales and minima are themselves
//! quantised under one f16 scale (`d`) and one f16 scale of minima (`dmin`).

use super::blocks::{f16_at, field};
use super::integers::{Affine, RUN};

/// Q2_K, 84 bytes: 16 bytes (low nibble scale, high nibble minimum), 64 bytes of 2-bit values, `d`, `dmin`;
/// `y = (d * scale) * q - dmin * minimum`, a scale for 16 values.
#[inline(always)]
pub(super) fn q2_k(block: &[u8; 84], out: &mut [i8; 256], of: &mut [Affine; 16]) {
    let scales: &[u8; 16] = field(block, 0);
    let (d, dmin) = (f16_at(block, 80), f16_at(block, 82));
    for (s, (out, of)) in out.as_chunks_mut::<RUN>().0.iter_mut().zip(of).enumerate() {
        let (byte, shift) = two_bits(s);
        let minimum = dmin * f32::from(scales[s] >> 4);
        *of = Affine { scale: d * f32::from(scales[s] & 15), offset: -minimum };
        *out = field::<RUN>(block, 16 + byte).map(|low| (low >> shift & 3) as i8);
    }
}

/// Q3_K, 110 bytes: 32 bytes of third bits, 64 bytes of low 2 bits, 12 bytes of 6-bit scales, `d`;
/// `y = (d * (scale - 32)) * q` with q in -4..=3, a scale for 16 values. A third bit that is NOT set takes 4 off.
#[inline(always)]
pub(super) fn q3_k(block: &[u8; 110], out: &mut [i8; 256], of: &mut [Affine; 16]) {
    let scales: &[u8; 12] = field(block, 96);
    let d = f16_at(block, 108);
    for (s, (out, of)) in out.as_chunks_mut::<RUN>().0.iter_mut().zip(of).enumerate() {
        let (byte, shift) = two_bits(s);
        // 8 bytes hold the low nibbles of scales 0..8, then 8..16; a byte holds the high pairs of four scales.
        let low = scales[s % 8] >> (4 * (s / 8)) & 15;
        let high = scales[8 + s % 4] >> (2 * (s / 4)) & 3;
        *of = Affine::scale(d * f32::from((low | high << 4) as i8 - 32));
        let third: &[u8; RUN] = field(block, 16 * (s % 2));
        for ((out, &low), &third) in out.iter_mut().zip(field::<RUN>(block, 32 + byte)).zip(third) {
            let q = low >> shift & 3 | (third >> (s / 2) & 1) << 2;
            *out = q as i8 - 4;
        }
    }
}

/// First byte and shift of the low 2 bits of a sub-block of 16 values: a half of the block (128 values) is 32
/// bytes, in which bits 0..2 of all bytes come first, then bits 2..4, and so on.
#[inline(always)]
fn two_bits(sub_block: usize) -> (usize, usize) {
    let (half, row, side) = (sub_block / 8, sub_block / 2 % 4, sub_block % 2);
    (32 * half + 16 * side, 2 * row)
}

/// Q4_K, 144 bytes: `d`, `dmin`, 12 bytes of 6-bit scales and minima, 128 bytes of nibbles;
/// `y = (d * scale) * q - dmin * minimum`, a scale for 32 values.
#[inline(always)]
pub(super) fn q4_k(block: &[u8; 144], out: &mut [i8; 256], of: &mut [Affine; 16]) {
    let (d, dmin) = (f16_at(block, 0), f16_at(block, 2));
    let of = of.as_chunks_mut::<2>().0;
    for (b, (out, of)) in out.as_chunks_mut::<32>().0.iter_mut().zip(of).enumerate() {
        *of = [scale_and_minimum(field(block, 4), b, d, dmin); 2];
        let shift = 4 * (b % 2);
        *out = field::<32>(block, 16 + 32 * (b / 2)).map(|pair| (pair >> shift & 15) as i8);
    }
}

/// Q5_K, 176 bytes: as Q4_K, with 32 bytes of fifth bits before the nibbles: bit `b` of byte `l` belongs to value
/// `l` of sub-block `b`.
#[inline(always)]
pub(super) fn q5_k(block: &[u8; 176], out: &mut [i8; 256], of: &mut [Affine; 16]) {
    let (d, dmin) = (f16_at(block, 0), f16_at(block, 2));
    let fifth: &[u8; 32] = field(block, 16);
    let of = of.as_chunks_mut::<2>().0;
    for (b, (out, of)) in out.as_chunks_mut::<32>().0.iter_mut().zip(of).enumerate() {
        *of = [scale_and_minimum(field(block, 4), b, d, dmin); 2];
        let shift = 4 * (b % 2);
        for ((out, &pair), &fifth) in out.iter_mut().zip(field::<32>(block, 48 + 32 * (b / 2))).zip(fifth) {
            *out = (pair >> shift & 15 | (fifth >> b & 1) << 4) as i8;
        }
    }
}

/// Of sub-block `b` of Q4_K and Q5_K: scale and minimum are 0..=63. Bytes 0..4 and 4..8 hold the first four scales
/// and minima in their low 6 bits; their top 2 bits, over the nibbles of bytes 8..12, are the last four.
#[inline(always)]
fn scale_and_minimum(packed: &[u8; 12], b: usize, d: f32, dmin: f32) -> Affine {
    let (scale, minimum) = if b < 4 {
        (packed[b] & 63, packed[b + 4] & 63)
    } else {
        (packed[b + 4] & 15 | packed[b - 4] >> 6 << 4, packed[b + 4] >> 4 | packed[b] >> 6 << 4)
    };
    Affine { scale: d * f32::from(scale), offset: -(dmin * f32::from(minimum)) }
}

/// Q6_K, 210 bytes: 128 bytes of low nibbles, 64 bytes of high pairs, 16 signed scales, `d`;
/// `y = (d * scale) * (q - 32)`, a scale for 16 values.
#[inline(always)]
pub(super) fn q6_k(block: &[u8; 210], out: &mut [i8; 256], of: &mut [Affine; 16]) {
    let scales: &[u8; 16] = field(block, 192);
    let d = f16_at(block, 208);
    for (s, (out, of)) in out.as_chunks_mut::<RUN>().0.iter_mut().zip(of).enumerate() {
        // A half (128 values) is 64 bytes of nibbles and 32 bytes of pairs; its rows of 32 values take the low
        // nibbles of all 64 bytes, then the high ones, and bits 0..2, 2..4, 4..6, 6..8 of the pairs.
        let (half, row, side) = (s / 8, s / 2 % 4, s % 2);
        let low: &[u8; RUN] = field(block, 64 * half + 32 * (row % 2) + 16 * side);
        let high: &[u8; RUN] = field(block, 128 + 32 * half + 16 * side);
        *of = Affine::scale(d * f32::from(scales[s] as i8));
        for ((out, &low), &high) in out.iter_mut().zip(low).zip(high) {
            let q = low >> (4 * (row / 2)) & 15 | (high >> (2 * row) & 3) << 4;
            *out = q as i8 - 32;
        }
    }
}
