//! The AVX-VNNI level: AVX2 with 256-bit `vpdpwssd`, which multiplies pairs and adds in one instruction.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for the level

use std::arch::asm;
use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_setzero_si256};

use crate::bytes::unpacked_tile;
use crate::decode::Grain;
use crate::layout::Layout;
use crate::level::Level;
use crate::peak::{CHAINS, Peak};
use crate::table::{Kernels, PANEL, PREFETCH_ROWS, Sums, TileI16};
use crate::table_avx2::{
    AVX2, LANES, TILE_ROWS, VECTORS, add_scaled, prefetch_two_lines, scales_of, tile_i16_256,
};
use crate::tile_bytes_avx2::{BYTE_ROWS, tile_bytes_256, twice, weights_of};
use crate::tile_fields::FOUR;
use crate::tile_i16_256::{crossed_tile_vnni, straight_tile_vnni};

/// What AVX-VNNI improves over AVX2: the i16 product.
pub(crate) const AVX_VNNI: Kernels = Kernels {
    level: Level::AvxVnni,
    tile_i16,
    tile_bytes,
    tile_left: tile_i16,
    peaks: &[
        AVX2.peaks[0],
        Peak { name: "vpdpwssd ymm", layout: Layout::I16, run: peak_i16, macs: 16 * CHAINS as u64 },
    ],
    ..AVX2
};

/// `vpdpwssd`, as assembly for the reason that the AVX-512 level gives.
#[inline]
#[target_feature(enable = "avx2,fma,avxvnni")]
fn dot_pairs(mut sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
    // SAFETY: registers only; the function's features include the instruction.
    unsafe {
        asm!(
            "{{vex}} vpdpwssd {sum}, {x}, {w}",
            sum = inout(ymm_reg) sum, x = in(ymm_reg) x, w = in(ymm_reg) w,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

fn tile_i16(tile: &TileI16<'_>, sums: &mut Sums) {
    tile.check_pairs(TILE_ROWS, sums);
    // SAFETY: this row of the table is only handed out where its features were detected, and `check`
    // asserted that everything lies inside its slice.
    unsafe {
        match tile.rows {
            // Where four rows are alone, memory is the limit.
            4 if tile.is_whole && !tile.is_alone => crossed_tile_vnni(tile, sums),
            1 => i16_of::<1, 4>(tile, sums),
            2 => i16_of::<2, 4>(tile, sums),
            3 => i16_of::<3, 4>(tile, sums),
            _ => straight_tile_vnni(tile, sums),
        }
    }
}

fn tile_bytes(tile: &TileI16<'_>, sums: &mut Sums, room: &mut [i16]) {
    if !room.is_empty() {
        return unpacked_tile(tile, sums, room, AVX2.unpack, tile_i16);
    }
    tile.check_bytes(BYTE_ROWS, sums);
    // SAFETY: as in `tile_i16`.
    unsafe {
        match tile.grain {
            Some(Grain::Fine) => by_rows!(bytes_of, tile, sums; 1: true, 2: true, 3: true, 4: true),
            _ => by_rows!(bytes_of, tile, sums; 1: false, 2: false, 3: false, 4: false),
        }
    }
}

tile_i16_256!("avx2,fma,avxvnni", |sum, x, w| dot_pairs(sum, x, w));
tile_bytes_256!("avx2,fma,avxvnni", |sum, x, w| dot_pairs(sum, x, w));

peak_loop!(peak_i16, "avx2,fma,avxvnni", ymm_reg, __m256i, _mm256_setzero_si256(), |chain, x, w| {
    dot_pairs(chain, x, w)
});
