//! The i16 tile on vectors of 256 bits: one loop of assembly for each number of rows, in two kinds that give the same bits.
//!
//! **Straight**, for four to six rows: a `vpmaddwd` and a `vpaddd` for two inputs, a row and a vector of outputs, or one
//! `vpdpwssd` where there is AVX-VNNI. Two vectors of outputs at a time: twelve sums, two vectors of weights, one of
//! activations and one of products are all 16 registers there are. The compiler wants one more and goes through memory, so
//! this is assembly.
//!
//! **Crossed**, for three and four rows: Winograd's inner product (see `tile_i16_avx512.rs`). For four inputs two `vpaddw`
//! stand in place of one `vpmaddwd` and one `vpaddd`, so there are as many instructions. But AMD's cores multiply integers
//! in two units of four and add them in all four: straight, both multipliers must work all the time, and additions that
//! take their turn keep a fifth of it from them; crossed, multiplications are a quarter of what there is, and find a unit
//! (docs/KERNELS.md has what both give).
#![allow(unsafe_code)] // a named room: assembly

use std::arch::asm;

use crate::table::{PREFETCH_ROWS, Sums, TileI16};
use crate::table_avx2::{LANES, scales_and_crossed};
use crate::tile_fields::{FOUR, Fields};

/// The assembly prefetches for all its rows.
const _: () = assert!(PREFETCH_ROWS <= 3);

/// What `$step` makes of a row: its sums' registers, where its activations or scales are, and where its sums are in
/// memory.
#[rustfmt::skip]
macro_rules! row {
    (0 $step:ident $from:literal) => { $step!("ymm0", "ymm1", "{a}", "0", "32", $from) };
    (1 $step:ident $from:literal) => { $step!("ymm2", "ymm3", "{a} + {s}", "128", "160", $from) };
    (2 $step:ident $from:literal) => { $step!("ymm4", "ymm5", "{a} + 2*{s}", "256", "288", $from) };
    (3 $step:ident $from:literal) => { $step!("ymm6", "ymm7", "{b}", "384", "416", $from) };
    (4 $step:ident $from:literal) => { $step!("ymm8", "ymm9", "{b} + {s}", "512", "544", $from) };
    (5 $step:ident $from:literal) => { $step!("ymm10", "ymm11", "{b} + 2*{s}", "640", "672", $from) };
}

/// Where rows of something begin: `{a}` for the first, `{b}` for the fourth, `{s}` from one to the next. `$first` and
/// `$stride` are where the tile has it.
#[rustfmt::skip]
macro_rules! rows_of {
    ($first:literal, $stride:literal) => {
        concat!(
            "mov {a}, qword ptr [{tile} + ", $first, "]\n",
            "mov {s}, qword ptr [{tile} + ", $stride, "]\n",
            "lea {b}, [{a} + 2*{s}]\n",
            "add {b}, {s}\n",
        )
    };
}

/// Sums that begin as zeros.
#[rustfmt::skip]
macro_rules! begin_straight {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vpxor ", $left, ", ", $left, ", ", $left, "\n",
            "vpxor ", $right, ", ", $right, ", ", $right, "\n",
        )
    };
}

/// Sums that begin with what stands beside the row's integers (`$x`) and the outputs' (`ymm12`, `ymm13`).
#[rustfmt::skip]
macro_rules! begin_crossed {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vpbroadcastd ymm14, dword ptr [", $x, " + 4]\n",
            "vpaddd ", $left, ", ymm12, ymm14\n",
            "vpaddd ", $right, ", ymm13, ymm14\n",
        )
    };
}

/// Two inputs of a row, `$from` bytes from where they begin, times their weights in `ymm12` and `ymm13`.
#[rustfmt::skip]
macro_rules! two {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vpbroadcastd ymm14, dword ptr [", $x, " + ", $from, "]\n",
            "vpmaddwd ymm15, ymm12, ymm14\n",
            "vpmaddwd ymm14, ymm13, ymm14\n",
            "vpaddd ", $left, ", ", $left, ", ymm15\n",
            "vpaddd ", $right, ", ", $right, ", ymm14\n",
        )
    };
}

/// As `two!`, where there is AVX-VNNI.
#[rustfmt::skip]
macro_rules! two_vnni {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vpbroadcastd ymm14, dword ptr [", $x, " + ", $from, "]\n",
            "{{vex}} vpdpwssd ", $left, ", ymm12, ymm14\n",
            "{{vex}} vpdpwssd ", $right, ", ymm13, ymm14\n",
        )
    };
}

/// Four inputs of a row, with the weights of the first two in `ymm8` and `ymm9`, of the others in `ymm10` and `ymm11`.
#[rustfmt::skip]
macro_rules! four_crossed {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vpbroadcastd ymm12, dword ptr [", $x, "]\n",
            "vpbroadcastd ymm13, dword ptr [", $x, " + 4]\n",
            "vpaddw ymm14, ymm12, ymm10\n",
            "vpaddw ymm15, ymm13, ymm8\n",
            "vpaddw ymm12, ymm12, ymm11\n",
            "vpaddw ymm13, ymm13, ymm9\n",
            "vpmaddwd ymm14, ymm14, ymm15\n",
            "vpmaddwd ymm12, ymm12, ymm13\n",
            "vpaddd ", $left, ", ", $left, ", ymm14\n",
            "vpaddd ", $right, ", ", $right, ", ymm12\n",
        )
    };
}

/// As `four_crossed!`, where there is AVX-VNNI.
#[rustfmt::skip]
macro_rules! four_crossed_vnni {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vpbroadcastd ymm12, dword ptr [", $x, "]\n",
            "vpbroadcastd ymm13, dword ptr [", $x, " + 4]\n",
            "vpaddw ymm14, ymm12, ymm10\n",
            "vpaddw ymm15, ymm13, ymm8\n",
            "{{vex}} vpdpwssd ", $left, ", ymm14, ymm15\n",
            "vpaddw ymm12, ymm12, ymm11\n",
            "vpaddw ymm13, ymm13, ymm9\n",
            "{{vex}} vpdpwssd ", $right, ", ymm12, ymm13\n",
        )
    };
}

/// Integer sums times the row's scale (`$x`) and the outputs' (`ymm12`, `ymm13`), added to the sums of the blocks
/// before (`{w}`). Fused, at every level: the same bits.
#[rustfmt::skip]
macro_rules! end {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vcvtdq2ps ", $left, ", ", $left, "\n",
            "vcvtdq2ps ", $right, ", ", $right, "\n",
            "vbroadcastss ymm14, dword ptr [", $x, "]\n",
            "vmulps ymm15, ymm14, ymm12\n",
            "vmulps ymm14, ymm14, ymm13\n",
            "vfmadd213ps ", $left, ", ymm15, ymmword ptr [{w} + ", $at, "]\n",
            "vfmadd213ps ", $right, ", ymm14, ymmword ptr [{w} + ", $then, "]\n",
            "vmovups ymmword ptr [{w} + ", $at, "], ", $left, "\n",
            "vmovups ymmword ptr [{w} + ", $then, "], ", $right, "\n",
        )
    };
}

/// Two inputs of every row by `$two`, `$from` bytes from where they begin, with their weights, `$weights` bytes on.
#[rustfmt::skip]
macro_rules! two_of_all {
    ($two:ident $from:literal, $weights:literal: $($row:tt)*) => {
        concat!(
            "vmovdqu ymm12, ymmword ptr [{w} + ", $weights, "]\n",
            "vmovdqu ymm13, ymmword ptr [{w} + ", $weights, " + 32]\n",
            $(row!($row $two $from),)*
        )
    };
}

/// Prefetches every other line of what is read after this block: those that are not prefetched for the other half of the
/// outputs.
#[rustfmt::skip]
macro_rules! prefetch {
    () => {
        concat!(
            "prefetcht1 byte ptr [{p}]\n",
            "prefetcht1 byte ptr [{p} + 128]\n",
            "add {p}, qword ptr [{tile} + 48]\n",
        )
    };
}

/// Four inputs of every row.
#[rustfmt::skip]
macro_rules! straight {
    ($two:ident: $($row:tt)*) => {
        concat!(prefetch!(), two_of_all!($two "0", "0": $($row)*), two_of_all!($two "4", "128": $($row)*))
    };
}

/// As `straight!`, with half the products.
#[rustfmt::skip]
macro_rules! crossed {
    ($four:ident: $($row:tt)*) => {
        concat!(
            prefetch!(),
            "vmovdqu ymm8, ymmword ptr [{w}]\n",
            "vmovdqu ymm9, ymmword ptr [{w} + 32]\n",
            "vmovdqu ymm10, ymmword ptr [{w} + 128]\n",
            "vmovdqu ymm11, ymmword ptr [{w} + 160]\n",
            $(row!($row $four "0"),)*
        )
    };
}

/// A vector of sums is 32 bytes.
const _: () = assert!(LANES * size_of::<f32>() == 32);

/// A function for tiles of the listed rows: the loop for half the outputs, then for the others (`{half}`: the bytes
/// before them in a pair's weights, in the sums, and in what the outputs have beside them).
macro_rules! tiles {
    ($name:ident $features:literal $two:ident $kind:ident $step:ident $begin:ident: $($rows:literal [$($row:tt)*])*) => {
        /// A tile of as many rows as are listed.
        ///
        /// # Safety
        /// `tile.check` must hold.
        #[target_feature(enable = $features)]
        pub(crate) unsafe fn $name(tile: &TileI16<'_>, sums: &mut Sums) {
            // Not by `array::map`: that is compiled without the level's features, and passes vectors through memory.
            let scales = tile.scales.as_ptr();
            // SAFETY: there are 32 scales.
            let (of_0, of_1, of_2, of_3) = unsafe {
                (
                    scales_and_crossed(scales),
                    scales_and_crossed(scales.add(LANES)),
                    scales_and_crossed(scales.add(2 * LANES)),
                    scales_and_crossed(scales.add(3 * LANES)),
                )
            };
            let scales = [of_0.0, of_1.0, of_2.0, of_3.0];
            let fields = Fields::of(tile, scales, [of_0.1, of_1.1, of_2.1, of_3.1]);
            match tile.rows {
                // SAFETY: reads the inputs and the scale of a panel and of each of its rows, and reads and writes as
                // many rows of sums, all of which `check` asserted to be there. What it prefetches may be nothing: a
                // prefetch of nothing does nothing.
                $($rows => unsafe {
                    asm!(
                        concat!(
                            "5:\n",
                            rows_of!("16", "24"),
                            "vmovdqa ymm12, ymmword ptr [{tile} + {half} + 192]\n",
                            "vmovdqa ymm13, ymmword ptr [{tile} + {half} + 224]\n",
                            $(row!($row $begin "0"),)*
                            rows_of!("0", "8"),
                            "lea {w}, [{panel} + {half}]\n",
                            "mov {p}, qword ptr [{tile} + 56]\n",
                            "add {p}, {half}\n",
                            "mov {n}, qword ptr [{tile} + 32]\n",
                            "test {n}, {n}\n",
                            "jz 3f\n",
                            ".p2align 5\n",
                            "2:\n",
                            $kind!($step: $($row)*),
                            "add {a}, 8\n",
                            "add {b}, 8\n",
                            "add {w}, 256\n",
                            "dec {n}\n",
                            "jnz 2b\n",
                            "3:\n",
                            "test byte ptr [{tile} + 40], 1\n",
                            "jz 4f\n",
                            two_of_all!($two "0", "0": $($row)*),
                            "4:\n",
                            rows_of!("16", "24"),
                            "vmovaps ymm12, ymmword ptr [{tile} + {half} + 64]\n",
                            "vmovaps ymm13, ymmword ptr [{tile} + {half} + 96]\n",
                            "lea {w}, [{sums} + {half}]\n",
                            $(row!($row end "0"),)*
                            "xor {half}, 64\n",
                            "jnz 5b\n",
                        ),
                        a = out(reg) _,
                        // Rows that the tile has not are not read.
                        b = out(reg) _,
                        s = out(reg) _,
                        tile = in(reg) &raw const fields,
                        panel = in(reg) tile.panel.as_ptr(),
                        half = inout(reg) 0_usize => _,
                        w = out(reg) _,
                        p = out(reg) _,
                        n = out(reg) _,
                        sums = in(reg) sums.as_mut_ptr(),
                        out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                        out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                        out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                        options(nostack)
                    );
                },)*
                rows => unreachable!("a tile of {rows} rows passed its check"),
            }
        }
    };
}

tiles!(straight_tile "avx2,fma" two straight two begin_straight:
    4 [0 1 2 3]
    5 [0 1 2 3 4]
    6 [0 1 2 3 4 5]
);
tiles!(straight_tile_vnni "avx2,fma,avxvnni" two_vnni straight two_vnni begin_straight:
    4 [0 1 2 3]
    5 [0 1 2 3 4]
    6 [0 1 2 3 4 5]
);
tiles!(crossed_tile "avx2,fma" two crossed four_crossed begin_crossed:
    3 [0 1 2]
    4 [0 1 2 3]
);
tiles!(crossed_tile_vnni "avx2,fma,avxvnni" two_vnni crossed four_crossed_vnni begin_crossed:
    4 [0 1 2 3]
);

/// Multiply-adds of a step of [`peak_crossed`].
pub(crate) const PEAK_MACS: u64 = (4 * 2 * LANES * FOUR) as u64;

/// What [`peak_crossed`] does with a row: as `four_crossed!`, on registers alone.
#[rustfmt::skip]
macro_rules! registers_crossed {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vpaddw ymm14, ymm12, ymm10\n",
            "vpaddw ymm15, ymm13, ymm8\n",
            "vpmaddwd ymm14, ymm14, ymm15\n",
            "vpaddd ", $left, ", ", $left, ", ymm14\n",
            "vpaddw ymm14, ymm12, ymm11\n",
            "vpaddw ymm15, ymm13, ymm9\n",
            "vpmaddwd ymm14, ymm14, ymm15\n",
            "vpaddd ", $right, ", ", $right, ", ymm14\n",
        )
    };
}

/// Runs what a crossed tile of four rows multiplies and adds, on registers alone.
pub(crate) fn peak_crossed(steps: u64) {
    #[target_feature(enable = "avx2")]
    fn here(steps: u64) {
        // SAFETY: registers only; whatever they hold are integers.
        unsafe {
            asm!(
                "2:",
                row!(0 registers_crossed "0"),
                row!(1 registers_crossed "0"),
                row!(2 registers_crossed "0"),
                row!(3 registers_crossed "0"),
                "dec {n}",
                "jnz 2b",
                n = inout(reg) steps.max(1) => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                out("ymm6") _, out("ymm7") _, out("ymm14") _, out("ymm15") _,
                options(nomem, nostack)
            );
        }
    }
    // SAFETY: `Kernels::all_of` hands out this row only where the level's features were detected.
    unsafe { here(steps) }
}
