//! The AVX2 level: 256-bit vectors with fused multiply-add.
//!
//! The tiles are written by hand (those of integers from four rows on, and crossed ones, in `tile_i16_256.rs`), and
//! what turns integers into their crossed products; everything else is the generic body compiled with AVX2 on.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for AVX2 and FMA

use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps,
    _mm256_castpd_ps, _mm256_castpd_si256, _mm256_castps_pd, _mm256_castsi256_ps, _mm256_cvtepi32_ps,
    _mm256_cvtepu16_epi32, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_mul_ps, _mm256_permute4x64_pd, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_shuffle_epi32, _mm256_shuffle_ps, _mm256_slli_epi32,
    _mm256_storeu_ps, _mm256_storeu_si256,
};

use crate::bytes::unpacked_tile;
use crate::decode::Grain;
use crate::layout::Layout;
use crate::level::{Level, adds_beside_products};
use crate::peak::{CHAINS, Peak};
use crate::quantize::BlockScale;
use crate::table::{AHEAD, DEPTH, Kernels, PANEL, PREFETCH_ROWS, Sums, TileF32, TileI16, by_held, held};
use crate::tile_bytes_avx2::{self, BYTE_ROWS, tile_bytes_256, twice, weights_of};
use crate::tile_fields::FOUR;
use crate::tile_i16_256::{PEAK_MACS, crossed_tile, peak_crossed, straight_tile};

/// What AVX2 and FMA improve over the scalar level: all of it.
pub(crate) const AVX2: Kernels = Kernels {
    level: Level::Avx2,
    quantised: Layout::I16,
    tile_rows: TILE_ROWS,
    i16_rows: |_, _| TILE_ROWS,
    tile_f32,
    tile_widening: None,
    keeps_float16: true,
    tile_i16: tile_i16::<false>,
    tile_bytes: tile_bytes::<false>,
    tile_left: tile_i16::<false>,
    shares_ahead: false,
    byte_rows: BYTE_ROWS,
    unpack: tile_bytes_avx2::unpack,
    cross,
    bf16_rows: 1,
    panel_bf16,
    release: || {},
    to_bf16,
    quantize,
    row_scales,
    quantize_columns,
    layer_norm,
    rms_norm,
    layer_norm_to,
    rms_norm_to,
    softmax,
    take_outliers,
    add_outliers,
    gelu_erf,
    silu,
    relu,
    gated_gelu_erf,
    gated_gelu_tanh,
    gated_silu,
    rope,
    add,
    add_to_rows,
    scale,
    dot_f32,
    dot_f16,
    dot_i8,
    differing_bits,
    read_words,
    peaks: &[
        Peak { name: "vfmadd ymm", layout: Layout::F32, run: peak_f32, macs: 8 * CHAINS as u64 },
        Peak { name: "vpmaddwd+vpaddd ymm", layout: Layout::I16, run: peak_i16, macs: 16 * CHAINS as u64 },
    ],
};

compiled_with!("avx2,fma");

/// The same with crossed products, for cores that add in more units than multiply.
const AVX2_CROSSED: Kernels = Kernels {
    i16_rows: crossed_rows,
    tile_i16: tile_i16::<true>,
    tile_bytes: tile_bytes::<true>,
    tile_left: tile_i16::<true>,
    peaks: &[
        AVX2.peaks[0],
        Peak {
            name: "vpmaddwd, vpaddw and vpaddd ymm, crossed",
            layout: Layout::I16,
            run: peak_crossed,
            macs: PEAK_MACS,
        },
    ],
    ..AVX2
};

/// The level's rows, the better one for this machine first.
pub(crate) fn rows() -> &'static [&'static Kernels] {
    if adds_beside_products() { &[&AVX2_CROSSED, &AVX2] } else { &[&AVX2, &AVX2_CROSSED] }
}

/// Two vectors of outputs at a time: 12 accumulators, 2 weights, an activation and a product fill 16
/// registers. Up to 3 rows take four vectors, so that they pass by the panel once.
pub(crate) const TILE_ROWS: usize = 6;
/// Rows of a crossed tile: four vectors of weights and four of what is made of them and the activations leave eight
/// for sums.
const CROSSED_ROWS: usize = 4;

/// Tiles that are crossed are smaller, so weights pass by more often: that pays where few of them have three rows
/// (docs/KERNELS.md). Where it does not, those of six rows' cut that are small enough are crossed, too.
fn crossed_rows(rows: usize, _: bool) -> usize {
    let all_of_four = rows >= 16 && rows.is_multiple_of(CROSSED_ROWS);
    if all_of_four || rows > 30 { CROSSED_ROWS } else { TILE_ROWS }
}

/// Sums a vector holds.
pub(crate) const LANES: usize = 8;
/// Vectors of a panel's outputs.
pub(crate) const VECTORS: usize = PANEL / LANES;

fn tile_f32(tile: &TileF32<'_>, sums: &mut Sums) {
    tile.check(TILE_ROWS, sums);
    // SAFETY: this row of the table is only handed out where AVX2, FMA and F16C were detected, and `check`
    // asserted that everything lies inside its slice.
    unsafe { by_held!(f32_rows, tile, sums) }
}

/// # Safety
/// `tile.check` must hold, and the panel hold `HELD`.
unsafe fn f32_rows<const HELD: u8>(tile: &TileF32<'_>, sums: &mut Sums) {
    // SAFETY: as this function's.
    unsafe { by_rows!(f32_of HELD, tile, sums; 1: 4, 2: 4, 3: 4, 4: 2, 5: 2, 6: 2) }
}

fn tile_i16<const CROSSED: bool>(tile: &TileI16<'_>, sums: &mut Sums) {
    tile.check_pairs(TILE_ROWS, sums);
    // SAFETY: as in `tile_f32`.
    unsafe {
        match tile.rows {
            3 | 4 if CROSSED && tile.is_whole && !tile.is_alone => crossed_tile(tile, sums),
            1..=3 => by_rows!(i16_of, tile, sums; 1: 4, 2: 4, 3: 4),
            _ => straight_tile(tile, sums),
        }
    }
}

fn tile_bytes<const CROSSED: bool>(tile: &TileI16<'_>, sums: &mut Sums, room: &mut [i16]) {
    if !room.is_empty() {
        return unpacked_tile(tile, sums, room, tile_bytes_avx2::unpack, tile_i16::<CROSSED>);
    }
    tile.check_bytes(BYTE_ROWS, sums);
    // SAFETY: as in `tile_f32`.
    unsafe {
        match tile.grain {
            Some(Grain::Fine) => by_rows!(bytes_of, tile, sums; 1: true, 2: true, 3: true, 4: true),
            _ => by_rows!(bytes_of, tile, sums; 1: false, 2: false, 3: false, 4: false),
        }
    }
}

/// A vector of a panel's values, from the `at`th on.
///
/// # Safety
/// They must be there.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn values<const HELD: u8>(panel: *const u8, at: usize) -> __m256 {
    // SAFETY: as this function's.
    unsafe {
        match HELD {
            held::F16 => _mm256_cvtph_ps(_mm_loadu_si128(panel.cast::<u16>().add(at).cast())),
            held::BF16 => {
                let bits = _mm_loadu_si128(panel.cast::<u16>().add(at).cast());
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
            }
            _ => _mm256_loadu_ps(panel.cast::<f32>().add(at)),
        }
    }
}

/// `W` vectors of outputs at a time.
///
/// # Safety
/// `tile.check` must hold, with `R` rows, and the panel hold `HELD`.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn f32_of<const R: usize, const W: usize, const HELD: u8>(tile: &TileF32<'_>, sums: &mut Sums) {
    for first in (0..VECTORS).step_by(W) {
        let mut chain: [[__m256; W]; R] = [[_mm256_setzero_ps(); W]; R];
        for i in 0..tile.inputs {
            // SAFETY: `i < inputs`, so the panel has 32 values at `32 i`, and row `r` has a value at `i`
            // by this function's contract.
            unsafe {
                let prefetches = HELD != held::NEAR && (R >= PREFETCH_ROWS || HELD != held::F32);
                if prefetches && first == 0 && tile.inputs == DEPTH {
                    prefetch_ahead::<HELD>(tile.panel.as_ptr(), i);
                }
                let mut vectors = [_mm256_setzero_ps(); W];
                for w in 0..W {
                    vectors[w] = values::<HELD>(tile.panel.as_ptr(), i * PANEL + (first + w) * LANES);
                }
                for r in 0..R {
                    let value = _mm256_set1_ps(*tile.x.as_ptr().add(r * tile.stride + i));
                    for w in 0..W {
                        chain[r][w] = _mm256_fmadd_ps(value, vectors[w], chain[r][w]);
                    }
                }
            }
        }
        for r in 0..R {
            for w in 0..W {
                let values = sums[r][(first + w) * LANES..][..LANES].as_mut_ptr();
                // SAFETY: eight values are read and written.
                unsafe { _mm256_storeu_ps(values, _mm256_add_ps(_mm256_loadu_ps(values), chain[r][w])) };
            }
        }
    }
}

/// The i16 tile on 256-bit vectors, over a way to multiply pairs and add them to a sum. A macro and not a
/// function over a closure: a closure with other features than its caller is not inlined.
macro_rules! tile_i16_256 {
    ($features:literal, $step:expr) => {
        /// `W` vectors of outputs at a time.
        ///
        /// # Safety
        /// `tile.check` must hold, with `R` rows.
        #[target_feature(enable = $features)]
        unsafe fn i16_of<const R: usize, const W: usize>(tile: &TileI16<'_>, sums: &mut Sums) {
            for first in (0..VECTORS).step_by(W) {
                let mut chain: [[__m256i; W]; R] = [[_mm256_setzero_si256(); W]; R];
                for pair in 0..tile.inputs / 2 {
                    // SAFETY: the pair is inside the inputs, so the panel has 64 values at `64 pair` and every
                    // row two at `2 pair`; both are read as unaligned.
                    unsafe {
                        let pairs = tile.panel.as_ptr().add(pair * PANEL * 2);
                        if R >= PREFETCH_ROWS && first == 0 {
                            prefetch_two_lines(tile.ahead.as_ptr().wrapping_add(pair * PANEL * 2));
                        }
                        let mut weights = [_mm256_setzero_si256(); W];
                        for w in 0..W {
                            weights[w] = _mm256_loadu_si256(pairs.add((first + w) * 2 * LANES).cast());
                        }
                        for r in 0..R {
                            let x = tile.x.as_ptr().add(r * tile.stride + 2 * pair);
                            let x = _mm256_set1_epi32(x.cast::<i32>().read_unaligned());
                            for w in 0..W {
                                chain[r][w] = $step(chain[r][w], x, weights[w]);
                            }
                        }
                    }
                }
                for w in 0..W {
                    let at = (first + w) * LANES;
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
pub(crate) use tile_i16_256;

/// Integer sums of eight outputs times a row's scale and theirs, added to the sums of the blocks before.
///
/// # Safety
/// There must be eight sums.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn add_scaled(chain: __m256i, x_scale: f32, scales: __m256, sums: *mut f32) {
    let scale = _mm256_mul_ps(_mm256_set1_ps(x_scale), scales);
    // SAFETY: as this function's. Fused, at every level: the same bits.
    unsafe {
        _mm256_storeu_ps(sums, _mm256_fmadd_ps(_mm256_cvtepi32_ps(chain), scale, _mm256_loadu_ps(sums)))
    };
}

/// [`BlockScale::crossed`]: the compiler needs four times the instructions.
#[target_feature(enable = "avx2")]
pub(crate) fn crossed(q: &[i16]) -> i32 {
    const VALUES: usize = 2 * LANES;
    let mut sums = _mm256_setzero_si256();
    let mut add = |values: &[i16; VALUES]| {
        // SAFETY: a vector's values.
        let values = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
        // Each pair with its neighbour, so every product is met twice, from either side: 256 stay below 2^31.
        let other = _mm256_shuffle_epi32::<0b10_11_00_01>(values);
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(values, other));
    };
    let (chunks, rest) = q.as_chunks::<VALUES>();
    chunks.iter().for_each(&mut add);
    let fours = rest.as_chunks::<4>().0.as_flattened();
    if !fours.is_empty() {
        let mut filled = [0; VALUES];
        filled[..fours.len()].copy_from_slice(fours);
        add(&filled);
    }
    let mut all = [0i32; LANES];
    // SAFETY: eight values are written.
    unsafe { _mm256_storeu_si256(all.as_mut_ptr().cast(), sums) };
    -all.iter().sum::<i32>() / 2
}

/// Prefetches the weights of an input that lie [`AHEAD`].
#[inline(always)]
pub(crate) fn prefetch_ahead<const HELD: u8>(panel: *const u8, input: usize) {
    let first = panel.wrapping_add(AHEAD).cast::<i8>();
    if HELD == held::F32 {
        return prefetch_two_lines(first.wrapping_add(input * PANEL * size_of::<f32>()));
    }
    // SAFETY: a hint, whatever lies there.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(input * PANEL * size_of::<u16>())) };
}

/// Prefetches what lies there, if anything does.
#[inline(always)]
pub(crate) fn prefetch_two_lines<T>(first: *const T) {
    let first = first.cast::<i8>();
    // SAFETY: a hint, whatever lies there.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(first);
        _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(64));
    }
}

/// The scales of eight outputs, without what stands beside them.
///
/// # Safety
/// There must be eight.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn scales_of(scales: *const BlockScale) -> __m256 {
    // SAFETY: as this function's.
    unsafe { scales_and_crossed(scales).0 }
}

/// The scales of eight outputs, and their crossed products.
///
/// # Safety
/// There must be eight.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn scales_and_crossed(scales: *const BlockScale) -> (__m256, __m256i) {
    // SAFETY: eight pairs of 32 bits are two vectors.
    let (low, high) =
        unsafe { (_mm256_loadu_ps(scales.cast()), _mm256_loadu_ps(scales.add(LANES / 2).cast())) };
    // 0, 1, 4, 5 of the outputs, then 2, 3, 6, 7: by pairs into their order.
    let even = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
    let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(low, high));
    (
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(even)),
        _mm256_castpd_si256(_mm256_permute4x64_pd::<0b11_01_10_00>(odd)),
    )
}

tile_i16_256!("avx2,fma", |sum, x, w| _mm256_add_epi32(sum, _mm256_madd_epi16(x, w)));
tile_bytes_256!("avx2,fma", |sum, x, w| _mm256_add_epi32(sum, _mm256_madd_epi16(x, w)));

peak_loop!(peak_f32, "avx2,fma", ymm_reg, __m256, _mm256_setzero_ps(), |chain, x, w| _mm256_fmadd_ps(
    x, w, chain
));
peak_loop!(peak_i16, "avx2,fma", ymm_reg, __m256i, _mm256_setzero_si256(), |chain, x, w| _mm256_add_epi32(
    chain,
    _mm256_madd_epi16(x, w)
));
