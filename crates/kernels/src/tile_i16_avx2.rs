//! The i16 tile at AVX2, of four to six rows: one loop of assembly for each.
//!
//! Two vectors of outputs at a time: twelve sums, two vectors of weights, one of activations and one of products are
//! all 16 registers there are. The compiler wants one more and goes through memory, so this is assembly
//! (docs/KERNELS.md has what it gains).
#![allow(unsafe_code)] // a named room: assembly

use std::arch::asm;

use crate::quantize::BlockScale;
use crate::table::{AHEAD, PANEL, PREFETCH_ROWS, Sums, TileI16};
use crate::table_avx2::{LANES, scales_of};

/// Outputs at a time: two vectors.
const COLUMNS: usize = 2 * LANES;

/// How far ahead the assembly prefetches, and that it does for all its rows.
const _: () = assert!(AHEAD == 16384 && PREFETCH_ROWS <= 4);
/// The distances that the assembly names.
const _: () = {
    assert!(size_of::<[f32; PANEL]>() == 128 && LANES * size_of::<f32>() == 32);
    assert!(size_of::<BlockScale>() == 8 && std::mem::offset_of!(BlockScale, scale) == 0);
};

/// What `$step` makes of a row: its sums' registers, where its activations are, and where its sums are in memory.
#[rustfmt::skip]
macro_rules! row {
    (0 $step:ident $from:literal) => { $step!("ymm0", "ymm1", "{a}", "0", "32", $from) };
    (1 $step:ident $from:literal) => { $step!("ymm2", "ymm3", "{a} + {s}", "128", "160", $from) };
    (2 $step:ident $from:literal) => { $step!("ymm4", "ymm5", "{a} + 2*{s}", "256", "288", $from) };
    (3 $step:ident $from:literal) => { $step!("ymm6", "ymm7", "{b}", "384", "416", $from) };
    (4 $step:ident $from:literal) => { $step!("ymm8", "ymm9", "{b} + {s}", "512", "544", $from) };
    (5 $step:ident $from:literal) => { $step!("ymm10", "ymm11", "{b} + 2*{s}", "640", "672", $from) };
}

/// Sums that begin as zeros.
#[rustfmt::skip]
macro_rules! begin {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vpxor ", $left, ", ", $left, ", ", $left, "\n",
            "vpxor ", $right, ", ", $right, ", ", $right, "\n",
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

/// Integer sums times the row's scale (`$x`) and the outputs' (`ymm12`, `ymm13`), added to the sums of the blocks
/// before. Fused, at every level: the same bits.
#[rustfmt::skip]
macro_rules! end {
    ($left:literal, $right:literal, $x:literal, $at:literal, $then:literal, $from:literal) => {
        concat!(
            "vcvtdq2ps ", $left, ", ", $left, "\n",
            "vcvtdq2ps ", $right, ", ", $right, "\n",
            "vbroadcastss ymm14, dword ptr [", $x, " + ", $from, "]\n",
            "vmulps ymm15, ymm14, ymm12\n",
            "vmulps ymm14, ymm14, ymm13\n",
            "vfmadd213ps ", $left, ", ymm15, ymmword ptr [{sums} + ", $at, "]\n",
            "vfmadd213ps ", $right, ", ymm14, ymmword ptr [{sums} + ", $then, "]\n",
            "vmovups ymmword ptr [{sums} + ", $at, "], ", $left, "\n",
            "vmovups ymmword ptr [{sums} + ", $then, "], ", $right, "\n",
        )
    };
}

/// Where the fourth row of something begins: `{b}`, three rows (`{s}` each) from the first, `{a}`.
#[rustfmt::skip]
macro_rules! fourth {
    () => {
        concat!("lea {b}, [{a} + 2*{s}]\n", "add {b}, {s}\n")
    };
}

/// The weights of a pair of inputs, `$from` bytes on, and a prefetch of what lies a block ahead of them: the line that
/// this half of the outputs reads.
#[rustfmt::skip]
macro_rules! weights {
    ($from:literal) => {
        concat!(
            "vmovdqu ymm12, ymmword ptr [{w} + ", $from, "]\n",
            "vmovdqu ymm13, ymmword ptr [{w} + ", $from, " + 32]\n",
            "prefetcht1 byte ptr [{w} + ", $from, " + 16384]\n",
        )
    };
}

/// [`tall_tile`], for the listed rows.
macro_rules! tiles {
    ($($rows:literal [$($row:tt)*])*) => {
        /// A tile of as many rows as are listed.
        ///
        /// # Safety
        /// `tile.check` must hold.
        #[target_feature(enable = "avx2,fma")]
        pub(crate) unsafe fn tall_tile(tile: &TileI16<'_>, sums: &mut Sums) {
            for at in (0..PANEL).step_by(COLUMNS) {
                let halves = [0, LANES].map(|more| tile.scales[at + more..][..LANES].as_ptr());
                // SAFETY: eight scales each.
                let scales = unsafe { [scales_of(halves[0]), scales_of(halves[1])] };
                match tile.rows {
                    // SAFETY: reads the inputs and the scale of a panel and of each of its rows, and reads and
                    // writes as many rows of sums, all of which `check` asserted to be there; `at` is a column of a
                    // panel, and so are the 15 after it. What it prefetches may be nothing: that does nothing.
                    $($rows => unsafe {
                        asm!(
                            concat!(
                                fourth!(),
                                $(row!($row begin "0"),)*
                                "shr {n}, 1\n",
                                "jz 3f\n",
                                ".p2align 5\n",
                                "2:\n",
                                weights!("0"),
                                $(row!($row two "0"),)*
                                weights!("128"),
                                $(row!($row two "4"),)*
                                "add {a}, 8\n",
                                "add {b}, 8\n",
                                "add {w}, 256\n",
                                "dec {n}\n",
                                "jnz 2b\n",
                                "3:\n",
                                "test {odd}, 1\n",
                                "jz 4f\n",
                                weights!("0"),
                                $(row!($row two "0"),)*
                                "4:\n",
                                "mov {a}, {x_scales}\n",
                                "mov {s}, {scale_stride}\n",
                                fourth!(),
                                "vmovups ymm12, ymmword ptr [{scales}]\n",
                                "vmovups ymm13, ymmword ptr [{scales} + 32]\n",
                                $(row!($row end "0"),)*
                            ),
                            a = inout(reg) tile.x.as_ptr() => _,
                            // Rows that the tile has not are not read.
                            b = out(reg) _,
                            s = inout(reg) tile.stride * size_of::<i16>() => _,
                            w = inout(reg) tile.panel.as_ptr().wrapping_add(at * 2) => _,
                            n = inout(reg) tile.inputs / 2 => _,
                            odd = in(reg) tile.inputs / 2,
                            x_scales = in(reg) tile.x_scales.as_ptr(),
                            scale_stride = in(reg) tile.scale_stride * size_of::<BlockScale>(),
                            scales = in(reg) scales.as_ptr(),
                            sums = in(reg) sums.as_mut_ptr().cast::<f32>().wrapping_add(at),
                            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                            out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                            options(nostack)
                        );
                    },)*
                    rows => unreachable!("a tile of {rows} rows passed its check"),
                }
            }
        }
    };
}

tiles!(
    4 [0 1 2 3]
    5 [0 1 2 3 4]
    6 [0 1 2 3 4 5]
);
