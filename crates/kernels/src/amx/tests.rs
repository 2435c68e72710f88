//! The driver over every unit there is: the emulation always, the machine's own where it has one.
#![allow(unsafe_code)] // a fused multiply-add with MXCSR set otherwise

use std::arch::asm;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::driver::{accumulate, sum_panel, tile_bf16};
use super::emulated::{Emulated, fused};
use super::unit::TileUnit;
use super::{is_available, panel_bf16, release};
use crate::rows::{PanelCells, RowsMut};
use crate::table::PANEL as OUTPUTS;
use crate::tile_bf16::{PanelBf16, STEP as INPUTS, TileBf16};
use testkit::oracle;
use testkit::random::Random;

/// Values of a panel that a step takes.
const STEP: usize = INPUTS * OUTPUTS;

type Sums = [[f32; OUTPUTS]];

/// Runs a test on the emulation and, if there is one, on the machine's unit.
fn on_every_unit(test: impl Fn(&mut dyn FnMut(&TileBf16<'_>, &mut Sums))) {
    let mut emulated = Emulated::default();
    test(&mut |tile, sums| accumulate(&mut emulated, tile, sums));
    if is_available() {
        test(&mut |tile, sums| tile_bf16(tile, sums));
        release();
    } else {
        // Not by `println`, which a passing test does not show.
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let _ = writeln!(std::io::stdout(), "{name}: only emulated, no AMX here");
    }
}

/// What values are drawn from.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Ordinary,
    /// Any finite exponent: sums reach infinity, and infinities meet.
    Wide,
    /// Products around the smallest normal number, with denormals between.
    Tiny,
    /// Products of which sums stand at the very edge of the normal numbers.
    Edge,
    /// Denormals and the smallest normal numbers, to be multiplied by `Huge` ones: what is a zero would show.
    Denormal,
    Huge,
    /// Infinities, NaNs, zeros of both signs and denormals among ordinary values.
    Special,
}

const KINDS: [Kind; 6] = [Kind::Ordinary, Kind::Wide, Kind::Tiny, Kind::Edge, Kind::Denormal, Kind::Special];

impl Kind {
    fn value(self, random: &mut Random) -> u16 {
        let bits = random.bits();
        let with_exponent = |exponent: u64| ((bits & 0x807f) | exponent << 7) as u16;
        let ordinary = with_exponent(120 + (bits >> 32) % 8);
        let one_of = |these: &[u16]| these[(bits >> 16) as usize % these.len()];
        match self {
            Kind::Ordinary => ordinary,
            Kind::Wide => with_exponent(1 + (bits >> 32) % 254),
            Kind::Tiny => with_exponent(if bits >> 60 == 0 { 0 } else { 54 + (bits >> 32) % 14 }),
            // 2^-63, 2^-64, 2^-75, 2^-76, their neighbours and negatives, and 0.
            Kind::Edge => {
                one_of(&[0x2000, 0xa000, 0x1f80, 0x9f80, 0x1a00, 0x9a00, 0x1980, 0x9980, 0x2001, 0])
            }
            Kind::Denormal => with_exponent((bits >> 32) % 3),
            Kind::Huge => with_exponent(245 + (bits >> 32) % 10),
            Kind::Special if bits >> 56 > 3 => ordinary,
            Kind::Special => one_of(&[0x7f80, 0xff80, 0x7fc0, 0xffff, 0, 0x8000, 1, 0x807f]),
        }
    }

    /// The kind of the weights, for activations of this one.
    fn partner(self) -> Kind {
        if let Kind::Denormal = self { Kind::Huge } else { self }
    }

    fn values(self, count: usize, random: &mut Random) -> Vec<u16> {
        (0..count).map(|_| self.value(random)).collect()
    }
}

/// Rows of `inputs` weights as a panel.
fn pack(weights: &[u16], inputs: usize) -> Vec<u16> {
    let mut panel = vec![0; OUTPUTS * inputs];
    for (output, row) in weights.chunks_exact(inputs).enumerate() {
        for (pairs, pair) in panel.chunks_exact_mut(2 * OUTPUTS).zip(row.chunks_exact(2)) {
            pairs[2 * output..2 * output + 2].copy_from_slice(pair);
        }
    }
    panel
}

fn assert_same(what: &str, got: &[f32], wanted: &[f32]) {
    assert_eq!(got.len(), wanted.len(), "{what}: length");
    for (i, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let same = got.to_bits() == wanted.to_bits() || got.is_nan() && wanted.is_nan();
        let bits = (got.to_bits(), wanted.to_bits());
        assert!(same, "{what}: value {i} is {got:e}, should be {wanted:e} ({bits:08x?})");
    }
}

/// Sums to begin with, of all sorts.
fn some_sums(rows: usize, random: &mut Random) -> Vec<[f32; OUTPUTS]> {
    let mut value = || match random.below(20) {
        0 => -0.0,
        1 => f32::from_bits(random.below(1 << 23) as u32),
        2 => f32::MIN_POSITIVE,
        _ => random.signed(),
    };
    (0..rows).map(|_| std::array::from_fn(|_| value())).collect()
}

#[test]
fn every_row_count_and_kind_has_the_oracles_bits() {
    on_every_unit(|run| {
        let mut random = Random::seeded(51);
        for (kind, inputs) in
            KINDS.into_iter().flat_map(|kind| [32, 64, 96, 384].map(|inputs| (kind, inputs)))
        {
            let stride = inputs + 32 * random.below(3);
            let x = kind.values(32 * stride, &mut random);
            let weights = kind.partner().values(OUTPUTS * inputs, &mut random);
            let panel = pack(&weights, inputs);
            let before = some_sums(32, &mut random);
            let compact: Vec<u16> = x.chunks_exact(stride).flat_map(|row| &row[..inputs]).copied().collect();
            let mut wanted = before.as_flattened().to_vec();
            oracle::tile_bf16(&compact, &weights, inputs, &mut wanted);
            for rows in 1..=32 {
                let mut sums = before.clone();
                // Just as long as they must be: reading or writing on would show.
                let x = &x[..(rows - 1) * stride + inputs];
                run(&TileBf16 { x, stride, rows, panel: &panel, inputs }, &mut sums);
                let what = format!("{kind:?}, {rows} rows of {inputs}");
                assert_same(&what, sums[..rows].as_flattened(), &wanted[..rows * OUTPUTS]);
                assert_eq!(sums[rows..], before[rows..], "{what}: rows after them");
            }
        }
    });
}

#[test]
fn the_depths_of_real_models_have_the_oracles_bits() {
    on_every_unit(|run| {
        let mut random = Random::seeded(52);
        for (inputs, kind) in [768, 1152].into_iter().flat_map(|inputs| KINDS.map(|kind| (inputs, kind))) {
            let x = kind.values(32 * inputs, &mut random);
            let weights = kind.partner().values(OUTPUTS * inputs, &mut random);
            let panel = pack(&weights, inputs);
            let mut wanted = vec![0.0; 32 * OUTPUTS];
            oracle::tile_bf16(&x, &weights, inputs, &mut wanted);
            for rows in [1, 16, 17, 32] {
                let mut sums = [[0.0; OUTPUTS]; 32];
                run(&TileBf16 { x: &x, stride: inputs, rows, panel: &panel, inputs }, &mut sums);
                let what = format!("{kind:?}, {rows} rows of {inputs}");
                assert_same(&what, sums[..rows].as_flattened(), &wanted[..rows * OUTPUTS]);
            }
        }
    });
}

/// Rows cut into tiles anywhere, the depth into blocks anywhere: always the bits of one call for each row.
#[test]
fn no_split_changes_a_bit() {
    on_every_unit(|run| {
        let mut random = Random::seeded(53);
        let (rows, inputs) = (75, 416);
        for kind in KINDS {
            let x = kind.values(rows * inputs, &mut random);
            let panel = pack(&kind.partner().values(OUTPUTS * inputs, &mut random), inputs);
            let before = some_sums(rows, &mut random);
            let mut wanted = before.clone();
            for (x, sums) in x.chunks_exact(inputs).zip(wanted.chunks_mut(1)) {
                run(&TileBf16 { x, stride: inputs, rows: 1, panel: &panel, inputs }, sums);
            }
            for _ in 0..6 {
                let mut sums = before.clone();
                let mut first = 0;
                while first < inputs {
                    let block = (INPUTS * (1 + random.below(6))).min(inputs - first);
                    let panel = &panel[first * OUTPUTS..][..block * OUTPUTS];
                    let mut row = 0;
                    while row < rows {
                        let rows = (1 + random.below(32)).min(rows - row);
                        let x = &x[row * inputs + first..];
                        let tile = TileBf16 { x, stride: inputs, rows, panel, inputs: block };
                        run(&tile, &mut sums[row..row + rows]);
                        row += rows;
                    }
                    first += block;
                }
                assert_same(&format!("{kind:?}"), sums.as_flattened(), wanted.as_flattened());
            }
        }
    });
}

#[test]
fn one_row_takes_any_stride_and_no_inputs_leave_the_sums() {
    on_every_unit(|run| {
        let mut random = Random::seeded(54);
        let x = Kind::Ordinary.values(INPUTS, &mut random);
        let panel = Kind::Ordinary.values(STEP, &mut random);
        let before = some_sums(32, &mut random);
        let mut sums = [before.clone(), before.clone()];
        for (stride, sums) in [0, usize::MAX].into_iter().zip(&mut sums) {
            run(&TileBf16 { x: &x, stride, rows: 1, panel: &panel, inputs: INPUTS }, sums);
        }
        assert_ne!(sums[0], before);
        assert_eq!(sums[0], sums[1]);
        for rows in [1, 32] {
            let mut sums = before.clone();
            run(&TileBf16 { x: &[], stride: 0, rows, panel: &[], inputs: 0 }, &mut sums);
            assert_same("no inputs", sums.as_flattened(), before.as_flattened());
        }
    });
}

#[test]
fn what_lies_past_a_slice_is_refused() {
    on_every_unit(|run| {
        let x = vec![0; 32 * 64];
        let panel = vec![0; 64 * OUTPUTS];
        let good = TileBf16 { x: &x, stride: 64, rows: 32, panel: &panel, inputs: 64 };
        let huge = usize::MAX / 64 * 32 + 32;
        let bad = [
            ("a tile of 0 rows", TileBf16 { rows: 0, ..good }, 32),
            ("a tile of 33 rows", TileBf16 { rows: 33, ..good }, 33),
            ("a tile of 32 rows into 31 sums", good, 31),
            ("inputs come by 32", TileBf16 { inputs: 63, ..good }, 32),
            ("a tile past its activations", TileBf16 { x: &x[1..], ..good }, 32),
            ("a tile past its activations", TileBf16 { stride: 65, ..good }, 32),
            ("a tile past its activations", TileBf16 { stride: usize::MAX / 31 + 1, ..good }, 32),
            ("a tile past its activations", TileBf16 { stride: usize::MAX, rows: 2, ..good }, 32),
            ("a tile past its activations", TileBf16 { inputs: huge, stride: 0, ..good }, 32),
            ("a tile past its weights", TileBf16 { panel: &panel[1..], ..good }, 32),
            ("a tile past its weights", TileBf16 { inputs: 96, stride: 0, ..good }, 32),
        ];
        for (why, tile, sums) in bad {
            let mut sums = vec![[0.0; OUTPUTS]; sums];
            let refused = catch_unwind(AssertUnwindSafe(|| run(&tile, &mut sums))).expect_err(why);
            let message = refused.downcast_ref::<String>().cloned();
            let message = message.or_else(|| refused.downcast_ref::<&str>().map(|&it| it.to_owned()));
            assert_eq!(message.as_deref(), Some(why));
        }
        run(&good, &mut [[0.0; OUTPUTS]; 32]);
    });
}

#[test]
fn the_unit_is_configured_when_the_rows_change() {
    let mut unit = Emulated::default();
    let (x, panel) = ([0; 32 * INPUTS], [0; STEP]);
    let mut count_after = |rows: usize| {
        let tile = TileBf16 { x: &x, stride: INPUTS, rows, panel: &panel, inputs: INPUTS };
        accumulate(&mut unit, &tile, &mut [[0.0; OUTPUTS]; 32]);
        unit.configurations
    };
    assert_eq!([32, 32, 16, 16, 32, 17, 1].map(&mut count_after), [1, 1, 2, 2, 3, 4, 5]);
    // SAFETY: an emulation needs nothing.
    unsafe { unit.release() }
    assert_eq!(unit.configured(), [0, 0]);
}

/// The emulation's fused multiply-add against the CPU's own, with DAZ and FTZ set.
#[test]
fn the_emulated_arithmetic_is_that_of_the_cpu() {
    if !is_x86_feature_detected!("fma") {
        return;
    }
    let mut random = Random::seeded(55);
    for kind in KINDS {
        for _ in 0..100_000 {
            let [x, y, a, b] = [(); 4].map(|()| f32::from_bits(u32::from(kind.value(&mut random)) << 16));
            for z in [0.0, x, a * b, fused(a, b, 0.0), fused(b, b, fused(a, y, 0.0))] {
                let (got, wanted) = (fused(x, y, z), cpu_fused(x, y, z));
                assert_same(&format!("{x:e} * {y:e} + {z:e}"), &[got], &[wanted]);
            }
        }
    }
    // The edge itself: 2^-126 - 2^-150 is tiny although it rounds up, 2^-126 - 2^-152 is not.
    let power = |n: i32| 2.0f64.powi(n) as f32;
    assert_eq!(fused(power(-75), -power(-75), f32::MIN_POSITIVE), 0.0);
    assert_eq!(fused(power(-76), -power(-76), f32::MIN_POSITIVE), f32::MIN_POSITIVE);
}

fn cpu_fused(x: f32, y: f32, z: f32) -> f32 {
    let (mut saved, flushing) = (0u32, 0x9fc0u32);
    let mut result = z;
    // SAFETY: FMA was detected; MXCSR is as it was when the block ends.
    unsafe {
        asm!(
            "stmxcsr [{saved}]",
            "ldmxcsr [{flushing}]",
            "vfmadd231ss {result}, {x}, {y}",
            "ldmxcsr [{saved}]",
            saved = in(reg) &raw mut saved,
            flushing = in(reg) &raw const flushing,
            result = inout(xmm_reg) result,
            x = in(xmm_reg) x,
            y = in(xmm_reg) y,
            options(nostack),
        );
    }
    result
}

/// Runs a test of whole panels on the emulation and, if there is one, on the machine's unit.
fn panels_on_every_unit(test: impl Fn(&mut dyn FnMut(&PanelBf16<'_>, &mut Sums, &mut PanelCells<'_>))) {
    let mut emulated = Emulated::default();
    test(&mut |panel, sums, cells| sum_panel(&mut emulated, panel, sums, cells, &mut || {}));
    if is_available() {
        test(&mut |panel, sums, cells| panel_bf16(panel, sums, cells, &mut || {}));
        release();
    }
}

/// Any rows, any depth, whatever the scratch holds and whatever is asked for: the oracle's bits, and nothing else
/// is written.
#[test]
fn panels_have_the_oracles_bits_in_every_kind_of_cells() {
    panels_on_every_unit(|run| {
        let mut random = Random::seeded(56);
        for (kind, inputs) in
            KINDS.into_iter().flat_map(|kind| [0, 32, 288, 320, 768, 1152].map(|inputs| (kind, inputs)))
        {
            let most = 96;
            let stride = inputs + 32 * random.below(2);
            let x = kind.values(most * stride, &mut random);
            let weights = kind.partner().values(OUTPUTS * inputs, &mut random);
            let (mut panel, mut wanted) = (Vec::new(), vec![0.0; most * OUTPUTS]);
            if inputs > 0 {
                panel = pack(&weights, inputs);
                let compact: Vec<u16> =
                    x.chunks_exact(stride).flat_map(|row| &row[..inputs]).copied().collect();
                oracle::tile_bf16(&compact, &weights, inputs, &mut wanted);
            }
            for rows in [1, 15, 16, 17, 32, 33, 49, 75, 96] {
                let what = format!("{kind:?}, {rows} rows of {inputs}");
                let x = &x[..(rows - 1) * stride + inputs];
                let next = &panel[..random.below(panel.len() + 1)];
                let of = PanelBf16 { x, stride, rows, panel: &panel, inputs, next };
                let wanted = &wanted[..rows * OUTPUTS];

                let mut sums = some_sums(rows, &mut random);
                let mut whole = vec![[f32::NAN; OUTPUTS]; rows];
                run(&of, &mut sums, &mut PanelCells::whole(&mut whole));
                assert_same(&what, whole.as_flattened(), wanted);

                let (mut left, mut right) = (vec![[f32::NAN; 16]; rows + 1], vec![[f32::NAN; 16]; rows + 1]);
                run(&of, &mut sums, &mut PanelCells::halves(&mut left, &mut right));
                for (row, wanted) in wanted.chunks_exact(OUTPUTS).enumerate() {
                    assert_same(&what, &left[row], &wanted[..16]);
                    assert_same(&what, &right[row], &wanted[16..]);
                }
                assert!(left[rows].iter().chain(&right[rows]).all(|value| value.is_nan()), "{what}: past it");

                let (width, gap, column) = (OUTPUTS + 5, 3, 4);
                let mut out = vec![7.0; (rows + 1) * (width + gap)];
                let mut result = RowsMut::strided(&mut out, rows + 1, width, width + gap);
                let cells = result.cells();
                // SAFETY: nobody else has any of the result.
                let mut cells = unsafe { cells.panel(1..rows + 1, column) };
                run(&of, &mut sums, &mut cells);
                for (row, out) in out.chunks_exact(width + gap).enumerate() {
                    let sums = column..column + if row > 0 { OUTPUTS } else { 0 };
                    let beside = out[..sums.start].iter().chain(&out[sums.end..]);
                    assert!(beside.into_iter().all(|&value| value == 7.0), "{what}: beside row {row}");
                    if row > 0 {
                        assert_same(&what, &out[sums], &wanted[(row - 1) * OUTPUTS..][..OUTPUTS]);
                    }
                }
            }
        }
    });
}

#[test]
fn a_panel_past_its_slices_is_refused() {
    panels_on_every_unit(|run| {
        let x = vec![0; 40 * 64];
        let weights = vec![0; 64 * OUTPUTS];
        let good = PanelBf16 { x: &x, stride: 64, rows: 40, panel: &weights, inputs: 64, next: &[] };
        let bad = [
            ("a tile of 0 rows", PanelBf16 { rows: 0, ..good }, 40, 40),
            ("a tile of 40 rows", good, 39, 40),
            ("a tile of 40 rows", good, 40, 39),
            ("inputs come by 32", PanelBf16 { inputs: 63, ..good }, 40, 40),
            ("a panel past its activations", PanelBf16 { x: &x[1..], ..good }, 40, 40),
            ("a panel past its activations", PanelBf16 { stride: usize::MAX, ..good }, 40, 40),
            ("a panel past its activations", PanelBf16 { stride: 65, ..good }, 40, 40),
            ("a panel past its weights", PanelBf16 { panel: &weights[1..], ..good }, 40, 40),
        ];
        for (why, panel, sums, cells) in bad {
            let (mut sums, mut cells) = (vec![[0.0; OUTPUTS]; sums], vec![[0.0; OUTPUTS]; cells]);
            let call = AssertUnwindSafe(|| run(&panel, &mut sums, &mut PanelCells::whole(&mut cells)));
            let refused = catch_unwind(call).expect_err(why);
            let message = refused.downcast_ref::<String>().cloned();
            let message = message.or_else(|| refused.downcast_ref::<&str>().map(|&it| it.to_owned()));
            assert_eq!(message.as_deref(), Some(why));
        }
        let (mut sums, mut cells) = ([[0.0; OUTPUTS]; 40], [[0.0; OUTPUTS]; 40]);
        run(&good, &mut sums, &mut PanelCells::whole(&mut cells));
    });
}
