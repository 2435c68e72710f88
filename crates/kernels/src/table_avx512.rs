//! The AVX-512 level with VNNI: 512-bit vectors, `vpdpwssd` on 16 pairs at once.
#![allow(clippy::needless_range_loop)] // iterators over arrays of vectors are taken through memory
#![allow(unsafe_code)] // a named room: intrinsics, and calls into functions compiled for the level

use std::arch::asm;
use std::arch::x86_64::{
    __m512, __m512i, _mm256_loadu_si256, _mm512_add_ps, _mm512_castsi512_ps, _mm512_cvtepi32_ps,
    _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_slli_epi32, _mm512_storeu_ps,
};

use crate::bytes::unpacked_tile;
use crate::layout::Layout;
use crate::level::{Level, adds_beside_products};
use crate::peak::{CHAINS, Peak};
use crate::table::{DEPTH, Kernels, PANEL, PREFETCH_ROWS, Sums, TileF32, TileI16, by_held, held};
use crate::table_avx2::prefetch_ahead;
use crate::tile_bytes_avx512::{self, BYTE_ROWS, LEAST_LEFT, byte_tile};
use crate::tile_i16_avx512::{
    PEAK_MACS, crossed_tile, peak_crossed, scales_and_crossed, straight_left_tile, straight_tile,
};

/// What AVX-512 improves over the levels below: all of it.
pub(crate) const AVX512: Kernels = Kernels {
    level: Level::Avx512,
    quantised: Layout::I16,
    tile_rows: TILE_ROWS,
    i16_rows,
    tile_f32,
    tile_widening: Some(tile_widening),
    keeps_float16: true,
    tile_i16: tile_i16::<false>,
    tile_bytes: tile_bytes::<false>,
    tile_left,
    shares_ahead: true,
    byte_rows: BYTE_ROWS,
    unpack: tile_bytes_avx512::unpack,
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
        Peak { name: "vfmadd zmm", layout: Layout::F32, run: peak_f32, macs: 16 * CHAINS as u64 },
        Peak { name: "vpdpwssd zmm", layout: Layout::I16, run: peak_i16, macs: 32 * CHAINS as u64 },
    ],
};

compiled_with!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");

/// The same with crossed products, for cores that add beside multiplying.
const AVX512_CROSSED: Kernels = Kernels {
    i16_rows: crossed_rows,
    tile_widening: None,
    tile_i16: tile_i16::<true>,
    tile_bytes: tile_bytes::<true>,
    tile_left: tile_i16::<true>,
    shares_ahead: false,
    peaks: &[
        AVX512.peaks[0],
        Peak {
            name: "vpdpwssd and vpaddw zmm, crossed",
            layout: Layout::I16,
            run: peak_crossed,
            macs: PEAK_MACS,
        },
    ],
    ..AVX512
};

/// The level's rows, the better one for this machine first.
pub(crate) fn rows() -> &'static [&'static Kernels] {
    if adds_beside_products() { &[&AVX512_CROSSED, &AVX512] } else { &[&AVX512, &AVX512_CROSSED] }
}

/// 24 sums of 32 registers; the rest is for weights and activations.
const TILE_ROWS: usize = 12;
/// Sums a vector holds.
const LANES: usize = 16;
/// Vectors of a panel's outputs.
const VECTORS: usize = PANEL / LANES;

/// A tile that unpacks bytes has one row less than others. Where no tile has more, the first always unpacks in registers,
/// and leaves its weights for the others.
fn i16_rows(_: usize, are_bytes: bool) -> usize {
    if are_bytes { BYTE_ROWS } else { TILE_ROWS }
}

/// As [`i16_rows`], where fewer and larger tiles are worth a step before them that unpacks (docs/KERNELS.md): twelve rows are
/// six and six, but more of them, whose first tile would be of twelve, are unpacked before.
fn crossed_rows(rows: usize, are_bytes: bool) -> usize {
    if are_bytes && rows == TILE_ROWS { BYTE_ROWS } else { TILE_ROWS }
}

fn tile_f32(tile: &TileF32<'_>, sums: &mut Sums) {
    tile.check(TILE_ROWS, sums);
    // SAFETY: this row of the table is only handed out where its features were detected, and `check`
    // asserted that everything lies inside its slice.
    unsafe { by_held!(f32_rows, tile, sums) }
}

/// # Safety
/// `tile.check` must hold, and the panel hold `HELD`.
unsafe fn f32_rows<const HELD: u8>(tile: &TileF32<'_>, sums: &mut Sums) {
    // SAFETY: as this function's.
    unsafe { by_rows!(f32_of HELD, tile, sums; 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) }
}

/// A vector of a panel's values, from the `at`th on.
///
/// # Safety
/// They must be there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn values<const HELD: u8>(panel: *const u8, at: usize) -> __m512 {
    // SAFETY: as this function's.
    unsafe {
        match HELD {
            held::F16 => _mm512_cvtph_ps(_mm256_loadu_si256(panel.cast::<u16>().add(at).cast())),
            held::BF16 => {
                let bits = _mm256_loadu_si256(panel.cast::<u16>().add(at).cast());
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
            }
            _ => _mm512_loadu_ps(panel.cast::<f32>().add(at)),
        }
    }
}

fn tile_widening(tile: &TileF32<'_>, sums: &mut Sums, room: &mut [f32]) {
    tile.check(TILE_ROWS, sums);
    assert_eq!(room.len(), tile.inputs * PANEL, "room for a tile's weights");
    // SAFETY: as in `tile_f32`, and the room is as large as what is left there.
    unsafe { by_held!(widening_rows, tile, (sums, room)) }
}

/// # Safety
/// `tile.check` must hold, the panel hold `HELD`, and the room be for its values.
unsafe fn widening_rows<const HELD: u8>(tile: &TileF32<'_>, into: (&mut Sums, &mut [f32])) {
    // SAFETY: as this function's.
    unsafe { by_rows!(widening_of HELD, tile, into; 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows, and the panel hold `HELD`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn f32_of<const R: usize, const HELD: u8>(tile: &TileF32<'_>, sums: &mut Sums) {
    // SAFETY: as this function's.
    unsafe { f32_body::<R, HELD, false>(tile, sums, std::ptr::null_mut()) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows, the panel hold `HELD`, and the room be for its values.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn widening_of<const R: usize, const HELD: u8>(tile: &TileF32<'_>, into: (&mut Sums, &mut [f32])) {
    // SAFETY: as this function's.
    unsafe { f32_body::<R, HELD, true>(tile, into.0, into.1.as_mut_ptr()) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows, and the panel hold `HELD`; the room must be for its values, if `LEAVES`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn f32_body<const R: usize, const HELD: u8, const LEAVES: bool>(
    tile: &TileF32<'_>,
    sums: &mut Sums,
    room: *mut f32,
) {
    let mut chain: [[__m512; VECTORS]; R] = [[_mm512_setzero_ps(); VECTORS]; R];
    for i in 0..tile.inputs {
        // SAFETY: `i < inputs`, so the panel has 32 values at `32 i`, as has the room, and every row has one at `i`.
        unsafe {
            if HELD != held::NEAR && (R > PREFETCH_ROWS || HELD != held::F32) && tile.inputs == DEPTH {
                prefetch_ahead::<HELD>(tile.panel.as_ptr(), i);
            }
            let mut vectors = [_mm512_setzero_ps(); VECTORS];
            for w in 0..VECTORS {
                vectors[w] = values::<HELD>(tile.panel.as_ptr(), i * PANEL + w * LANES);
                if LEAVES {
                    _mm512_storeu_ps(room.add(i * PANEL + w * LANES), vectors[w]);
                }
            }
            for r in 0..R {
                let value = _mm512_set1_ps(*tile.x.as_ptr().add(r * tile.stride + i));
                for w in 0..VECTORS {
                    chain[r][w] = _mm512_fmadd_ps(value, vectors[w], chain[r][w]);
                }
            }
        }
    }
    for r in 0..R {
        for w in 0..VECTORS {
            let values = sums[r][w * LANES..][..LANES].as_mut_ptr();
            // SAFETY: 16 values are read and written.
            unsafe { _mm512_storeu_ps(values, _mm512_add_ps(_mm512_loadu_ps(values), chain[r][w])) };
        }
    }
}

/// `vpdpwssd`: pairs multiplied, added to each other and to the sum.
///
/// As assembly, because LLVM (seen in 1.95) takes the intrinsic apart into `vpmaddwd` and `vpaddd` where it
/// thinks latency matters: twice the instructions, and half the speed here.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn dot_pairs(mut sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
    // SAFETY: registers only; the function's features include the instruction.
    unsafe {
        asm!(
            "vpdpwssd {sum}, {x}, {w}",
            sum = inout(zmm_reg) sum, x = in(zmm_reg) x, w = in(zmm_reg) w,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

fn tile_i16<const CROSSED: bool>(tile: &TileI16<'_>, sums: &mut Sums) {
    tile.check_pairs(TILE_ROWS, sums);
    // SAFETY: as in `tile_f32`.
    unsafe {
        match tile.rows {
            1 => i16_of::<1, 2>(tile, sums),
            2 => i16_of::<2, 2>(tile, sums),
            3 => i16_of::<3, 2>(tile, sums),
            // Of 13 rows, that is; where six are alone, memory is the limit (docs/KERNELS.md).
            6 if CROSSED && tile.is_whole && !tile.is_alone => crossed_tile(tile, sums),
            7.. if CROSSED && tile.is_whole => crossed_tile(tile, sums),
            _ => straight_tile(tile, sums),
        }
    }
}

fn tile_left(tile: &TileI16<'_>, sums: &mut Sums) {
    if tile.rows < LEAST_LEFT {
        return tile_i16::<false>(tile, sums);
    }
    tile.check_pairs(TILE_ROWS, sums);
    // SAFETY: as in `tile_f32`.
    unsafe { straight_left_tile(tile, sums) }
}

fn tile_bytes<const CROSSED: bool>(tile: &TileI16<'_>, sums: &mut Sums, room: &mut [i16]) {
    if !room.is_empty() && !(LEAST_LEFT..=BYTE_ROWS).contains(&tile.rows) {
        return unpacked_tile(tile, sums, room, tile_bytes_avx512::unpack, tile_i16::<CROSSED>);
    }
    tile.check_bytes(BYTE_ROWS, sums);
    assert!(room.is_empty() || room.len() == tile.inputs * PANEL, "room for {} inputs", tile.inputs);
    // SAFETY: as in `tile_f32`.
    unsafe { byte_tile(tile, CROSSED && tile.is_whole, sums, room) }
}

/// # Safety
/// `tile.check` must hold, with `R` rows; `W` is the vectors of a panel.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn i16_of<const R: usize, const W: usize>(tile: &TileI16<'_>, sums: &mut Sums) {
    let mut chain: [[__m512i; W]; R] = [[_mm512_setzero_si512(); W]; R];
    for pair in 0..tile.inputs / 2 {
        // SAFETY: the pair is inside the inputs, so the panel has 64 values at `64 pair` and every row two at
        // `2 pair`; both are read as unaligned.
        unsafe {
            let weights = tile.panel.as_ptr().add(pair * 2 * PANEL);
            let mut vectors = [_mm512_setzero_si512(); W];
            for w in 0..W {
                vectors[w] = _mm512_loadu_si512(weights.add(w * 2 * LANES).cast());
            }
            for r in 0..R {
                let x = tile.x.as_ptr().add(r * tile.stride + 2 * pair).cast::<i32>().read_unaligned();
                let x = _mm512_set1_epi32(x);
                for w in 0..W {
                    chain[r][w] = dot_pairs(chain[r][w], x, vectors[w]);
                }
            }
        }
    }
    for w in 0..W {
        // SAFETY: there are 32 scales.
        let scales = unsafe { scales_and_crossed(tile.scales[w * LANES..][..LANES].as_ptr()).0 };
        for r in 0..R {
            let values = sums[r][w * LANES..][..LANES].as_mut_ptr();
            // SAFETY: 16 values are read and written, and every row has a scale.
            unsafe {
                let x_scale = (*tile.x_scales.as_ptr().add(r * tile.scale_stride)).scale;
                let scale = _mm512_mul_ps(_mm512_set1_ps(x_scale), scales);
                let part = _mm512_cvtepi32_ps(chain[r][w]);
                // Fused, at every level: the same bits.
                _mm512_storeu_ps(values, _mm512_fmadd_ps(part, scale, _mm512_loadu_ps(values)));
            }
        }
    }
}

peak_loop!(
    peak_f32,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
    zmm_reg,
    __m512,
    _mm512_setzero_ps(),
    |chain, x, w| _mm512_fmadd_ps(x, w, chain)
);
peak_loop!(
    peak_i16,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
    zmm_reg,
    __m512i,
    _mm512_setzero_si512(),
    |chain, x, w| dot_pairs(chain, x, w)
);
