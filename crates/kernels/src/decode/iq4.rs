//! Nibbles that choose from a table of 16 unevenly spaced values.

use gguf::TensorType;

use super::blocks::{each_block, f16_at, field};
use super::legacy::nibbles;

/// What a nibble stands for: steps are finer around zero, where most weights lie.
const VALUES: [f32; 16] =
    [-127., -104., -83., -65., -49., -35., -22., -10., 1., 13., 25., 38., 53., 69., 89., 113.];

/// IQ4_NL, 18 bytes for 32 values: `d` f16, 16 bytes of nibbles; `y = d * VALUES[q]`.
pub(super) fn iq4_nl(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::IQ4_NL, bytes, out, |block: &[u8; 18], out| {
        scaled_values(f16_at(block, 0), field(block, 2), out);
    });
}

/// IQ4_XS, 136 bytes for 256 values: `d` f16, 16 bits with the high pairs of eight 6-bit scales, 4 bytes with
/// their low nibbles, 128 bytes of nibbles; `y = (d * (scale - 32)) * VALUES[q]`, a scale for 32 values.
pub(super) fn iq4_xs(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::IQ4_XS, bytes, out, |block: &[u8; 136], out: &mut [f32; 256]| {
        let d = f16_at(block, 0);
        let scales_high = u16::from_le_bytes(*field(block, 2));
        let scales_low: &[u8; 4] = field(block, 4);
        for (b, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let low = scales_low[b / 2] >> (4 * (b % 2)) & 15;
            let high = (scales_high >> (2 * b) & 3) as u8;
            let scale = f32::from((low | high << 4) as i8 - 32);
            scaled_values(d * scale, field(block, 8 + 16 * b), out);
        }
    });
}

/// The product with each table value is taken once, and looked up: 16 products instead of 32, the same bits.
#[inline(always)]
fn scaled_values(scale: f32, packed: &[u8; 16], out: &mut [f32; 32]) {
    let scaled = VALUES.map(|value| scale * value);
    nibbles(packed, out, |q| scaled[usize::from(q & 15)]);
}
