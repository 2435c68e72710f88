//! Weights that are kept as floats of 16 bits: products with them have the bits that they have with the same values as f32, at
//! every level, and what lies past a slice is refused before it is read.

use std::panic::{AssertUnwindSafe, catch_unwind};

use connote_kernels::decode::{Affine, Float16, Grain};
use connote_kernels::{
    Activations, DEPTH, Ending, Floats, Kept, Kernels, Layout, Level, Order, PANEL, Part, RowsMut, Shelf,
    Stored, TileF32, Weights, linear,
};
use gguf::TensorType;
use testkit::random::Random;
use threads::Team;

const KINDS: [Float16; 2] = [Float16::F16, Float16::Bf16];

fn levels() -> Vec<&'static Kernels> {
    Level::available().flat_map(Kernels::all_of).copied().collect()
}

/// Bits of values below 2, down to those that are too small to be normal.
fn bits(random: &mut Random, count: usize) -> Vec<u16> {
    random.values(count, 32767.9).into_iter().map(|value| value as i16 as u16 & 0xbfff).collect()
}

#[test]
fn every_value_is_itself() {
    for kernels in levels() {
        for kind in KINDS {
            for first in (0..=u16::MAX).step_by(PANEL) {
                let panel: Vec<u16> = (first..=first + (PANEL as u16 - 1)).collect();
                let mut sums = [[-0.0; PANEL]];
                let tile = TileF32 {
                    x: &[1.0],
                    stride: 1,
                    rows: 1,
                    panel: Floats::Float16(kind, &panel),
                    inputs: 1,
                };
                (kernels.tile_f32)(&tile, &mut sums);
                for (sum, &bits) in sums[0].iter().zip(&panel) {
                    let wanted = kind.value(bits);
                    let same = *sum == wanted || sum.is_nan() && wanted.is_nan();
                    assert!(same, "{}: {kind:?} {bits:#06x} is {sum}, not {wanted}", kernels.level);
                }
            }
        }
    }
}

#[test]
fn every_height_of_a_tile_has_the_bits_of_the_same_f32() {
    let mut random = Random::seeded(16);
    for kind in KINDS {
        for (inputs, stride) in [(1, 1), (3, 5), (8, 8), (67, 70), (DEPTH, 300)] {
            let panel = bits(&mut random, inputs * PANEL);
            let values: Vec<f32> = panel.iter().map(|&bits| kind.value(bits)).collect();
            let x = random.values(12 * stride, 3.0);
            for kernels in levels() {
                for rows in 1..=kernels.tile_rows {
                    let x = &x[..(rows - 1) * stride + inputs];
                    let (mut wanted, mut sums) = (vec![[0.5; PANEL]; rows], vec![[0.5; PANEL]; rows + 1]);
                    (kernels.tile_f32)(
                        &TileF32 { x, stride, rows, panel: Floats::F32(&values), inputs },
                        &mut wanted,
                    );
                    (kernels.tile_f32)(
                        &TileF32 { x, stride, rows, panel: Floats::Float16(kind, &panel), inputs },
                        &mut sums,
                    );
                    let what = format!("{} {rows} rows of {inputs} {kind:?}", kernels.level);
                    assert_eq!(sums[..rows], wanted, "{what}");
                    assert_eq!(sums[rows], [0.5; PANEL], "{what}: touched the next");
                }
            }
        }
    }
}

#[test]
fn a_tile_past_its_slices_is_refused_at_every_level() {
    let (x, panel) = (vec![0.0; 24], vec![0; 8 * PANEL]);
    for kernels in levels() {
        let whole =
            TileF32 { x: &x, stride: 8, rows: 3, panel: Floats::Float16(Float16::F16, &panel), inputs: 8 };
        let run = |tile: TileF32<'_>| {
            let mut sums = vec![[0.0; PANEL]; 16];
            catch_unwind(AssertUnwindSafe(|| (kernels.tile_f32)(&tile, &mut sums))).is_ok()
        };
        assert!(run(whole));
        for wrong in [
            TileF32 { x: &x[..23], ..whole },
            TileF32 { stride: usize::MAX, ..whole },
            TileF32 { panel: Floats::Float16(Float16::F16, &panel[..8 * PANEL - 1]), ..whole },
            TileF32 { inputs: usize::MAX, rows: 1, ..whole },
            TileF32 { rows: 0, ..whole },
            TileF32 { rows: kernels.tile_rows + 1, stride: 0, ..whole },
        ] {
            assert!(!run(wrong), "{}: {} rows of {}", kernels.level, wrong.rows, wrong.inputs);
        }
    }
}

/// A matrix as a file has it.
struct Matrix {
    kind: Float16,
    inputs: usize,
    bits: Vec<u16>,
}

impl Matrix {
    fn new(kind: Float16, inputs: usize, outputs: usize, random: &mut Random) -> Self {
        Self { kind, inputs, bits: bits(random, inputs * outputs) }
    }

    fn row(&self, output: usize) -> &[u16] {
        &self.bits[output * self.inputs..][..self.inputs]
    }

    fn decode(&self, output: usize, out: &mut [f32]) {
        out.iter_mut().zip(self.row(output)).for_each(|(out, &bits)| *out = self.kind.value(bits));
    }
}

/// Parts as they are given to `pack`, stored or only decoded.
fn pack(kernels: &Kernels, order: Order, matrices: &[&Matrix], are_stored: &[bool]) -> Weights {
    with_parts(matrices, are_stored, |inputs, parts| {
        Weights::pack(kernels, &Team::new(2), Layout::F32, order, inputs, parts)
    })
}

fn with_parts<T>(matrices: &[&Matrix], are_stored: &[bool], of: impl FnOnce(usize, &[Part<'_>]) -> T) -> T {
    let decode: Vec<_> =
        matrices.iter().map(|matrix| |output: usize, out: &mut [f32]| matrix.decode(output, out)).collect();
    let bits: Vec<_> = matrices
        .iter()
        .map(|matrix| |output: usize, out: &mut [u16]| out.copy_from_slice(matrix.row(output)))
        .collect();
    let parts: Vec<Part<'_>> = (0..matrices.len())
        .map(|at| Part {
            outputs: matrices[at].bits.len() / matrices[at].inputs,
            decode: &decode[at],
            stored: are_stored[at].then_some(Stored::Float16(matrices[at].kind, &bits[at])),
            bias: &[],
        })
        .collect();
    of(matrices[0].inputs, &parts)
}

fn product(kernels: &Kernels, w: &Weights, ending: Ending, x: &[f32], threads: usize) -> Vec<f32> {
    let team = Team::new(threads);
    let mut activations = Activations::default();
    activations.fill_from(kernels, &team, Layout::F32, x, w.inputs());
    let mut out = vec![0.0; activations.count() * w.outputs()];
    linear(kernels, &team, &activations, w, ending, &mut RowsMut::new(&mut out, w.outputs()));
    out
}

#[test]
fn products_have_the_same_bits_whether_weights_are_kept_so_or_not() {
    let mut random = Random::seeded(161);
    for kind in KINDS {
        for (inputs, outputs) in [(64, 40), (300, 96), (515, 33)] {
            let matrix = Matrix::new(kind, inputs, outputs, &mut random);
            let other = Matrix::new(kind, inputs, outputs, &mut random);
            for kernels in levels() {
                let joined = [true, false]
                    .map(|stored| pack(kernels, Order::Joined, &[&matrix, &other], &[stored; 2]));
                assert_eq!(joined[0].kept(), kernels.keeps_float16.then_some(Kept::Float16(kind)));
                assert_eq!(joined[1].kept(), None);
                if kernels.keeps_float16 {
                    assert_eq!(2 * joined[0].bytes(), joined[1].bytes(), "half the memory");
                }
                let gated = [true, false]
                    .map(|stored| pack(kernels, Order::Alternating, &[&matrix, &other], &[stored; 2]));
                for rows in [1, 2, 7, 13, 100, 203] {
                    let x = random.values(rows * inputs, 1.0);
                    for (pair, ending) in
                        [(&joined, Ending::Write), (&gated, Ending::Gate(kernels.gated_silu))]
                    {
                        let [kept, wanted] = [0, 1].map(|at| product(kernels, &pair[at], ending, &x, 2));
                        assert!(
                            kept == wanted && kept.iter().all(|value| value.is_finite()),
                            "{} {rows} rows of {inputs} {kind:?}, {ending:?}",
                            kernels.level
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn parts_of_two_kinds_or_of_which_one_is_f32_are_kept_as_f32() {
    let mut random = Random::seeded(162);
    let [f16, bf16] = KINDS.map(|kind| Matrix::new(kind, 64, 32, &mut random));
    for kernels in levels() {
        for (second, are_stored) in [(&bf16, [true, true]), (&f16, [true, false])] {
            let mixed = pack(kernels, Order::Joined, &[&f16, second], &are_stored);
            let plain = pack(kernels, Order::Joined, &[&f16, second], &[false; 2]);
            assert_eq!(mixed.kept(), None, "{}", kernels.level);
            let x = random.values(5 * 64, 1.0);
            assert_eq!(
                product(kernels, &mixed, Ending::Write, &x, 1),
                product(kernels, &plain, Ending::Write, &x, 1)
            );
        }
    }
}

/// A switch that is off would show in memory alone.
#[test]
fn every_level_but_the_scalar_one_keeps_them() {
    let matrix = Matrix::new(Float16::F16, 768, 256, &mut Random::seeded(163));
    for kernels in levels() {
        assert_eq!(kernels.keeps_float16, kernels.level != Level::Scalar, "{}", kernels.level);
        let bytes = pack(kernels, Order::Joined, &[&matrix], &[true]).bytes() as u64;
        // Only in the layout whose tiles widen them.
        with_parts(&[&matrix], &[true], |inputs, parts| {
            for layout in [Layout::I16, Layout::Bf16] {
                let w = Weights::pack(kernels, &Team::new(1), layout, Order::Joined, inputs, parts);
                assert_eq!((w.kept(), w.layout()), (None, layout), "{}", kernels.level);
            }
        });
        for ty in [TensorType::F16, TensorType::BF16] {
            for with_integers in [true, false] {
                let known = Weights::bytes_of(kernels, ty, 768 * 256, with_integers);
                assert_eq!(known, bytes, "{} {ty}", kernels.level);
            }
        }
    }
}

#[test]
fn integers_beside_them_are_decoded() {
    let mut random = Random::seeded(164);
    let floats = Matrix::new(Float16::F16, 64, 32, &mut random);
    let quantised = |output: usize, row: &mut [f32]| row.fill(output as f32);
    let integers = |output: usize, q: &mut [i8], of_runs: &mut [Affine]| {
        q.fill(output as i8);
        of_runs.fill(Affine::scale(1.0));
    };
    let stored = Some(Stored::Integers(Grain::Coarse, &integers));
    let x = random.values(5 * 64, 1.0);
    for kernels in levels() {
        let [both, plain] = [true, false].map(|are_stored| {
            with_parts(&[&floats], &[are_stored], |inputs, parts| {
                let beside = Part {
                    outputs: 20,
                    decode: &quantised,
                    stored: stored.filter(|_| are_stored),
                    bias: &[],
                };
                let parts = [Part { ..parts[0] }, beside];
                let w = Weights::pack(kernels, &Team::new(1), Layout::F32, Order::Joined, inputs, &parts);
                assert_eq!(w.kept(), None, "{}", kernels.level);
                product(kernels, &w, Ending::Write, &x, 1)
            })
        });
        assert_eq!(both, plain, "{}", kernels.level);
    }
}

/// And what was packed in another form is not believed.
#[test]
fn a_file_of_packed_weights_has_the_same_bits() {
    let mut random = Random::seeded(165);
    let x = random.values(7 * 300, 1.0);
    let folder = tempfile::tempdir().expect("a folder");
    for kind in KINDS {
        let [first, second] = [40, 33].map(|outputs| Matrix::new(kind, 300, outputs, &mut random));
        for (at, kernels) in levels().into_iter().enumerate() {
            let packed =
                |stored| [&first, &second].map(|matrix| pack(kernels, Order::Joined, &[matrix], &[stored]));
            let path = |what: &str| folder.path().join(format!("{kind:?} {at} {what}"));
            let write = |path: &std::path::Path, all: &[Weights]| {
                Shelf::write(path, &[5; 32], all.iter()).expect("written");
                Shelf::open(path, &[5; 32]).expect("a whole file")
            };
            let take = |shelf: &Shelf, matrix: &Matrix, stored| {
                with_parts(&[matrix], &[stored], |inputs, parts| {
                    Weights::take(shelf, kernels, Layout::F32, Order::Joined, inputs, parts)
                })
            };
            let own = packed(true);
            let shelf = write(&path("kept"), &own);
            for (matrix, own) in [&first, &second].into_iter().zip(&own) {
                let taken = take(&shelf, matrix, true).expect("the matrix");
                assert_eq!(taken.kept(), own.kept());
                let [taken, own] = [&taken, own].map(|w| product(kernels, w, Ending::Write, &x, 1));
                assert_eq!(taken, own, "{} {kind:?}", kernels.level);
            }
            assert!(shelf.is_empty(), "{} {kind:?}", kernels.level);
            // The first value alone is another one.
            let mut other = Matrix { bits: first.bits.clone(), ..first };
            other.bits[0] ^= 1;
            let shelf = write(&path("other"), &own);
            assert!(take(&shelf, &other, true).is_none(), "{} {kind:?}", kernels.level);
            // Nor as another layout's 16 bits, though a panel of ones is the same in both.
            let ones = Matrix { kind: Float16::Bf16, inputs: 64, bits: vec![0x3f80; 64 * 32] };
            let shelf = write(&path("ones"), &[pack(kernels, Order::Joined, &[&ones], &[true])]);
            with_parts(&[&ones], &[true], |inputs, parts| {
                let taken = Weights::take(&shelf, kernels, Layout::Bf16, Order::Joined, inputs, parts);
                assert!(taken.is_none(), "{}", kernels.level);
            });
            if kernels.keeps_float16 {
                let shelf = write(&path("as f32"), &packed(false));
                assert!(take(&shelf, &first, true).is_none(), "{} {kind:?}", kernels.level);
                let shelf = write(&path("as 16 bits"), &own);
                assert!(take(&shelf, &first, false).is_none(), "{} {kind:?}", kernels.level);
            }
        }
    }
}
