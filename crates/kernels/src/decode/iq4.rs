//! Nibbles that choose from a table of 16 unevenly spaced values.

use super::blocks::{f16_at, field};
use super::integers::Affine;
use super::legacy::nibbles;

/// What a nibble stands for: steps are finer around zero, where most weights lie.
const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// IQ4_NL, 18 bytes for 32 values: `d` f16, 16 bytes of nibbles; `y = d * VALUES[q]`.
#[inline(always)]
pub(super) fn iq4_nl(block: &[u8; 18], out: &mut [i8; 32], of: &mut [Affine; 2]) {
    *of = [Affine::scale(f16_at(block, 0)); 2];
    nibbles(field(block, 2), out, |q| VALUES[usize::from(q & 15)]);
}

/// IQ4_XS, 136 bytes for 256 values: `d` f16, 16 bits with the high pairs of eight 6-bit scales, 4 bytes with
/// their low nibbles, 128 bytes of nibbles; `y = (d * (scale - 32)) * VALUES[q]`, a scale for 32 values.
#[inline(always)]
pub(super) fn iq4_xs(block: &[u8; 136], out: &mut [i8; 256], of: &mut [Affine; 16]) {
    let d = f16_at(block, 0);
    let scales_high = u16::from_le_bytes(*field(block, 2));
    let scales_low: &[u8; 4] = field(block, 4);
    let of = of.as_chunks_mut::<2>().0;
    for (b, (out, of)) in out.as_chunks_mut::<32>().0.iter_mut().zip(of).enumerate() {
        let low = scales_low[b / 2] >> (4 * (b % 2)) & 15;
        let high = (scales_high >> (2 * b) & 3) as u8;
        *of = [Affine::scale(d * f32::from((low | high << 4) as i8 - 32)); 2];
        nibbles(field(block, 8 + 16 * b), out, |q| VALUES[usize::from(q & 15)]);
    }
}
