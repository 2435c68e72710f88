//! The tile of weights that are kept as bytes, on i8mm's `smmla`: bytes of two rows and eight inputs times those of two outputs,
//! 32 multiply-adds an instruction. Three of them stand for 32 products of integers (see `halves_neon.rs`), where `smlal`
//! needs eight instructions and crossed as many.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics, assembly, and calls into functions compiled for i8mm

use std::arch::aarch64::{
    int8x16_t, int16x8_t, int32x4_t, vld1q_s16, vreinterpretq_s16_s64, vreinterpretq_s32_s16,
    vreinterpretq_s32_s64, vreinterpretq_s64_s32, vzip1q_s32, vzip1q_s64, vzip2q_s32, vzip2q_s64,
};
use std::arch::asm;
use std::mem::MaybeUninit;

use crate::bytes::runs_of;
use crate::decode::Grain;
use crate::halves_neon::{BYTES, Factors, Halves, Products};
use crate::table::{DEPTH, PANEL, Sums, TileI16};
use crate::tile_bytes_neon::{OfRun, words_at};
use crate::tile_i16_neon::{OUTPUTS, add_scaled};

/// Inputs of a step: of two rows, or two outputs, they are a vector.
const EIGHT: usize = 8;
/// Pairs of rows of a tile: with two pairs of outputs at a time, 24 sums beside six vectors of weights and two of
/// activations.
const MOST_PAIRS: usize = 4;
/// Rows of a tile.
pub(crate) const I8MM_ROWS: usize = 2 * MOST_PAIRS;
/// What is left of a panel's weights of eight inputs, in bytes: the high halves of two outputs, the low ones, and so on.
const STEP_BYTES: usize = PANEL / 2 * 2 * BYTES;

/// As many bytes as the integers that they are halves of.
const _: () = assert!(STEP_BYTES == EIGHT * PANEL * size_of::<i16>());

/// The instruction, which has no stable intrinsic.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(crate) fn smmla(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers only; the function's features include the instruction.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inout(vreg) sums, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Adds the products of two rows and two outputs: row 0 with both, row 1 with both.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn add(sums: &mut Products, x: Factors, weights: Factors) {
    sums.high = smmla(sums.high, x.high, weights.high);
    sums.low = smmla(sums.low, x.low, weights.low);
    sums.both = smmla(sums.both, x.both, weights.both);
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
        // SAFETY: a run has its head, and for each of its fours eight vectors of words; of eight inputs and four outputs
        // four vectors of halves are written.
        unsafe {
            let of_run = OfRun::of::<FINE>(words.as_ptr(), vector);
            for eight in 0..grain.run() / EIGHT {
                let four = |at: usize| {
                    let at = grain.head() + 2 * at * PANEL + words_at(vector);
                    of_run.weights::<FINE>(vld1q_s16(words.as_ptr().add(at)))
                };
                let [first, other] = by_outputs(four(2 * eight), four(2 * eight + 1));
                let to = room.as_mut_ptr().cast::<i8>().add(eight * STEP_BYTES + vector * 4 * BYTES);
                first.store(to);
                other.store(to.add(2 * BYTES));
            }
        }
    }
}

/// Eight inputs of four outputs, by outputs: those of the first two, and of the others. Of each four inputs there are the
/// first two of all outputs, and the others.
#[inline]
#[target_feature(enable = "neon")]
fn by_outputs(first: [int16x8_t; 2], other: [int16x8_t; 2]) -> [Halves; 2] {
    // Four inputs of outputs 0 and 1, and of 2 and 3.
    let four = |[a, b]: [int16x8_t; 2]| {
        let (a, b) = (vreinterpretq_s32_s16(a), vreinterpretq_s32_s16(b));
        [vreinterpretq_s64_s32(vzip1q_s32(a, b)), vreinterpretq_s64_s32(vzip2q_s32(a, b))]
    };
    let (first, other) = (four(first), four(other));
    let halves = |at: usize| {
        Halves::of(
            vreinterpretq_s16_s64(vzip1q_s64(first[at], other[at])),
            vreinterpretq_s16_s64(vzip2q_s64(first[at], other[at])),
        )
    };
    [halves(0), halves(1)]
}

/// A tile of halves that [`unpack`] left, of up to [`I8MM_ROWS`] rows.
///
/// # Safety
/// `tile.check_pairs` must hold, and i8mm be there.
#[target_feature(enable = "neon,i8mm")]
pub(crate) unsafe fn tile(tile: &TileI16<'_>, sums: &mut Sums) {
    assert!(tile.inputs.is_multiple_of(EIGHT), "halves come by eight");
    // SAFETY: as this function's.
    unsafe {
        match tile.rows.div_ceil(2) {
            1 => pairs::<1>(tile, sums),
            2 => pairs::<2>(tile, sums),
            3 => pairs::<3>(tile, sums),
            4 => pairs::<MOST_PAIRS>(tile, sums),
            pairs => unreachable!("a tile of {pairs} pairs of rows passed its check"),
        }
    }
}

/// `P` pairs of rows; of an odd number the last is paired with itself.
///
/// # Safety
/// As [`tile`]'s, and the inputs come by eight.
#[target_feature(enable = "neon,i8mm")]
unsafe fn pairs<const P: usize>(tile: &TileI16<'_>, sums: &mut Sums) {
    // Not zeros first, which would take a tenth of the tile's time.
    let mut x: [[MaybeUninit<Factors>; P]; DEPTH / EIGHT] =
        [const { [const { MaybeUninit::uninit() }; P] }; DEPTH / EIGHT];
    let steps = tile.inputs / EIGHT;
    for pair in 0..P {
        let row = |row: usize| tile.x.as_ptr().wrapping_add(row.min(tile.rows - 1) * tile.stride);
        let (first, other) = (row(2 * pair), row(2 * pair + 1));
        for (step, x) in x[..steps].iter_mut().enumerate() {
            // SAFETY: the step is inside the inputs, so every row has eight there.
            let (first, other) =
                unsafe { (vld1q_s16(first.add(step * EIGHT)), vld1q_s16(other.add(step * EIGHT))) };
            x[pair].write(Halves::of(first, other).factors());
        }
    }
    for vector in 0..PANEL / OUTPUTS {
        let mut of_outputs = [[Products::none(); 2]; P];
        let weights = tile.panel.as_ptr().cast::<i8>().wrapping_add(vector * 4 * BYTES);
        for (step, x) in x[..steps].iter().enumerate() {
            // SAFETY: the step is inside the inputs, so the panel has halves of its outputs there.
            let (first, other) = unsafe {
                let at = weights.add(step * STEP_BYTES);
                (Halves::load(at).factors(), Halves::load(at.add(2 * BYTES)).factors())
            };
            for pair in 0..P {
                // SAFETY: written above.
                let x = unsafe { x[pair].assume_init() };
                add(&mut of_outputs[pair][0], x, first);
                add(&mut of_outputs[pair][1], x, other);
            }
        }
        for pair in 0..P {
            let [a, b] = of_outputs[pair];
            let (a, b) = (vreinterpretq_s64_s32(a.all()), vreinterpretq_s64_s32(b.all()));
            let rows = [vreinterpretq_s32_s64(vzip1q_s64(a, b)), vreinterpretq_s32_s64(vzip2q_s64(a, b))];
            for r in 0..2 {
                let row = 2 * pair + r;
                if row < tile.rows {
                    // SAFETY: the tile has the row.
                    unsafe { add_scaled(tile, row, vector * OUTPUTS, rows[r], &mut sums[row]) };
                }
            }
        }
    }
}
