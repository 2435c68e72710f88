//! Walking blocks: the one place where lengths are checked.

use gguf::TensorType;

use super::half::f16_to_f32;

/// Calls `decode` with every block of `bytes` and the values of `out` that it stands for. Sizes are constants,
/// so that inside a block no index is checked at run time and loops unroll into vectors.
#[inline(always)]
pub(super) fn each_block<const BYTES: usize, const VALUES: usize>(
    ty: TensorType,
    bytes: &[u8],
    out: &mut [f32],
    mut decode: impl FnMut(&[u8; BYTES], &mut [f32; VALUES]),
) {
    let blocks = blocks_of::<BYTES, VALUES>(ty, bytes, out.len());
    for (block, values) in blocks.iter().zip(out.as_chunks_mut::<VALUES>().0) {
        decode(block, values);
    }
}

/// The blocks of `bytes`, which stand for `count` values.
#[inline(always)]
pub(super) fn blocks_of<const BYTES: usize, const VALUES: usize>(
    ty: TensorType,
    bytes: &[u8],
    count: usize,
) -> &[[u8; BYTES]] {
    assert_eq!((BYTES, VALUES), (ty.block_bytes(), ty.block_elements()), "{ty}: geometry of a block");
    let (blocks, rest) = bytes.as_chunks::<BYTES>();
    assert!(rest.is_empty(), "{ty}: {} bytes are no whole blocks of {BYTES}", bytes.len());
    assert!(
        Some(count) == blocks.len().checked_mul(VALUES),
        "{ty}: {} blocks of {VALUES} values do not fill {count} values",
        blocks.len()
    );
    blocks
}

/// The `N` bytes of a block's field that starts at byte `at`.
#[inline(always)]
pub(super) fn field<const N: usize>(block: &[u8], at: usize) -> &[u8; N] {
    block[at..].first_chunk().expect("fields lie inside their block")
}

/// The f16 (a scale or a minimum) at byte `at` of a block.
#[inline(always)]
pub(super) fn f16_at(block: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes(*field(block, at)))
}
