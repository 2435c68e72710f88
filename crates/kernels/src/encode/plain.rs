//! Types that are numbers.

use gguf::TensorType;

use super::blocks::each_block;
use super::half::f32_to_f16;
use crate::bf16::to_bf16_body;

pub(super) fn f32(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::F32, values, out, |[value], bytes: &mut [u8; 4]| *bytes = value.to_le_bytes());
}

pub(super) fn f16(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::F16, values, out, |[value], bytes: &mut [u8; 2]| {
        *bytes = f32_to_f16(*value).to_le_bytes();
    });
}

pub(super) fn bf16(values: &[f32], out: &mut [u8]) {
    each_block(TensorType::BF16, values, out, |value: &[f32; 1], bytes: &mut [u8; 2]| {
        let mut upper = [0];
        to_bf16_body(value, &mut upper);
        *bytes = upper[0].to_le_bytes();
    });
}
