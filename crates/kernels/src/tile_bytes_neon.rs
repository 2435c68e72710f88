//! Weights that are kept as bytes, on NEON's vectors: a tile that unpacks them in registers, and what unpacks a block of them
//! for more rows than that tile takes.
//!
//! `sqrdmulh` of a byte times 256 and a run's ratio is what `pmulhrsw` gives: the sole product on which the two differ is
//! that of two times -32768, and no ratio is that.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for NEON

use std::arch::aarch64::{
    int16x8_t, vaddq_s16, vandq_s16, vdupq_n_s16, vld1q_s16, vqrdmulhq_s16, vshlq_n_s16, vst1q_s16,
    vtrn1q_s16, vtrn2q_s16,
};

use crate::bytes::{HIGH, runs_of};
use crate::decode::Grain;
use crate::table::{PANEL, Sums, TileI16};
use crate::tile_i16_neon::{FOUR, OUTPUTS, VALUES, add_four, end, none, two_and_two};

/// Rows of the tile: with two vectors of words at a time, four sums each, beside four vectors of weights, two of ratios, two of
/// offsets, and what comes and goes.
pub(crate) const BYTE_ROWS: usize = 4;
/// Vectors of words that are unpacked at a time.
const AT_ONCE: usize = 2;
/// Vectors of words of half a panel: the words of its outputs are side by side.
const HALF: usize = PANEL / 2 / OUTPUTS;

/// What makes words of four outputs weights: ratios and offsets, each twice.
#[derive(Clone, Copy)]
pub(crate) struct OfRun {
    ratios: int16x8_t,
    offsets: int16x8_t,
}

impl OfRun {
    /// Of a run's four outputs, the `vector`th of those in the first half or the second.
    ///
    /// # Safety
    /// There must be a head of fine grain if `FINE`, else of coarse.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) unsafe fn of<const FINE: bool>(head: *const i16, vector: usize) -> Self {
        // Those of output 0, 16, 1, 17 and so on.
        let of_half = |at: *const i16| {
            // SAFETY: four of both halves are eight values of the 32.
            let both = unsafe { vld1q_s16(at.add(vector % HALF * VALUES)) };
            if vector < HALF { vtrn1q_s16(both, both) } else { vtrn2q_s16(both, both) }
        };
        let ratios = of_half(head);
        // SAFETY: offsets follow the ratios.
        Self { ratios, offsets: if FINE { of_half(unsafe { head.add(PANEL) }) } else { ratios } }
    }

    /// Four inputs' weights of four outputs: those of the first two inputs, and of the others.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn weights<const FINE: bool>(self, words: int16x8_t) -> [int16x8_t; 2] {
        let first = vqrdmulhq_s16(vshlq_n_s16::<8>(words), self.ratios);
        let other = vqrdmulhq_s16(vandq_s16(words, vdupq_n_s16(HIGH)), self.ratios);
        if FINE { [vaddq_s16(first, self.offsets), vaddq_s16(other, self.offsets)] } else { [first, other] }
    }
}

/// Where the words of a vector begin in those of four inputs.
#[inline(always)]
pub(crate) const fn words_at(vector: usize) -> usize {
    vector / HALF * PANEL + vector % HALF * VALUES
}

/// A tile of bytes, of `R` rows.
///
/// # Safety
/// `tile.check_bytes` must hold, and the weights be of fine grain if `FINE`, else of coarse; if `CROSSED`, the block must be
/// whole.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn tile<const R: usize, const FINE: bool, const CROSSED: bool>(
    tile: &TileI16<'_>,
    sums: &mut Sums,
) {
    let grain = if FINE { Grain::Fine } else { Grain::Coarse };
    for first in (0..PANEL / OUTPUTS).step_by(AT_ONCE) {
        let mut chain = [[none(); AT_ONCE]; R];
        for run in 0..tile.inputs / grain.run() {
            // SAFETY: the run is inside the inputs, so the panel has its words, and every row its inputs.
            unsafe {
                let head = tile.panel.as_ptr().add(run * grain.run_words());
                let mut of_run = [OfRun::of::<FINE>(head, first); AT_ONCE];
                for w in 1..AT_ONCE {
                    of_run[w] = OfRun::of::<FINE>(head, first + w);
                }
                for four in 0..grain.run() / FOUR {
                    let words = head.add(grain.head() + 2 * four * PANEL);
                    let mut weights = [[of_run[0].ratios; 2]; AT_ONCE];
                    for w in 0..AT_ONCE {
                        weights[w] = of_run[w].weights::<FINE>(vld1q_s16(words.add(words_at(first + w))));
                    }
                    // Not all rows' inputs at first: those of four rows leave no registers.
                    for r in 0..R {
                        let input = run * grain.run() + four * FOUR;
                        let x = two_and_two(tile.x.as_ptr().add(r * tile.stride + input));
                        for w in 0..AT_ONCE {
                            add_four::<CROSSED>(&mut chain[r][w], x, weights[w]);
                        }
                    }
                }
            }
        }
        for r in 0..R {
            for w in 0..AT_ONCE {
                // SAFETY: the tile has the row.
                unsafe { end::<CROSSED>(tile, r, (first + w) * OUTPUTS, chain[r][w], &mut sums[r]) };
            }
        }
    }
}

/// See [`crate::Kernels::unpack`].
pub(crate) fn unpack(grain: Grain, panel: &[i16], out: &mut [i16]) {
    for (words, out) in runs_of(grain, panel, out) {
        // SAFETY: `Kernels::all_of` hands out this row only on aarch64, and these are runs with their room.
        unsafe {
            match grain {
                Grain::Coarse => unpack_run::<false>(words, out),
                Grain::Fine => unpack_run::<true>(words, out),
            }
        }
    }
}

/// # Safety
/// The words must be a run, of fine grain if `FINE`, else of coarse, and the room be for it.
#[target_feature(enable = "neon")]
unsafe fn unpack_run<const FINE: bool>(words: &[i16], out: &mut [i16]) {
    let grain = if FINE { Grain::Fine } else { Grain::Coarse };
    debug_assert_eq!((words.len(), out.len()), (grain.run_words(), grain.run() * PANEL));
    for vector in 0..PANEL / OUTPUTS {
        // SAFETY: a run has its head, and for each of its fours eight vectors of words, which become sixteen.
        unsafe {
            let of_run = OfRun::of::<FINE>(words.as_ptr(), vector);
            for four in 0..grain.run() / FOUR {
                let at = grain.head() + 2 * four * PANEL + words_at(vector);
                let [first, other] = of_run.weights::<FINE>(vld1q_s16(words.as_ptr().add(at)));
                let out = out.as_mut_ptr().add(four * FOUR * PANEL + vector * VALUES);
                vst1q_s16(out, first);
                vst1q_s16(out.add(2 * PANEL), other);
            }
        }
    }
}
