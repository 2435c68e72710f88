//! The tile of weights that are kept as bytes, on dotprod's `sdot`: bytes of four inputs of a row times those of four outputs,
//! 16 multiply-adds an instruction. Three of them stand for 16 products of integers (see `halves_neon.rs`), where `smlal`
//! needs four instructions and crossed as many.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics, assembly, and calls into functions compiled for dotprod

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vld1q_s16, vreinterpretq_s16_s32, vreinterpretq_s32_s16, vzip1q_s32, vzip2q_s32,
};
use std::arch::asm;
use std::mem::MaybeUninit;

use crate::bytes::runs_of;
use crate::decode::Grain;
use crate::halves_neon::{BYTES, Factors, Halves, Products};
use crate::table::{DEPTH, PANEL, Sums, TileI16};
use crate::tile_bytes_neon::{OfRun, words_at};
use crate::tile_i16_neon::{FOUR, OUTPUTS, add_scaled};

/// Inputs of a turn of the loop: of a row they are a vector, whose lanes are multiplied one after another.
const SIXTEEN: usize = 16;
/// Rows that are multiplied at a time: twelve sums and twelve vectors of activations, beside three of weights.
const AT_ONCE: usize = 4;
/// What is left of a panel's weights of four inputs, in bytes: the high halves of four outputs, the low ones, and so on.
const STEP_BYTES: usize = PANEL / OUTPUTS * 2 * BYTES;

/// As many bytes as the integers that they are halves of.
const _: () = assert!(STEP_BYTES == FOUR * PANEL * size_of::<i16>());

/// The instruction, which has no stable intrinsic: four inputs of four outputs times the four of a row in lane `LANE`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn sdot<const LANE: usize>(mut sums: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: registers only; the function's features include the instruction.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {x:v}.4b[{lane}]",
            sums = inout(vreg) sums, weights = in(vreg) weights, x = in(vreg) x, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Unpacks bytes into halves, for [`tile`]; `room` is for as many integers.
pub(crate) fn unpack(grain: Grain, panel: &[i16], room: &mut [i16]) {
    for (words, room) in runs_of(grain, panel, room) {
        // SAFETY: every aarch64 has NEON, and these are runs with their room.
        unsafe {
            match grain {
                Grain::Coarse => unpack_run::<false>(words, room),
                Grain::Fine => unpack_run::<true>(words, room),
            }
        }
    }
}

/// # Safety
/// The words must be a run, of fine grain if `FINE`, else of coarse, and the room be for it.
#[target_feature(enable = "neon")]
unsafe fn unpack_run<const FINE: bool>(words: &[i16], room: &mut [i16]) {
    let grain = if FINE { Grain::Fine } else { Grain::Coarse };
    debug_assert_eq!((words.len(), room.len()), (grain.run_words(), grain.run() * PANEL));
    for vector in 0..PANEL / OUTPUTS {
        // SAFETY: a run has its head, and for each of its fours eight vectors of words, each of which becomes two of halves.
        unsafe {
            let of_run = OfRun::of::<FINE>(words.as_ptr(), vector);
            for four in 0..grain.run() / FOUR {
                let at = grain.head() + 2 * four * PANEL + words_at(vector);
                let [a, b] = of_run.weights::<FINE>(vld1q_s16(words.as_ptr().add(at)));
                let (a, b) = (vreinterpretq_s32_s16(a), vreinterpretq_s32_s16(b));
                // Four inputs of outputs 0 and 1, and of 2 and 3.
                let (first, other) = (vzip1q_s32(a, b), vzip2q_s32(a, b));
                Halves::of(vreinterpretq_s16_s32(first), vreinterpretq_s16_s32(other))
                    .store(room.as_mut_ptr().cast::<i8>().add(four * STEP_BYTES + vector * 2 * BYTES));
            }
        }
    }
}

/// A tile of halves that [`unpack`] left, of any number of rows.
///
/// # Safety
/// `tile.check_pairs` must hold, and dotprod be there.
#[target_feature(enable = "neon,dotprod")]
pub(crate) unsafe fn tile(tile: &TileI16<'_>, sums: &mut Sums) {
    assert!(tile.inputs.is_multiple_of(SIXTEEN), "halves come by sixteen");
    for row in (0..tile.rows).step_by(AT_ONCE) {
        // SAFETY: as this function's.
        unsafe {
            match tile.rows - row {
                1 => rows::<1>(tile, row, sums),
                2 => rows::<2>(tile, row, sums),
                3 => rows::<3>(tile, row, sums),
                _ => rows::<AT_ONCE>(tile, row, sums),
            }
        }
    }
}

/// `R` rows from `row` on.
///
/// # Safety
/// As [`tile`]'s; the tile must have the rows, and the inputs come by sixteen.
#[target_feature(enable = "neon,dotprod")]
unsafe fn rows<const R: usize>(tile: &TileI16<'_>, row: usize, sums: &mut Sums) {
    let mut x: [[MaybeUninit<Factors>; R]; DEPTH / SIXTEEN] =
        [const { [const { MaybeUninit::uninit() }; R] }; DEPTH / SIXTEEN];
    let turns = tile.inputs / SIXTEEN;
    for r in 0..R {
        let inputs = tile.x.as_ptr().wrapping_add((row + r) * tile.stride);
        for (turn, x) in x[..turns].iter_mut().enumerate() {
            // SAFETY: the turn is inside the inputs, so the row has sixteen there.
            let halves = unsafe {
                let inputs = inputs.add(turn * SIXTEEN);
                Halves::of(vld1q_s16(inputs), vld1q_s16(inputs.add(SIXTEEN / 2)))
            };
            x[r].write(halves.factors());
        }
    }
    for vector in 0..PANEL / OUTPUTS {
        let mut of_rows = [Products::none(); R];
        let weights = tile.panel.as_ptr().cast::<i8>().wrapping_add(vector * 2 * BYTES);
        for (turn, x) in x[..turns].iter().enumerate() {
            // SAFETY: the turn is inside the inputs, so the panel has halves of its outputs for four times four of them; `x`
            // was written above.
            unsafe {
                let weights = weights.add(turn * SIXTEEN / FOUR * STEP_BYTES);
                add::<R, 0>(&mut of_rows, x, Halves::load(weights));
                add::<R, 1>(&mut of_rows, x, Halves::load(weights.add(STEP_BYTES)));
                add::<R, 2>(&mut of_rows, x, Halves::load(weights.add(2 * STEP_BYTES)));
                add::<R, 3>(&mut of_rows, x, Halves::load(weights.add(3 * STEP_BYTES)));
            }
        }
        for r in 0..R {
            // SAFETY: the tile has the row.
            unsafe { add_scaled(tile, row + r, vector * OUTPUTS, of_rows[r].all(), &mut sums[row + r]) };
        }
    }
}

/// Adds the products of the four inputs in lane `LANE`.
///
/// # Safety
/// `x` must be initialised.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn add<const R: usize, const LANE: usize>(
    sums: &mut [Products; R],
    x: &[MaybeUninit<Factors>; R],
    weights: Halves,
) {
    let weights = weights.factors();
    for r in 0..R {
        // SAFETY: as this function's.
        let x = unsafe { x[r].assume_init() };
        sums[r].high = sdot::<LANE>(sums[r].high, weights.high, x.high);
        sums[r].low = sdot::<LANE>(sums[r].low, weights.low, x.low);
        sums[r].both = sdot::<LANE>(sums[r].both, weights.both, x.both);
    }
}
