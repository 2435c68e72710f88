//! Walking blocks: the one place where lengths are checked.

use gguf::TensorType;

use super::half::f32_to_f16;
use crate::decode::f16_to_f32;

/// Calls `encode` with the values of every block and its bytes.
#[inline(always)]
pub(super) fn each_block<const BYTES: usize, const VALUES: usize>(
    ty: TensorType,
    values: &[f32],
    out: &mut [u8],
    mut encode: impl FnMut(&[f32; VALUES], &mut [u8; BYTES]),
) {
    assert_eq!((BYTES, VALUES), (ty.block_bytes(), ty.block_elements()), "{ty}: geometry of a block");
    let (blocks, rest) = values.as_chunks::<VALUES>();
    assert!(rest.is_empty(), "{ty}: {} values are no whole blocks of {VALUES}", values.len());
    assert!(
        Some(out.len()) == blocks.len().checked_mul(BYTES),
        "{ty}: {} blocks of {BYTES} bytes do not fill {} bytes",
        blocks.len(),
        out.len()
    );
    for (block, bytes) in blocks.iter().zip(out.as_chunks_mut::<BYTES>().0) {
        encode(block, bytes);
    }
}

/// Puts `value`, rounded, at byte `at` of a block, and gives what a reader will see there.
#[inline(always)]
pub(super) fn put_f16(block: &mut [u8], at: usize, value: f32) -> f32 {
    let half = f32_to_f16(value);
    block[at..at + 2].copy_from_slice(&half.to_le_bytes());
    f16_to_f32(half)
}

/// The nearest whole number, ties to even, of what lies within 2^22; beyond that something as large. By an addition, which
/// vectorises where the processor's rounding is not to be had.
#[inline(always)]
pub(super) fn nearest(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (x + SHIFT) - SHIFT
}

/// As [`lane_sum`], of whole numbers whose sum stays below 2^24: exact in any order, and so in the one that waits least.
#[inline(always)]
pub(super) fn whole_sum<const N: usize>(term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; 8];
    for first in (0..N).step_by(8) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(first + lane);
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// The sum of `N` terms in eight lanes, so that it vectorises; `N` is a multiple of 8.
#[inline(always)]
pub(super) fn lane_sum<const N: usize>(term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; 8];
    for first in (0..N).step_by(8) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(first + lane);
        }
    }
    lanes.iter().sum()
}
