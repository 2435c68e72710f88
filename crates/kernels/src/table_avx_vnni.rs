//! The AVX-VNNI level: AVX2 with 256-bit `vpdpwssd`, which multiplies pairs and adds in one instruction.
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for the level

use std::arch::x86_64::{__m256i, _mm256_dpwssd_avx_epi32};

use crate::level::Level;
use crate::table::{Kernels, Sums, TileI16};
use crate::table_avx2::{AVX2, SHAPE, i16_by};

/// What AVX-VNNI improves over AVX2: the i16 product.
pub(crate) const AVX_VNNI: Kernels = Kernels { level: Level::AvxVnni, tile_i16, ..AVX2 };

fn tile_i16(tile: &TileI16<'_>, out: &mut Sums) {
    tile.check(SHAPE);
    // SAFETY: this row of the table is only handed out where AVX2, FMA and AVX-VNNI were detected, and
    // `check` asserted that everything lies inside its slice.
    unsafe { by_rows!(i16_of, tile, out) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows.
#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn i16_of<const R: usize>(tile: &TileI16<'_>, out: &mut Sums) {
    let step = |sum: __m256i, x: __m256i, w: __m256i| _mm256_dpwssd_avx_epi32(sum, x, w);
    // SAFETY: this function's contract.
    unsafe { i16_by::<R>(tile, out, step) }
}
