//! The i16 tile at AVX-512: one loop of assembly for each number of rows, in two kinds that give the same bits.
//!
//! **Straight**: two `vpdpwssd` for four inputs, a row and a vector of outputs.
//!
//! **Crossed**: Winograd's inner product (A New Algorithm for Inner Product, IEEE Trans. Computers C-17, 1968). With
//! `(x0 + y2)(x2 + y0) = x0 y0 + x2 y2 + x0 x2 + y0 y2` one `vpdpwssd` does what two did, for two `vpaddw` before
//! it. The products of a row's own values and of an output's own values ([`BlockScale::crossed`]) are taken away at
//! the start. In integers that wrap around this is exact: what the sums pass through does not matter, and they end
//! below 2^31. It pays where additions have units of their own beside the multipliers: AMD's cores have two that
//! multiply and four that add. Additions for every row would need more than there are, so one row of three stays
//! straight: four inputs of a row and a vector take 2 cycles straight, 1.5 crossed, 1.33 in this mixture
//! (docs/KERNELS.md).
//!
//! Assembly, because the compiler spills what just fits the 32 registers, and takes `vpdpwssd` apart (see
//! `table_avx512.rs`).
#![allow(unsafe_code)] // a named room: assembly and intrinsics

use std::arch::asm;
use std::arch::x86_64::{
    __m512, __m512i, _mm512_castsi512_ps, _mm512_loadu_si512, _mm512_permutex2var_epi32, _mm512_setr_epi32,
};

use crate::quantize::BlockScale;
use crate::table::{PANEL, Sums, TileI16};
use crate::tile_fields::{FOUR, Fields};

/// Sums a vector holds.
const LANES: usize = 16;
/// Vectors of a panel's outputs.
const VECTORS: usize = PANEL / LANES;

/// What `$crossed` or, for one row of three, `$straight` makes of a row: its sums' registers, where its activations
/// are, and where its sums are in memory.
#[rustfmt::skip]
macro_rules! row {
    (0 $crossed:ident $straight:ident) => { $crossed!("zmm0", "zmm1", "{a}", "0", "64") };
    (1 $crossed:ident $straight:ident) => { $crossed!("zmm2", "zmm3", "{a} + {s}", "128", "192") };
    (2 $crossed:ident $straight:ident) => { $straight!("zmm4", "zmm5", "{a} + 2*{s}", "256", "320") };
    (3 $crossed:ident $straight:ident) => { $crossed!("zmm6", "zmm7", "{b}", "384", "448") };
    (4 $crossed:ident $straight:ident) => { $crossed!("zmm8", "zmm9", "{b} + {s}", "512", "576") };
    (5 $crossed:ident $straight:ident) => { $straight!("zmm10", "zmm11", "{b} + 2*{s}", "640", "704") };
    (6 $crossed:ident $straight:ident) => { $crossed!("zmm12", "zmm13", "{c}", "768", "832") };
    (7 $crossed:ident $straight:ident) => { $crossed!("zmm14", "zmm15", "{c} + {s}", "896", "960") };
    (8 $crossed:ident $straight:ident) => { $straight!("zmm16", "zmm17", "{c} + 2*{s}", "1024", "1088") };
    (9 $crossed:ident $straight:ident) => { $crossed!("zmm18", "zmm19", "{d}", "1152", "1216") };
    (10 $crossed:ident $straight:ident) => { $crossed!("zmm20", "zmm21", "{d} + {s}", "1280", "1344") };
    (11 $crossed:ident $straight:ident) => { $straight!("zmm22", "zmm23", "{d} + 2*{s}", "1408", "1472") };
}

/// Where rows of something begin: `{a}` for the first, `{b}`, `{c}` and `{d}` three rows on each, `{s}` from one to
/// the next. `$first` and `$stride` are where the tile has it.
#[rustfmt::skip]
macro_rules! rows_of {
    ($first:literal, $stride:literal) => {
        concat!(
            "mov {a}, qword ptr [{tile} + ", $first, "]\n",
            "mov {s}, qword ptr [{tile} + ", $stride, "]\n",
            "lea {d}, [{s} + 2*{s}]\n",
            "lea {b}, [{a} + {d}]\n",
            "lea {c}, [{b} + {d}]\n",
            "add {d}, {c}\n",
        )
    };
}

/// Sums that begin as zeros.
#[rustfmt::skip]
macro_rules! begin_straight {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal) => {
        concat!(
            "vpxord ", $left, ", ", $left, ", ", $left, "\n",
            "vpxord ", $right, ", ", $right, ", ", $right, "\n",
        )
    };
}

/// Sums that begin with what stands beside the row's integers (`$x`) and the outputs' (`zmm24`, `zmm25`).
#[rustfmt::skip]
macro_rules! begin_crossed {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal) => {
        concat!(
            "vpaddd ", $left, ", zmm24, dword ptr [", $x, " + 4]{{1to16}}\n",
            "vpaddd ", $right, ", zmm25, dword ptr [", $x, " + 4]{{1to16}}\n",
        )
    };
}

/// Two inputs of a row, `$from` bytes from where they begin, times their weights.
#[rustfmt::skip]
macro_rules! two {
    ($left:literal, $right:literal, $x:literal, $from:literal, $weights:literal, $more_weights:literal) => {
        concat!(
            "vpdpwssd ", $left, ", ", $weights, ", dword ptr [", $x, " + ", $from, "]{{1to16}}\n",
            "vpdpwssd ", $right, ", ", $more_weights, ", dword ptr [", $x, " + ", $from, "]{{1to16}}\n",
        )
    };
}

/// Four inputs of a row, with the weights of the first two in `zmm24` and `zmm25`, of the others in `zmm26` and
/// `zmm27`. Each input is loaded once for both vectors: two loads for four products, where a broadcast in each product
/// would be as many loads as cores with whole units of 512 bits can do meanwhile (docs/KERNELS.md).
#[rustfmt::skip]
macro_rules! straight {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal) => {
        concat!(
            "vpbroadcastd zmm28, dword ptr [", $x, "]\n",
            "vpbroadcastd zmm29, dword ptr [", $x, " + 4]\n",
            "vpdpwssd ", $left, ", zmm24, zmm28\n",
            "vpdpwssd ", $right, ", zmm25, zmm28\n",
            "vpdpwssd ", $left, ", zmm26, zmm29\n",
            "vpdpwssd ", $right, ", zmm27, zmm29\n",
        )
    };
}

/// As `straight!`, with half the products.
#[rustfmt::skip]
macro_rules! crossed {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal) => {
        concat!(
            "vpbroadcastd zmm28, dword ptr [", $x, "]\n",
            "vpbroadcastd zmm29, dword ptr [", $x, " + 4]\n",
            "vpaddw zmm30, zmm28, zmm26\n",
            "vpaddw zmm31, zmm29, zmm24\n",
            "vpdpwssd ", $left, ", zmm30, zmm31\n",
            "vpaddw zmm28, zmm28, zmm27\n",
            "vpaddw zmm29, zmm29, zmm25\n",
            "vpdpwssd ", $right, ", zmm28, zmm29\n",
        )
    };
}

/// The last two inputs of a row, with their weights in `zmm24` and `zmm25`.
#[rustfmt::skip]
macro_rules! last {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal) => {
        two!($left, $right, $x, "0", "zmm24", "zmm25")
    };
}

/// Integer sums times the row's scale (`$x`) and the outputs' (`zmm24`, `zmm25`), added to the sums of the blocks
/// before. Fused, at every level: the same bits.
#[rustfmt::skip]
macro_rules! end {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal) => {
        concat!(
            "vcvtdq2ps ", $left, ", ", $left, "\n",
            "vcvtdq2ps ", $right, ", ", $right, "\n",
            "vmulps zmm28, zmm24, dword ptr [", $x, "]{{1to16}}\n",
            "vmulps zmm29, zmm25, dword ptr [", $x, "]{{1to16}}\n",
            "vfmadd213ps ", $left, ", zmm28, zmmword ptr [{sums} + ", $at, "]\n",
            "vfmadd213ps ", $right, ", zmm29, zmmword ptr [{sums} + ", $then, "]\n",
            "vmovups zmmword ptr [{sums} + ", $at, "], ", $left, "\n",
            "vmovups zmmword ptr [{sums} + ", $then, "], ", $right, "\n",
        )
    };
}

/// Prefetches what is read after this block, into the second cache: it is on its way while all rows meet this one,
/// and does not take the first cache's few places for lines under way.
#[rustfmt::skip]
macro_rules! prefetch {
    () => {
        concat!(
            "prefetcht1 byte ptr [{p}]\n",
            "prefetcht1 byte ptr [{p} + 64]\n",
            "prefetcht1 byte ptr [{p} + 128]\n",
            "prefetcht1 byte ptr [{p} + 192]\n",
            "add {p}, qword ptr [{tile} + 48]\n",
        )
    };
}

/// As `prefetch!`, a line at a time: of bytes there is less to prefetch, and what is asked for twice takes a place twice.
#[rustfmt::skip]
macro_rules! prefetch_line {
    () => {
        concat!(
            "prefetcht1 byte ptr [{p}]\n",
            "add {p}, qword ptr [{tile} + 48]\n",
        )
    };
}

/// Leaves it to the hardware, which does better alone where memory is the limit.
macro_rules! stream {
    () => {
        "/* {p} */\n"
    };
}

/// A function for tiles of the listed rows, each with or without prefetching.
macro_rules! tiles {
    ($name:ident $kind:ident $begin:ident: $($rows:literal $ahead:ident [$($row:tt)*])*) => {
        /// A tile of as many rows as are listed.
        ///
        /// # Safety
        /// `tile.check` must hold.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        pub(crate) unsafe fn $name(tile: &TileI16<'_>, sums: &mut Sums) {
            let halves = [0, 1].map(|v| tile.scales[v * LANES..][..LANES].as_ptr());
            // SAFETY: 16 scales each.
            let halves = unsafe { [scales_and_crossed(halves[0]), scales_and_crossed(halves[1])] };
            let fields = Fields::of(tile, [halves[0].0, halves[1].0], [halves[0].1, halves[1].1]);
            match tile.rows {
                // SAFETY: reads the inputs and the scale of a panel and of each of its rows, and reads and writes as
                // many rows of sums, all of which `check` asserted to be there. What it prefetches may be nothing: a
                // prefetch of nothing does nothing.
                $($rows => unsafe {
                    asm!(
                        concat!(
                            rows_of!("16", "24"),
                            "vmovdqa64 zmm24, zmmword ptr [{tile} + 192]\n",
                            "vmovdqa64 zmm25, zmmword ptr [{tile} + 256]\n",
                            $(row!($row $begin begin_straight),)*
                            rows_of!("0", "8"),
                            "mov {n}, qword ptr [{tile} + 32]\n",
                            "test {n}, {n}\n",
                            "jz 3f\n",
                            ".p2align 5\n",
                            "2:\n",
                            "vmovdqu64 zmm24, zmmword ptr [{w}]\n",
                            "vmovdqu64 zmm25, zmmword ptr [{w} + 64]\n",
                            "vmovdqu64 zmm26, zmmword ptr [{w} + 128]\n",
                            "vmovdqu64 zmm27, zmmword ptr [{w} + 192]\n",
                            $ahead!(),
                            $(row!($row $kind straight),)*
                            "add {a}, 8\n",
                            "add {b}, 8\n",
                            "add {c}, 8\n",
                            "add {d}, 8\n",
                            "add {w}, 256\n",
                            "dec {n}\n",
                            "jnz 2b\n",
                            "3:\n",
                            "test byte ptr [{tile} + 40], 1\n",
                            "jz 4f\n",
                            "vmovdqu64 zmm24, zmmword ptr [{w}]\n",
                            "vmovdqu64 zmm25, zmmword ptr [{w} + 64]\n",
                            $(row!($row last last),)*
                            "4:\n",
                            rows_of!("16", "24"),
                            "vmovaps zmm24, zmmword ptr [{tile} + 64]\n",
                            "vmovaps zmm25, zmmword ptr [{tile} + 128]\n",
                            $(row!($row end end),)*
                        ),
                        a = out(reg) _,
                        // Rows that the tile has not are not read.
                        b = out(reg) _,
                        c = out(reg) _,
                        d = out(reg) _,
                        s = out(reg) _,
                        tile = in(reg) &raw const fields,
                        w = inout(reg) tile.panel.as_ptr() => _,
                        p = inout(reg) tile.ahead.as_ptr() => _,
                        n = out(reg) _,
                        sums = in(reg) sums.as_mut_ptr(),
                        out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                        out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                        out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                        out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                        out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _, out("zmm30") _, out("zmm31") _,
                        options(nostack)
                    );
                },)*
                rows => unreachable!("a tile of {rows} rows passed its check"),
            }
        }
    };
}

tiles!(straight_tile straight begin_straight:
    4 stream [0 1 2 3]
    5 stream [0 1 2 3 4]
    6 prefetch [0 1 2 3 4 5]
    7 prefetch [0 1 2 3 4 5 6]
    8 prefetch [0 1 2 3 4 5 6 7]
    9 prefetch [0 1 2 3 4 5 6 7 8]
    10 prefetch [0 1 2 3 4 5 6 7 8 9]
    11 prefetch [0 1 2 3 4 5 6 7 8 9 10]
    12 prefetch [0 1 2 3 4 5 6 7 8 9 10 11]
);
tiles!(straight_left_tile straight begin_straight:
    6 prefetch_line [0 1 2 3 4 5]
    7 prefetch_line [0 1 2 3 4 5 6]
    8 prefetch_line [0 1 2 3 4 5 6 7]
    9 prefetch_line [0 1 2 3 4 5 6 7 8]
    10 prefetch_line [0 1 2 3 4 5 6 7 8 9]
    11 prefetch_line [0 1 2 3 4 5 6 7 8 9 10]
    12 prefetch_line [0 1 2 3 4 5 6 7 8 9 10 11]
);
tiles!(crossed_tile crossed begin_crossed:
    6 prefetch [0 1 2 3 4 5]
    7 prefetch [0 1 2 3 4 5 6]
    8 prefetch [0 1 2 3 4 5 6 7]
    9 prefetch [0 1 2 3 4 5 6 7 8]
    10 prefetch [0 1 2 3 4 5 6 7 8 9]
    11 prefetch [0 1 2 3 4 5 6 7 8 9 10]
    12 prefetch [0 1 2 3 4 5 6 7 8 9 10 11]
);

/// What [`peak_crossed`] does with a row: as `crossed!`, on registers alone.
#[rustfmt::skip]
macro_rules! registers_crossed {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal) => {
        concat!(
            "vpaddw zmm30, zmm28, zmm26\n",
            "vpaddw zmm31, zmm29, zmm24\n",
            "vpdpwssd ", $left, ", zmm30, zmm31\n",
            "vpaddw zmm30, zmm28, zmm27\n",
            "vpaddw zmm31, zmm29, zmm25\n",
            "vpdpwssd ", $right, ", zmm30, zmm31\n",
        )
    };
}

/// As `straight!`, on registers alone.
#[rustfmt::skip]
macro_rules! registers_straight {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal) => {
        concat!(
            "vpdpwssd ", $left, ", zmm24, zmm28\n",
            "vpdpwssd ", $right, ", zmm25, zmm28\n",
            "vpdpwssd ", $left, ", zmm26, zmm29\n",
            "vpdpwssd ", $right, ", zmm27, zmm29\n",
        )
    };
}

/// Multiply-adds of a step of [`peak_crossed`].
pub(crate) const PEAK_MACS: u64 = (12 * VECTORS * LANES * FOUR) as u64;

/// Runs what a crossed tile of 12 rows multiplies and adds, on registers alone.
pub(crate) fn peak_crossed(steps: u64) {
    macro_rules! every_row {
        ($($row:tt)*) => { concat!($(row!($row registers_crossed registers_straight)),*) };
    }
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn here(steps: u64) {
        // SAFETY: registers only; whatever they hold are integers.
        unsafe {
            asm!(
                concat!("2:\n", every_row!(0 1 2 3 4 5 6 7 8 9 10 11), "dec {n}\n", "jnz 2b\n"),
                n = inout(reg) steps.max(1) => _,
                out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                out("zmm30") _, out("zmm31") _,
                options(nomem, nostack)
            );
        }
    }
    // SAFETY: `Kernels::all_of` hands out this row only where the level's features were detected.
    unsafe { here(steps) }
}

/// The scales of 16 outputs, and their crossed products.
///
/// # Safety
/// There must be 16.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn scales_and_crossed(scales: *const BlockScale) -> (__m512, __m512i) {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    // SAFETY: 16 pairs of 32 bits are two vectors.
    let (low, high) =
        unsafe { (_mm512_loadu_si512(scales.cast()), _mm512_loadu_si512(scales.add(LANES / 2).cast())) };
    (
        _mm512_castsi512_ps(_mm512_permutex2var_epi32(low, even, high)),
        _mm512_permutex2var_epi32(low, odd, high),
    )
}
