//! Types that store every value by itself.

use gguf::TensorType;

use super::blocks::each_block;
use super::float16::Float16;

/// IEEE binary32: copied.
pub(super) fn f32(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::F32, bytes, out, |&value, out: &mut [f32; 1]| *out = [f32::from_le_bytes(value)]);
}

/// IEEE binary16.
pub(super) fn f16(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::F16, bytes, out, |&value, out: &mut [f32; 1]| {
        *out = [Float16::F16.value(u16::from_le_bytes(value))];
    });
}

/// The upper half of an IEEE binary32.
pub(super) fn bf16(bytes: &[u8], out: &mut [f32]) {
    each_block(TensorType::BF16, bytes, out, |&value, out: &mut [f32; 1]| {
        *out = [Float16::Bf16.value(u16::from_le_bytes(value))];
    });
}
