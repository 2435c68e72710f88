//! Weights that are kept as bytes, at AVX-512: a tile that unpacks them in registers, and what unpacks a block of them for
//! more rows than that tile takes.
#![allow(unsafe_code)] // a named room: assembly and intrinsics

use std::arch::asm;
use std::arch::x86_64::{
    __m512i, _mm512_add_epi16, _mm512_and_si512, _mm512_loadu_si512, _mm512_mulhrs_epi16, _mm512_set1_epi16,
    _mm512_setzero_si512, _mm512_shufflehi_epi16, _mm512_shufflelo_epi16, _mm512_slli_epi16,
    _mm512_storeu_si512,
};

use crate::bytes::{HIGH, runs_of};
use crate::decode::Grain;
use crate::table::{DEPTH, PANEL, Sums, TileI16};
use crate::tile_fields::{FOUR, Fields};
use crate::tile_i16_avx512::scales_and_crossed;

/// Rows of the tile: beside their sums there are registers for the ratios.
pub(crate) const BYTE_ROWS: usize = 11;

/// Rows of a tile that leaves weights unpacked at least: with fewer there are no others that meet them.
pub(crate) const LEAST_LEFT: usize = 6;

/// What the assembly has in numbers: a run's turns, and a block's bytes, which is how far ahead it prefetches.
const _: () = {
    assert!(Grain::Coarse.run() == 8 * FOUR && Grain::Coarse.words(DEPTH) * size_of::<i16>() == 8704);
    assert!(Grain::Fine.run() == 4 * FOUR && Grain::Fine.words(DEPTH) * size_of::<i16>() == 10240);
};

/// What runs of 32 inputs have before their weights: ratios, of the first outputs and of the others, each twice.
#[rustfmt::skip]
macro_rules! coarse {
    (head) => {
        concat!(
            "vmovdqu64 zmm24, zmmword ptr [{w}]\n",
            "prefetcht1 byte ptr [{w} + 8704]\n",
            "vpshuflw zmm22, zmm24, 0xa0\n",
            "vpshuflw zmm23, zmm24, 0xf5\n",
            "vpshufhw zmm22, zmm22, 0xa0\n",
            "vpshufhw zmm23, zmm23, 0xf5\n",
            "add {w}, 64\n",
            "mov {turn:e}, 8\n",
        )
    };
    (ahead) => {
        concat!(
            "prefetcht1 byte ptr [{w} + 8704]\n",
            "prefetcht1 byte ptr [{w} + 8768]\n",
        )
    };
    (offsets) => { "" };
    (run) => { Grain::Coarse.run() }
}

/// What runs of 16 inputs have: ratios, and offsets in the same way.
#[rustfmt::skip]
macro_rules! fine {
    (head) => {
        concat!(
            "vmovdqu64 zmm24, zmmword ptr [{w}]\n",
            "vmovdqu64 zmm25, zmmword ptr [{w} + 64]\n",
            "prefetcht1 byte ptr [{w} + 10240]\n",
            "prefetcht1 byte ptr [{w} + 10304]\n",
            "vpshuflw zmm22, zmm24, 0xa0\n",
            "vpshuflw zmm23, zmm24, 0xf5\n",
            "vpshuflw zmm20, zmm25, 0xa0\n",
            "vpshuflw zmm21, zmm25, 0xf5\n",
            "vpshufhw zmm22, zmm22, 0xa0\n",
            "vpshufhw zmm23, zmm23, 0xf5\n",
            "vpshufhw zmm20, zmm20, 0xa0\n",
            "vpshufhw zmm21, zmm21, 0xf5\n",
            "add {w}, 128\n",
            "mov {turn:e}, 4\n",
        )
    };
    (ahead) => {
        concat!(
            "prefetcht1 byte ptr [{w} + 10240]\n",
            "prefetcht1 byte ptr [{w} + 10304]\n",
        )
    };
    (offsets) => {
        concat!(
            "vpaddw zmm24, zmm24, zmm20\n",
            "vpaddw zmm25, zmm25, zmm21\n",
            "vpaddw zmm26, zmm26, zmm20\n",
            "vpaddw zmm27, zmm27, zmm21\n",
        )
    };
    (run) => { Grain::Fine.run() }
}

/// As `fine!`, beside so many sums that there are no registers for the offsets.
#[rustfmt::skip]
macro_rules! fine_in_memory {
    (head) => {
        concat!(
            "vmovdqu64 zmm24, zmmword ptr [{w}]\n",
            "vmovdqu64 zmm25, zmmword ptr [{w} + 64]\n",
            "prefetcht1 byte ptr [{w} + 10240]\n",
            "prefetcht1 byte ptr [{w} + 10304]\n",
            "vpshuflw zmm22, zmm24, 0xa0\n",
            "vpshuflw zmm23, zmm24, 0xf5\n",
            "vpshuflw zmm26, zmm25, 0xa0\n",
            "vpshuflw zmm27, zmm25, 0xf5\n",
            "vpshufhw zmm22, zmm22, 0xa0\n",
            "vpshufhw zmm23, zmm23, 0xf5\n",
            "vpshufhw zmm26, zmm26, 0xa0\n",
            "vpshufhw zmm27, zmm27, 0xf5\n",
            "vmovdqa64 zmmword ptr [{tile} + 320], zmm26\n",
            "vmovdqa64 zmmword ptr [{tile} + 384], zmm27\n",
            "add {w}, 128\n",
            "mov {turn:e}, 4\n",
        )
    };
    (ahead) => { fine!(ahead) };
    (offsets) => {
        concat!(
            "vpaddw zmm24, zmm24, zmmword ptr [{tile} + 320]\n",
            "vpaddw zmm25, zmm25, zmmword ptr [{tile} + 384]\n",
            "vpaddw zmm26, zmm26, zmmword ptr [{tile} + 320]\n",
            "vpaddw zmm27, zmm27, zmmword ptr [{tile} + 384]\n",
        )
    };
    (run) => { fine!(run) }
}

/// Leaves four inputs' weights for the tiles that follow.
#[rustfmt::skip]
macro_rules! leave {
    () => {
        concat!(
            "vmovdqu64 zmmword ptr [{room}], zmm24\n",
            "vmovdqu64 zmmword ptr [{room} + 64], zmm25\n",
            "vmovdqu64 zmmword ptr [{room} + 128], zmm26\n",
            "vmovdqu64 zmmword ptr [{room} + 192], zmm27\n",
            "add {room}, 256\n",
        )
    };
}

/// Leaves nothing.
macro_rules! forget {
    () => {
        "/* {room} */\n"
    };
}

macro_rules! byte_tiles {
    ($name:ident $kind:ident $begin:ident $leave:ident: $($rows:literal $grain:ident [$($row:tt)*])*) => {
        /// A tile of as many rows as are listed, whose weights are bytes of the grain that is named.
        ///
        /// # Safety
        /// `tile.check` must hold, and its weights be such bytes; `room` must be for all of them, where they are left.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        unsafe fn $name(tile: &TileI16<'_>, sums: &mut Sums, room: &mut [i16]) {
            let halves = [0, 1].map(|v| tile.scales[v * (PANEL / 2)..][..PANEL / 2].as_ptr());
            // SAFETY: 16 scales each.
            let halves = unsafe { [scales_and_crossed(halves[0]), scales_and_crossed(halves[1])] };
            let mut fields = Fields::of(tile, [halves[0].0, halves[1].0], [halves[0].1, halves[1].1]);
            match tile.rows {
                // SAFETY: as in `tile_i16_avx512.rs`; what it leaves has its room by this function's contract, and offsets are
                // written where `fields`, which is ours, has room for them.
                $($rows => unsafe {
                    asm!(
                        concat!(
                            rows_of!("16", "24"),
                            "vmovdqa64 zmm24, zmmword ptr [{tile} + 192]\n",
                            "vmovdqa64 zmm25, zmmword ptr [{tile} + 256]\n",
                            $(row!($row $begin begin_straight),)*
                            rows_of!("0", "8"),
                            "test {n}, {n}\n",
                            "jz 4f\n",
                            "3:\n",
                            $grain!(head),
                            ".p2align 5\n",
                            "2:\n",
                            "vmovdqu64 zmm26, zmmword ptr [{w}]\n",
                            "vmovdqu64 zmm27, zmmword ptr [{w} + 64]\n",
                            $grain!(ahead),
                            "vpsllw zmm24, zmm26, 8\n",
                            "vpsllw zmm25, zmm27, 8\n",
                            "vpandd zmm26, zmm26, dword ptr [{tile} + 44]{{1to16}}\n",
                            "vpandd zmm27, zmm27, dword ptr [{tile} + 44]{{1to16}}\n",
                            "vpmulhrsw zmm24, zmm24, zmm22\n",
                            "vpmulhrsw zmm25, zmm25, zmm23\n",
                            "vpmulhrsw zmm26, zmm26, zmm22\n",
                            "vpmulhrsw zmm27, zmm27, zmm23\n",
                            $grain!(offsets),
                            $leave!(),
                            $(row!($row $kind straight),)*
                            "add {a}, 8\n",
                            "add {b}, 8\n",
                            "add {c}, 8\n",
                            "add {d}, 8\n",
                            "add {w}, 128\n",
                            "dec {turn:e}\n",
                            "jnz 2b\n",
                            "dec {n}\n",
                            "jnz 3b\n",
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
                        tile = in(reg) &raw mut fields,
                        w = inout(reg) tile.panel.as_ptr() => _,
                        n = inout(reg) tile.inputs / $grain!(run) => _,
                        turn = out(reg) _,
                        room = inout(reg) room.as_mut_ptr() => _,
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

byte_tiles!(straight_byte_tile straight begin_straight forget:
    1 coarse [0]
    2 coarse [0 1]
    3 coarse [0 1 2]
    4 coarse [0 1 2 3]
    5 coarse [0 1 2 3 4]
    6 coarse [0 1 2 3 4 5]
    7 coarse [0 1 2 3 4 5 6]
    8 coarse [0 1 2 3 4 5 6 7]
    9 coarse [0 1 2 3 4 5 6 7 8]
    10 coarse [0 1 2 3 4 5 6 7 8 9]
    11 coarse [0 1 2 3 4 5 6 7 8 9 10]
);
byte_tiles!(crossed_byte_tile crossed begin_crossed forget:
    1 coarse [0]
    2 coarse [0 1]
    3 coarse [0 1 2]
    4 coarse [0 1 2 3]
    5 coarse [0 1 2 3 4]
    6 coarse [0 1 2 3 4 5]
    7 coarse [0 1 2 3 4 5 6]
    8 coarse [0 1 2 3 4 5 6 7]
    9 coarse [0 1 2 3 4 5 6 7 8]
    10 coarse [0 1 2 3 4 5 6 7 8 9]
    11 coarse [0 1 2 3 4 5 6 7 8 9 10]
);
byte_tiles!(straight_unpacking_tile straight begin_straight leave:
    6 coarse [0 1 2 3 4 5]
    7 coarse [0 1 2 3 4 5 6]
    8 coarse [0 1 2 3 4 5 6 7]
    9 coarse [0 1 2 3 4 5 6 7 8]
    10 coarse [0 1 2 3 4 5 6 7 8 9]
    11 coarse [0 1 2 3 4 5 6 7 8 9 10]
);
byte_tiles!(crossed_unpacking_tile crossed begin_crossed leave:
    6 coarse [0 1 2 3 4 5]
    7 coarse [0 1 2 3 4 5 6]
    8 coarse [0 1 2 3 4 5 6 7]
    9 coarse [0 1 2 3 4 5 6 7 8]
    10 coarse [0 1 2 3 4 5 6 7 8 9]
    11 coarse [0 1 2 3 4 5 6 7 8 9 10]
);

byte_tiles!(straight_fine_byte_tile straight begin_straight forget:
    1 fine [0]
    2 fine [0 1]
    3 fine [0 1 2]
    4 fine [0 1 2 3]
    5 fine [0 1 2 3 4]
    6 fine [0 1 2 3 4 5]
    7 fine [0 1 2 3 4 5 6]
    8 fine [0 1 2 3 4 5 6 7]
    9 fine [0 1 2 3 4 5 6 7 8]
    10 fine [0 1 2 3 4 5 6 7 8 9]
    11 fine_in_memory [0 1 2 3 4 5 6 7 8 9 10]
);
byte_tiles!(crossed_fine_byte_tile crossed begin_crossed forget:
    1 fine [0]
    2 fine [0 1]
    3 fine [0 1 2]
    4 fine [0 1 2 3]
    5 fine [0 1 2 3 4]
    6 fine [0 1 2 3 4 5]
    7 fine [0 1 2 3 4 5 6]
    8 fine [0 1 2 3 4 5 6 7]
    9 fine [0 1 2 3 4 5 6 7 8]
    10 fine [0 1 2 3 4 5 6 7 8 9]
    11 fine_in_memory [0 1 2 3 4 5 6 7 8 9 10]
);
byte_tiles!(straight_fine_unpacking_tile straight begin_straight leave:
    6 fine [0 1 2 3 4 5]
    7 fine [0 1 2 3 4 5 6]
    8 fine [0 1 2 3 4 5 6 7]
    9 fine [0 1 2 3 4 5 6 7 8]
    10 fine [0 1 2 3 4 5 6 7 8 9]
    11 fine_in_memory [0 1 2 3 4 5 6 7 8 9 10]
);
byte_tiles!(crossed_fine_unpacking_tile crossed begin_crossed leave:
    6 fine [0 1 2 3 4 5]
    7 fine [0 1 2 3 4 5 6]
    8 fine [0 1 2 3 4 5 6 7]
    9 fine [0 1 2 3 4 5 6 7 8]
    10 fine [0 1 2 3 4 5 6 7 8 9]
    11 fine_in_memory [0 1 2 3 4 5 6 7 8 9 10]
);

/// The tile of bytes, straight or crossed, which leaves what it unpacks where there is room.
///
/// # Safety
/// `tile.check_bytes` must hold for [`BYTE_ROWS`]; `room` must be empty, or for all of its weights and the tile of at least
/// [`LEAST_LEFT`] rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) unsafe fn byte_tile(tile: &TileI16<'_>, crossed: bool, sums: &mut Sums, room: &mut [i16]) {
    let is_left = !room.is_empty();
    // SAFETY: as this function's.
    unsafe {
        match (tile.grain == Some(Grain::Fine), crossed, is_left) {
            (false, false, false) => straight_byte_tile(tile, sums, room),
            (false, false, true) => straight_unpacking_tile(tile, sums, room),
            (false, true, false) => crossed_byte_tile(tile, sums, room),
            (false, true, true) => crossed_unpacking_tile(tile, sums, room),
            (true, false, false) => straight_fine_byte_tile(tile, sums, room),
            (true, false, true) => straight_fine_unpacking_tile(tile, sums, room),
            (true, true, false) => crossed_fine_byte_tile(tile, sums, room),
            (true, true, true) => crossed_fine_unpacking_tile(tile, sums, room),
        }
    }
}

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

/// Of a word for each output of a panel (a run's ratios or offsets) those of the first half and of the second, each twice.
///
/// # Safety
/// There must be a panel of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn twice(head: *const i16) -> (__m512i, __m512i) {
    // SAFETY: as this function's.
    let all = unsafe { _mm512_loadu_si512(head.cast()) };
    (
        _mm512_shufflehi_epi16::<0xa0>(_mm512_shufflelo_epi16::<0xa0>(all)),
        _mm512_shufflehi_epi16::<0xf5>(_mm512_shufflelo_epi16::<0xf5>(all)),
    )
}

/// # Safety
/// The words must be a run, of fine grain if `FINE`, else of coarse, and the room be for it.
// Vectors in plain variables: what passes them by functions of the library is compiled without the level's features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn unpack_run<const FINE: bool>(words: &[i16], out: &mut [i16]) {
    let grain = if FINE { Grain::Fine } else { Grain::Coarse };
    debug_assert_eq!((words.len(), out.len()), (grain.run_words(), grain.run() * PANEL));
    let (head, out) = (words.as_ptr(), out.as_mut_ptr());
    // SAFETY: a run has its head, and two vectors of words for each of its fours, which become four vectors.
    unsafe {
        let ratios = twice(head);
        let offsets =
            if FINE { twice(head.add(PANEL)) } else { (_mm512_setzero_si512(), _mm512_setzero_si512()) };
        let high = _mm512_set1_epi16(HIGH);
        for four in 0..grain.run() / FOUR {
            let (words, out) = (head.add(grain.head() + 2 * four * PANEL), out.add(4 * four * PANEL));
            let (both, others) =
                (_mm512_loadu_si512(words.cast()), _mm512_loadu_si512(words.add(PANEL).cast()));
            let weight = _mm512_mulhrs_epi16(_mm512_slli_epi16::<8>(both), ratios.0);
            _mm512_storeu_si512(out.cast(), _mm512_add_epi16(weight, offsets.0));
            let weight = _mm512_mulhrs_epi16(_mm512_slli_epi16::<8>(others), ratios.1);
            _mm512_storeu_si512(out.add(PANEL).cast(), _mm512_add_epi16(weight, offsets.1));
            let weight = _mm512_mulhrs_epi16(_mm512_and_si512(both, high), ratios.0);
            _mm512_storeu_si512(out.add(2 * PANEL).cast(), _mm512_add_epi16(weight, offsets.0));
            let weight = _mm512_mulhrs_epi16(_mm512_and_si512(others, high), ratios.1);
            _mm512_storeu_si512(out.add(3 * PANEL).cast(), _mm512_add_epi16(weight, offsets.1));
        }
    }
}
