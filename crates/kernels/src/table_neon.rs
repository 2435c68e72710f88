//! The NEON level: 128-bit vectors with fused multiply-add, which every aarch64 has.
//!
//! The tiles are written by hand (those of integers in `tile_i16_neon.rs` and `tile_bytes_neon.rs`), and what turns integers
//! into their crossed products; everything else is the scalar level's generic body, which the compiler turns into NEON.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics, an instruction without one, and calls into functions compiled for NEON

use std::arch::aarch64::{
    float32x4_t, int32x4_t, vaddq_f32, vaddq_s16, vaddvq_s32, vdupq_n_f32, vdupq_n_s32, vfmaq_f32,
    vfmaq_laneq_f32, vfmaq_n_f32, vget_low_s16, vld1_u16, vld1q_f32, vld1q_s16, vmlal_high_s16, vmlal_s16,
    vreinterpretq_f32_u32, vreinterpretq_s8_s32, vreinterpretq_s16_s32, vreinterpretq_s32_s16, vrev64q_s32,
    vshll_n_u16, vst1q_f32, vsubq_s16,
};
use std::arch::{asm, is_aarch64_feature_detected};

use crate::bytes::unpacked_tile;
use crate::decode::Grain;
use crate::layout::Layout;
use crate::level::Level;
use crate::peak::{CHAINS, Peak};
use crate::quantize::{self, BlockScale};
use crate::table::{Kernels, PANEL, Sums, TileF32, TileI16, by_held, held};
use crate::table_scalar::SCALAR;
use crate::tile_bytes_neon::{self, BYTE_ROWS};
use crate::tile_dotprod::{self, sdot};
use crate::tile_i8mm::{self, I8MM_ROWS, smmla};
use crate::tile_i16_neon;

/// What NEON improves over the scalar level.
pub(crate) const NEON: Kernels = Kernels {
    level: Level::Neon,
    tile_rows: TILE_ROWS,
    i16_rows: |_, _| TILE_ROWS,
    tile_f32,
    tile_widening: None,
    keeps_float16: true,
    tile_i16,
    tile_bytes,
    tile_left: tile_i16,
    shares_ahead: false,
    byte_rows: BYTE_ROWS,
    unpack: tile_bytes_neon::unpack,
    quantize,
    peaks: &[
        Peak { name: "fmla 4s", layout: Layout::F32, run: peak_f32, macs: 4 * CHAINS as u64 },
        Peak {
            name: "smlal, smlal2 and add 8h, crossed",
            layout: Layout::I16,
            run: peak_i16,
            macs: 16 * CHAINS as u64,
        },
    ],
    ..SCALAR
};

/// The same with `sdot`, where there is dotprod (Cortex-A76 and A55, Neoverse N1, Apple's M1, and later).
const NEON_DOTPROD: Kernels = Kernels {
    tile_bytes: tile_bytes_dotprod,
    tile_left: tile_dotprod,
    peaks: &[
        NEON.peaks[0],
        Peak {
            name: "sdot 16b, thrice",
            layout: Layout::I16,
            run: peak_dotprod,
            macs: 16 * CHAINS as u64 / 3,
        },
    ],
    ..NEON
};

/// The same with `smmla`, where there is i8mm (Neoverse V1 and N2, Cortex-A510 and A710, Apple's M2, and later).
const NEON_I8MM: Kernels = Kernels {
    tile_bytes: tile_bytes_i8mm,
    tile_left: tile_i8mm,
    peaks: &[
        NEON.peaks[0],
        Peak { name: "smmla 16b, thrice", layout: Layout::I16, run: peak_i8mm, macs: 32 * CHAINS as u64 / 3 },
    ],
    ..NEON
};

/// The level's rows, the best one for this machine first.
pub(crate) fn rows() -> &'static [&'static Kernels] {
    match (is_aarch64_feature_detected!("i8mm"), is_aarch64_feature_detected!("dotprod")) {
        (true, true) => &[&NEON_I8MM, &NEON_DOTPROD, &NEON],
        (true, false) => &[&NEON_I8MM, &NEON],
        (false, true) => &[&NEON_DOTPROD, &NEON],
        (false, false) => &[&NEON],
    }
}

/// Rows of a tile: an f32 one of eight has two vectors of outputs at a time, so sixteen sums, and four inputs of each row
/// in a register. One of integers takes them by twos.
const TILE_ROWS: usize = 8;
/// Tiles of both kinds meet the same weights.
const _: () = assert!(TILE_ROWS <= I8MM_ROWS);
/// Sums a vector holds.
const LANES: usize = 4;
/// Vectors of a panel's outputs.
const VECTORS: usize = PANEL / LANES;

fn tile_f32(tile: &TileF32<'_>, sums: &mut Sums) {
    tile.check(TILE_ROWS, sums);
    // SAFETY: this row of the table is only handed out on aarch64, and `check` asserted that everything lies inside its
    // slice.
    unsafe { by_held!(f32_rows, tile, sums) }
}

/// # Safety
/// `tile.check` must hold, and the panel hold `HELD`.
unsafe fn f32_rows<const HELD: u8>(tile: &TileF32<'_>, sums: &mut Sums) {
    // SAFETY: as this function's.
    unsafe { by_rows!(f32_of HELD, tile, sums; 1: 8, 2: 8, 3: 4, 4: 4, 5: 2, 6: 2, 7: 2, 8: 2) }
}

fn tile_i16(tile: &TileI16<'_>, sums: &mut Sums) {
    tile.check_pairs(TILE_ROWS, sums);
    // SAFETY: as in `tile_f32`.
    unsafe {
        if tile.is_whole {
            tile_i16_neon::tile::<true>(tile, sums);
        } else {
            tile_i16_neon::tile::<false>(tile, sums);
        }
    }
}

fn tile_bytes(tile: &TileI16<'_>, sums: &mut Sums, room: &mut [i16]) {
    if !room.is_empty() {
        return unpacked_tile(tile, sums, room, tile_bytes_neon::unpack, tile_i16);
    }
    tile.check_bytes(BYTE_ROWS, sums);
    // SAFETY: as in `tile_f32`.
    unsafe {
        match (tile.grain, tile.is_whole) {
            (Some(Grain::Fine), true) => bytes_of::<true, true>(tile, sums),
            (Some(Grain::Fine), false) => bytes_of::<true, false>(tile, sums),
            (_, true) => bytes_of::<false, true>(tile, sums),
            (_, false) => bytes_of::<false, false>(tile, sums),
        }
    }
}

fn tile_bytes_dotprod(tile: &TileI16<'_>, sums: &mut Sums, room: &mut [i16]) {
    if room.is_empty() {
        return tile_bytes(tile, sums, room);
    }
    unpacked_tile(tile, sums, room, tile_dotprod::unpack, tile_dotprod);
}

/// A tile of what [`tile_dotprod::unpack`] left.
fn tile_dotprod(tile: &TileI16<'_>, sums: &mut Sums) {
    tile.check_pairs(TILE_ROWS, sums);
    // SAFETY: this row of the table is only handed out where dotprod was detected; `check_pairs` held.
    unsafe { tile_dotprod::tile(tile, sums) }
}

fn tile_bytes_i8mm(tile: &TileI16<'_>, sums: &mut Sums, room: &mut [i16]) {
    if room.is_empty() {
        return tile_bytes(tile, sums, room);
    }
    unpacked_tile(tile, sums, room, tile_i8mm::unpack, tile_i8mm);
}

/// A tile of what [`tile_i8mm::unpack`] left.
fn tile_i8mm(tile: &TileI16<'_>, sums: &mut Sums) {
    tile.check_pairs(I8MM_ROWS, sums);
    // SAFETY: this row of the table is only handed out where i8mm was detected; `check_pairs` held.
    unsafe { tile_i8mm::tile(tile, sums) }
}

/// # Safety
/// As [`tile_bytes_neon::tile`]'s.
#[target_feature(enable = "neon")]
unsafe fn bytes_of<const FINE: bool, const CROSSED: bool>(tile: &TileI16<'_>, sums: &mut Sums) {
    // SAFETY: as this function's.
    unsafe {
        match tile.rows {
            1 => tile_bytes_neon::tile::<1, FINE, CROSSED>(tile, sums),
            2 => tile_bytes_neon::tile::<2, FINE, CROSSED>(tile, sums),
            3 => tile_bytes_neon::tile::<3, FINE, CROSSED>(tile, sums),
            4 => tile_bytes_neon::tile::<4, FINE, CROSSED>(tile, sums),
            rows => unreachable!("a tile of {rows} rows passed its check"),
        }
    }
}

/// A vector of a panel's values, from the `at`th on.
///
/// # Safety
/// They must be there.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn values<const HELD: u8>(panel: *const u8, at: usize) -> float32x4_t {
    // SAFETY: as this function's; the assembly is registers only.
    unsafe {
        match HELD {
            held::F16 => {
                let mut values: float32x4_t;
                let bits = vld1_u16(panel.cast::<u16>().add(at));
                // Its intrinsic is of a type that is not stable.
                asm!(
                    "fcvtl {values:v}.4s, {bits:v}.4h",
                    values = lateout(vreg) values, bits = in(vreg) bits,
                    options(pure, nomem, nostack, preserves_flags)
                );
                values
            }
            held::BF16 => vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(panel.cast::<u16>().add(at)))),
            _ => vld1q_f32(panel.cast::<f32>().add(at)),
        }
    }
}

/// `W` vectors of outputs at a time.
///
/// # Safety
/// `tile.check` must hold, with `R` rows, and the panel hold `HELD`.
#[target_feature(enable = "neon")]
unsafe fn f32_of<const R: usize, const W: usize, const HELD: u8>(tile: &TileF32<'_>, sums: &mut Sums) {
    let whole = tile.inputs / LANES * LANES;
    for first in (0..VECTORS).step_by(W) {
        let mut chain: [[float32x4_t; W]; R] = [[vdupq_n_f32(0.0); W]; R];
        let weights = |input: usize| input * PANEL + first * LANES;
        for input in (0..whole).step_by(LANES) {
            // SAFETY: four inputs from `input` on are inside the inputs, so the panel has 32 values for each of them, and
            // every row four.
            unsafe {
                let mut x = [vdupq_n_f32(0.0); R];
                for r in 0..R {
                    x[r] = vld1q_f32(tile.x.as_ptr().add(r * tile.stride + input));
                }
                add_input::<R, W, HELD, 0>(&mut chain, &x, tile.panel.as_ptr(), weights(input));
                add_input::<R, W, HELD, 1>(&mut chain, &x, tile.panel.as_ptr(), weights(input + 1));
                add_input::<R, W, HELD, 2>(&mut chain, &x, tile.panel.as_ptr(), weights(input + 2));
                add_input::<R, W, HELD, 3>(&mut chain, &x, tile.panel.as_ptr(), weights(input + 3));
            }
        }
        for input in whole..tile.inputs {
            // SAFETY: as above, of one input.
            unsafe {
                for r in 0..R {
                    let x = *tile.x.as_ptr().add(r * tile.stride + input);
                    for w in 0..W {
                        let weights = values::<HELD>(tile.panel.as_ptr(), weights(input) + w * LANES);
                        chain[r][w] = vfmaq_n_f32(chain[r][w], weights, x);
                    }
                }
            }
        }
        for r in 0..R {
            for w in 0..W {
                let values = sums[r][(first + w) * LANES..][..LANES].as_mut_ptr();
                // SAFETY: four values are read and written.
                unsafe { vst1q_f32(values, vaddq_f32(vld1q_f32(values), chain[r][w])) };
            }
        }
    }
}

/// The input in lane `LANE` of the rows, times its weights, which begin at the `at`th value.
///
/// # Safety
/// There must be `W` vectors of weights.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add_input<const R: usize, const W: usize, const HELD: u8, const LANE: i32>(
    chain: &mut [[float32x4_t; W]; R],
    x: &[float32x4_t; R],
    panel: *const u8,
    at: usize,
) {
    for w in 0..W {
        // SAFETY: as this function's.
        let weights = unsafe { values::<HELD>(panel, at + w * LANES) };
        for r in 0..R {
            chain[r][w] = vfmaq_laneq_f32::<LANE>(chain[r][w], weights, x[r]);
        }
    }
}

fn quantize(x: &[f32], q: &mut [i16], scales: &mut [BlockScale]) {
    // SAFETY: `Kernels::all_of` hands out this row only on aarch64.
    quantize::quantize_body(x, q, scales, |block| unsafe { crossed(block) });
}

/// [`BlockScale::crossed`].
#[target_feature(enable = "neon")]
fn crossed(q: &[i16]) -> i32 {
    let mut sums = vdupq_n_s32(0);
    let mut add = |values: &[i16; 8]| {
        // SAFETY: a vector's values.
        let values = unsafe { vld1q_s16(values.as_ptr()) };
        // Each pair with its neighbour, so every product is met twice, from either side: 256 stay below 2^31.
        let other = vreinterpretq_s16_s32(vrev64q_s32(vreinterpretq_s32_s16(values)));
        sums = vmlal_s16(sums, vget_low_s16(values), vget_low_s16(other));
        sums = vmlal_high_s16(sums, values, other);
    };
    let (chunks, rest) = q.as_chunks::<8>();
    chunks.iter().for_each(&mut add);
    let fours = rest.as_chunks::<4>().0.as_flattened();
    if !fours.is_empty() {
        let mut filled = [0; 8];
        filled[..fours.len()].copy_from_slice(fours);
        add(&filled);
    }
    -vaddvq_s32(sums) / 2
}

peak_loop!(peak_f32, "neon", vreg, float32x4_t, vdupq_n_f32(0.0), |chain, x, w| vfmaq_f32(chain, x, w));

peak_loop!(peak_i16, "neon", vreg, int32x4_t, vdupq_n_s32(0), |chain, x, w| {
    let (x, w) = (vreinterpretq_s16_s32(x), vreinterpretq_s16_s32(w));
    // The second is a difference, or it would be computed once for both.
    let (a, b) = (vaddq_s16(x, w), vsubq_s16(x, w));
    vmlal_high_s16(vmlal_s16(chain, vget_low_s16(a), vget_low_s16(b)), a, b)
});
// Three of them stand for 16 products.
peak_loop!(peak_dotprod, "neon,dotprod", vreg, int32x4_t, vdupq_n_s32(0), |chain, x, w| sdot::<0>(
    chain,
    vreinterpretq_s8_s32(x),
    vreinterpretq_s8_s32(w)
));
// Three of them stand for 32 products.
peak_loop!(peak_i8mm, "neon,i8mm", vreg, int32x4_t, vdupq_n_s32(0), |chain, x, w| smmla(
    chain,
    vreinterpretq_s8_s32(x),
    vreinterpretq_s8_s32(w)
));

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{BlockScale, PANEL, TileI16, rows};

    /// A tile of halves would leave out the inputs past its last whole turn, and say nothing.
    #[test]
    fn what_is_left_is_multiplied_in_whole_turns_or_refused() {
        for kernels in rows() {
            let turn = match kernels.peaks[1].name {
                "sdot 16b, thrice" => 16,
                "smmla 16b, thrice" => 8,
                _ => 2,
            };
            for inputs in (2..=48).step_by(2) {
                let tile = TileI16 {
                    x: &[1; 48],
                    stride: 0,
                    x_scales: &[BlockScale { scale: 1.0, crossed: 0 }],
                    scale_stride: 0,
                    rows: 1,
                    panel: &[0; 48 * PANEL],
                    grain: None,
                    scales: &[BlockScale { scale: 1.0, crossed: 0 }; PANEL],
                    inputs,
                    is_whole: false,
                    is_alone: true,
                    ahead: &[],
                };
                let multiply = || (kernels.tile_left)(&tile, &mut [[0.0; PANEL]]);
                let is_done = catch_unwind(AssertUnwindSafe(multiply)).is_ok();
                assert_eq!(is_done, inputs % turn == 0, "{}: {inputs}", kernels.peaks[1].name);
            }
        }
    }
}
