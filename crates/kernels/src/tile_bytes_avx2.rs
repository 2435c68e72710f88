//! Weights that are kept as bytes, on vectors of 256 bits: a tile that unpacks them in registers, and what unpacks a block of
//! them for more rows than that tile takes.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics

use std::arch::x86_64::{
    __m256i, _mm256_add_epi16, _mm256_and_si256, _mm256_loadu_si256, _mm256_mulhrs_epi16, _mm256_set1_epi16,
    _mm256_shufflehi_epi16, _mm256_shufflelo_epi16, _mm256_slli_epi16, _mm256_storeu_si256,
};

use crate::bytes::{HIGH, runs_of};
use crate::decode::Grain;
use crate::table::PANEL;
use crate::tile_fields::FOUR;

/// Rows of the tile: two sums each, beside four vectors of weights, two of ratios and two of what comes and goes.
pub(crate) const BYTE_ROWS: usize = 4;
/// Words of a vector.
const WORDS: usize = 16;

/// Of a word for each output of a panel (a run's ratios or offsets) those of the first half or the second, each twice: two
/// vectors.
///
/// # Safety
/// There must be a panel of them.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn twice(head: *const i16, second: bool) -> (__m256i, __m256i) {
    // SAFETY: as this function's.
    let (low, high) =
        unsafe { (_mm256_loadu_si256(head.cast()), _mm256_loadu_si256(head.add(WORDS).cast())) };
    if second {
        (
            _mm256_shufflehi_epi16::<0xf5>(_mm256_shufflelo_epi16::<0xf5>(low)),
            _mm256_shufflehi_epi16::<0xf5>(_mm256_shufflelo_epi16::<0xf5>(high)),
        )
    } else {
        (
            _mm256_shufflehi_epi16::<0xa0>(_mm256_shufflelo_epi16::<0xa0>(low)),
            _mm256_shufflehi_epi16::<0xa0>(_mm256_shufflelo_epi16::<0xa0>(high)),
        )
    }
}

/// Four inputs' weights of 16 outputs: two vectors of the first two inputs', two of the others'.
///
/// # Safety
/// There must be two vectors of words.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn weights_of<const FINE: bool>(
    words: *const i16,
    ratios: (__m256i, __m256i),
    offsets: (__m256i, __m256i),
) -> [__m256i; 4] {
    // SAFETY: as this function's.
    let (low, high) =
        unsafe { (_mm256_loadu_si256(words.cast()), _mm256_loadu_si256(words.add(WORDS).cast())) };
    let mask = _mm256_set1_epi16(HIGH);
    let weights = [
        _mm256_mulhrs_epi16(_mm256_slli_epi16::<8>(low), ratios.0),
        _mm256_mulhrs_epi16(_mm256_slli_epi16::<8>(high), ratios.1),
        _mm256_mulhrs_epi16(_mm256_and_si256(low, mask), ratios.0),
        _mm256_mulhrs_epi16(_mm256_and_si256(high, mask), ratios.1),
    ];
    if !FINE {
        return weights;
    }
    [
        _mm256_add_epi16(weights[0], offsets.0),
        _mm256_add_epi16(weights[1], offsets.1),
        _mm256_add_epi16(weights[2], offsets.0),
        _mm256_add_epi16(weights[3], offsets.1),
    ]
}

/// The tile of up to [`BYTE_ROWS`] rows, over a way to multiply pairs and add them to a sum; see `tile_i16_256!`.
macro_rules! tile_bytes_256 {
    ($features:literal, $step:expr) => {
        /// # Safety
        /// `tile.check` must hold, with `R` rows, and its weights be bytes, of fine grain if `FINE`, else of coarse.
        #[target_feature(enable = $features)]
        unsafe fn bytes_of<const R: usize, const FINE: bool>(tile: &TileI16<'_>, sums: &mut Sums) {
            let grain = if FINE { Grain::Fine } else { Grain::Coarse };
            for half in 0..2 {
                let mut chain = [[_mm256_setzero_si256(); 2]; R];
                for run in 0..tile.inputs / grain.run() {
                    // SAFETY: the run is inside the inputs, so the panel has its words, and every row its inputs.
                    unsafe {
                        let head = tile.panel.as_ptr().add(run * grain.run_words());
                        let ratios = twice(head, half == 1);
                        let offsets = if FINE { twice(head.add(PANEL), half == 1) } else { ratios };
                        if FINE && half == 0 {
                            let lines = run * grain.run_words();
                            prefetch_two_lines(tile.ahead.as_ptr().wrapping_add(lines));
                        }
                        for four in 0..grain.run() / FOUR {
                            let words = grain.head() + 2 * four * PANEL;
                            if half == 0 {
                                let lines = run * grain.run_words() + words;
                                prefetch_two_lines(tile.ahead.as_ptr().wrapping_add(lines));
                            }
                            let words = head.add(words + half * PANEL);
                            let weights = weights_of::<FINE>(words, ratios, offsets);
                            for r in 0..R {
                                let input = run * grain.run() + four * FOUR;
                                let x = tile.x.as_ptr().add(r * tile.stride + input).cast::<i32>();
                                let first = _mm256_set1_epi32(x.read_unaligned());
                                chain[r][0] = $step(chain[r][0], first, weights[0]);
                                chain[r][1] = $step(chain[r][1], first, weights[1]);
                                let other = _mm256_set1_epi32(x.add(1).read_unaligned());
                                chain[r][0] = $step(chain[r][0], other, weights[2]);
                                chain[r][1] = $step(chain[r][1], other, weights[3]);
                            }
                        }
                    }
                }
                for w in 0..2 {
                    let at = (2 * half + w) * LANES;
                    // SAFETY: there are eight.
                    let scales = unsafe { scales_of(tile.scales[at..][..LANES].as_ptr()) };
                    for r in 0..R {
                        let values = sums[r][at..][..LANES].as_mut_ptr();
                        // SAFETY: eight values are read and written, and every row has a scale.
                        unsafe {
                            let x_scale = (*tile.x_scales.as_ptr().add(r * tile.scale_stride)).scale;
                            add_scaled(chain[r][w], x_scale, scales, values);
                        }
                    }
                }
            }
        }
    };
}
pub(crate) use tile_bytes_256;

/// See [`crate::Kernels::unpack`].
pub(crate) fn unpack(grain: Grain, panel: &[i16], out: &mut [i16]) {
    for (words, out) in runs_of(grain, panel, out) {
        // SAFETY: `Kernels::all_of` hands out this row only where the level's features were detected, and these are runs.
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
#[target_feature(enable = "avx2,fma")]
unsafe fn unpack_run<const FINE: bool>(words: &[i16], out: &mut [i16]) {
    let grain = if FINE { Grain::Fine } else { Grain::Coarse };
    debug_assert_eq!((words.len(), out.len()), (grain.run_words(), grain.run() * PANEL));
    let (head, out) = (words.as_ptr(), out.as_mut_ptr());
    for half in 0..2 {
        // SAFETY: a run has its head, and for each of its fours two vectors of words a half, which become four.
        unsafe {
            let ratios = twice(head, half == 1);
            let offsets = if FINE { twice(head.add(PANEL), half == 1) } else { ratios };
            for four in 0..grain.run() / FOUR {
                let words = head.add(grain.head() + (2 * four + half) * PANEL);
                let weights = weights_of::<FINE>(words, ratios, offsets);
                let out = out.add((4 * four + half) * PANEL);
                _mm256_storeu_si256(out.cast(), weights[0]);
                _mm256_storeu_si256(out.add(WORDS).cast(), weights[1]);
                _mm256_storeu_si256(out.add(2 * PANEL).cast(), weights[2]);
                _mm256_storeu_si256(out.add(2 * PANEL + WORDS).cast(), weights[3]);
            }
        }
    }
}
