//! K-quants: how a fitted block is written. Layouts are drawn in `decode/k_quants.rs`.
//!
//! Everything below is inlined into one function a type, which is compiled for more than one processor.

use gguf::TensorType;

use super::asymmetric;
use super::blocks::{each_block, put_f16};
use super::symmetric;

/// Q2_K: 16 sub-blocks of 16 values of 2 bits, 4-bit scales and minima.
#[inline(always)]
pub(super) fn q2_k(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q2_K, values, out, q2_k_block);
}

#[inline(always)]
fn q2_k_block(block: &[f32; 256], bytes: &mut [u8; 84]) {
    let grid = asymmetric::Grid::<16> { levels: 3.0, units: 15.0 };
    let fit = grid.fit::<16>(block);
    bytes.fill(0);
    put_f16(bytes, 80, fit.d);
    put_f16(bytes, 82, fit.dmin);
    for s in 0..16 {
        bytes[s] = fit.scales[s] as u8 | (fit.minima[s] as u8) << 4;
        put_low_pairs(&mut bytes[16..80], s, &fit.codes[s].map(|q| q as u8));
    }
}

/// Q3_K: 16 sub-blocks of 16 values of 3 bits, 6-bit scales.
#[inline(always)]
pub(super) fn q3_k(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q3_K, values, out, q3_k_block);
}

#[inline(always)]
fn q3_k_block(block: &[f32; 256], bytes: &mut [u8; 110]) {
    let grid = symmetric::Grid { levels: 4.0, scales: 32.0 };
    let fit = grid.fit(block);
    bytes.fill(0);
    put_f16(bytes, 108, fit.d);
    for s in 0..16 {
        let scale = (fit.scales[s] + 32.0) as u8;
        bytes[96 + s % 8] |= (scale & 15) << (4 * (s / 8));
        bytes[96 + 8 + s % 4] |= scale >> 4 << (2 * (s / 4));
        let codes = fit.codes[s].map(|q| (q + 4.0) as u8);
        put_low_pairs(&mut bytes[32..96], s, &codes.map(|code| code & 3));
        for (l, code) in codes.iter().enumerate() {
            bytes[16 * (s % 2) + l] |= (code >> 2) << (s / 2);
        }
    }
}

/// The low 2 bits of sub-block `s`: see `two_bits` of the decoder.
#[inline(always)]
fn put_low_pairs(pairs: &mut [u8], s: usize, codes: &[u8; 16]) {
    let (half, row, side) = (s / 8, s / 2 % 4, s % 2);
    for (byte, code) in pairs[32 * half + 16 * side..].iter_mut().zip(codes) {
        *byte |= code << (2 * row);
    }
}

/// Q4_K: 8 sub-blocks of 32 values of 4 bits, 6-bit scales and minima.
#[inline(always)]
pub(super) fn q4_k(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q4_K, values, out, q4_k_block);
}

#[inline(always)]
fn q4_k_block(block: &[f32; 256], bytes: &mut [u8; 144]) {
    let grid = asymmetric::Grid::<32> { levels: 15.0, units: 63.0 };
    let fit = grid.fit::<8>(block);
    bytes.fill(0);
    put_units(bytes, &fit);
    put_nibbles(&mut bytes[16..], &fit);
}

/// Q5_K: as Q4_K, with fifth bits.
#[inline(always)]
pub(super) fn q5_k(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q5_K, values, out, q5_k_block);
}

#[inline(always)]
fn q5_k_block(block: &[f32; 256], bytes: &mut [u8; 176]) {
    let grid = asymmetric::Grid::<32> { levels: 31.0, units: 63.0 };
    let fit = grid.fit::<8>(block);
    bytes.fill(0);
    put_units(bytes, &fit);
    for (b, codes) in fit.codes.iter().enumerate() {
        for (l, &q) in codes.iter().enumerate() {
            bytes[16 + l] |= (q as u8 >> 4) << b;
        }
    }
    put_nibbles(&mut bytes[48..], &fit);
}

/// `d`, `dmin` and the packed scales and minima of Q4_K and Q5_K: see `scale_and_minimum` of the decoder.
#[inline(always)]
fn put_units(bytes: &mut [u8], fit: &asymmetric::Fit<32, 8>) {
    put_f16(bytes, 0, fit.d);
    put_f16(bytes, 2, fit.dmin);
    let packed = &mut bytes[4..16];
    for b in 0..8 {
        let (scale, minimum) = (fit.scales[b] as u8, fit.minima[b] as u8);
        if b < 4 {
            packed[b] |= scale;
            packed[b + 4] |= minimum;
        } else {
            packed[b + 4] |= scale & 15 | minimum << 4;
            packed[b - 4] |= scale >> 4 << 6;
            packed[b] |= minimum >> 4 << 6;
        }
    }
}

#[inline(always)]
fn put_nibbles(nibbles: &mut [u8], fit: &asymmetric::Fit<32, 8>) {
    for (b, codes) in fit.codes.iter().enumerate() {
        for (byte, &q) in nibbles[32 * (b / 2)..].iter_mut().zip(codes) {
            *byte |= (q as u8 & 15) << (4 * (b % 2));
        }
    }
}

/// Q6_K: 16 sub-blocks of 16 values of 6 bits, 8-bit scales.
#[inline(always)]
pub(super) fn q6_k(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::Q6_K, values, out, q6_k_block);
}

#[inline(always)]
fn q6_k_block(block: &[f32; 256], bytes: &mut [u8; 210]) {
    let grid = symmetric::Grid { levels: 32.0, scales: 128.0 };
    let fit = grid.fit(block);
    bytes.fill(0);
    put_f16(bytes, 208, fit.d);
    for s in 0..16 {
        bytes[192 + s] = fit.scales[s] as i8 as u8;
        let (half, row, side) = (s / 8, s / 2 % 4, s % 2);
        for (l, &q) in fit.codes[s].iter().enumerate() {
            let code = (q + 32.0) as u8;
            bytes[64 * half + 32 * (row % 2) + 16 * side + l] |= (code & 15) << (4 * (row / 2));
            bytes[128 + 32 * half + 16 * side + l] |= code >> 4 << (2 * row);
        }
    }
}
