//! Weights that are kept as bytes: products with them have the bits that they have with the same integers as i16, at every
//! level, and what lies past a slice is refused before it is read.

use std::panic::{AssertUnwindSafe, catch_unwind};

use connote_kernels::decode::{Affine, Grain, RUN};
use connote_kernels::{
    Activations, BlockScale, DEPTH, Ending, Kept, Kernels, Layout, Level, Order, PANEL, Part, RowsMut,
    Stored, Sums, TileI16, Weights, linear,
};
use testkit::random::Random;
use threads::Team;

fn levels() -> Vec<&'static Kernels> {
    Level::available().flat_map(Kernels::all_of).copied().collect()
}

fn integers(random: &mut Random, count: usize, limit: f32) -> Vec<i16> {
    random.values(count, limit).into_iter().map(|value| value as i16).collect()
}

const GRAINS: [Grain; 2] = [Grain::Coarse, Grain::Fine];

/// What a byte and its run's ratio and offset stand for, as the format says.
fn integer(byte: i8, ratio: i16, offset: i16) -> i16 {
    let exact = f64::from(byte) * 256.0 * f64::from(ratio) / 32768.0;
    (exact + 0.5).floor() as i16 + offset
}

/// A panel of bytes and the same integers in pairs, by the words of `bytes.rs`.
fn panel(grain: Grain, random: &mut Random, inputs: usize) -> (Vec<i16>, Vec<i16>) {
    let (mut bytes, mut pairs) = (Vec::new(), vec![0; inputs * PANEL]);
    let head = |bytes: &mut Vec<i16>, random: &mut Random, limit: f32| {
        let of_outputs = integers(random, PANEL, limit);
        bytes.extend((0..PANEL / 2).flat_map(|output| [of_outputs[output], of_outputs[output + PANEL / 2]]));
        of_outputs
    };
    for run in 0..inputs / grain.run() {
        let (ratios, offsets) = match grain {
            Grain::Coarse => (head(&mut bytes, random, 2895.0), vec![0; PANEL]),
            // Together within the same bounds.
            Grain::Fine => (head(&mut bytes, random, 1895.0), head(&mut bytes, random, 1000.0)),
        };
        for four in 0..grain.run() / 4 {
            let four_inputs: Vec<Vec<i16>> = (0..4).map(|_| integers(random, PANEL, 127.9)).collect();
            for output in 0..PANEL {
                for odd in 0..2 {
                    let (low, high) = (four_inputs[odd][output] as i8, four_inputs[odd + 2][output] as i8);
                    bytes.push(i16::from_le_bytes([low as u8, high as u8]));
                    let input = run * grain.run() + four * 4 + odd;
                    let (ratio, offset) = (ratios[output], offsets[output]);
                    pairs[(input / 2 * PANEL + output) * 2 + odd] = integer(low, ratio, offset);
                    pairs[(input / 2 * PANEL + PANEL + output) * 2 + odd] = integer(high, ratio, offset);
                }
            }
        }
    }
    (bytes, pairs)
}

/// Minus the products of values two places apart, as crossed sums begin.
fn crossed(values: &[i16]) -> i32 {
    let product = |a: i16, b: i16| i32::from(a) * i32::from(b);
    -values.as_chunks::<4>().0.iter().map(|&[a, b, c, d]| product(a, c) + product(b, d)).sum::<i32>()
}

#[test]
fn every_height_of_a_tile_of_bytes_has_the_bits_of_the_same_integers() {
    let mut random = Random::seeded(81);
    let shapes = GRAINS.into_iter().flat_map(|grain| {
        let run = grain.run();
        [(grain, run, run), (grain, 3 * run, 3 * run + 5), (grain, DEPTH, 300)]
    });
    for (grain, inputs, stride) in shapes {
        let (bytes, pairs) = panel(grain, &mut random, inputs);
        let scales: [BlockScale; PANEL] = std::array::from_fn(|output| {
            let own: Vec<i16> = (0..inputs).map(|i| pairs[(i / 2 * PANEL + output) * 2 + i % 2]).collect();
            BlockScale { scale: 1e-3 * (output + 1) as f32, crossed: crossed(&own) }
        });
        let x = integers(&mut random, 12 * stride, 2895.0);
        let x_scales: Vec<BlockScale> = (0..12)
            .map(|row| BlockScale { scale: 1e-2, crossed: crossed(&x[row * stride..][..inputs]) })
            .collect();
        for kernels in levels() {
            for rows in 1..=kernels.tile_rows {
                let tile = TileI16 {
                    x: &x[..(rows - 1) * stride + inputs],
                    stride,
                    x_scales: &x_scales[..rows],
                    scale_stride: 1,
                    rows,
                    panel: &bytes,
                    grain: Some(grain),
                    scales: &scales,
                    inputs,
                    is_whole: true,
                    is_alone: true,
                    ahead: &[],
                };
                let wanted = by_rows(kernels, &TileI16 { panel: &pairs, grain: None, ..tile });
                // With room for the integers, and without where a tile can do without; beside other tiles; and of a part of a
                // block, which what stands beside it is not of.
                let other = |of: &BlockScale| BlockScale { crossed: of.crossed ^ 12345, ..*of };
                let (others, x_others) =
                    (scales.each_ref().map(other), x_scales.iter().map(other).collect::<Vec<_>>());
                let part = TileI16 { is_whole: false, scales: &others, x_scales: &x_others[..rows], ..tile };
                let tiles =
                    [tile, TileI16 { is_alone: false, ..tile }, part, TileI16 { is_alone: false, ..part }];
                for (tile, room) in tiles.iter().flat_map(|tile| [(tile, inputs * PANEL), (tile, 0)]) {
                    if room == 0 && rows > kernels.byte_rows {
                        continue;
                    }
                    let mut sums = vec![[0.5; PANEL]; rows + 1];
                    let mut left = vec![i16::MAX; room];
                    (kernels.tile_bytes)(tile, &mut sums, &mut left);
                    let what = format!(
                        "{} {rows} rows of {inputs} {grain:?}, room {room}, {} {}",
                        kernels.level, tile.is_whole, tile.is_alone
                    );
                    assert_eq!(sums[..rows], wanted[..], "{what}");
                    assert_eq!(sums[rows], [0.5; PANEL], "{what}: touched the next");
                    if room > 0 {
                        // What the other tiles read.
                        let mut sums = vec![[0.5; PANEL]; rows];
                        (kernels.tile_left)(&TileI16 { panel: &left, grain: None, ..*tile }, &mut sums);
                        assert_eq!(sums, wanted, "{what}: of what was left");
                    }
                }
            }
        }
    }
}

#[test]
fn sums_of_the_largest_integers_are_exact() {
    // 127 * 256 * 2918 / 2^15 is 2895.3, the largest integer there is; the first whose halves are 45 and 15, and with the
    // other sign -45 and -15. That of 63 and 2918 is 1436, whose halves are 22 and 28; of 11 and 2918 it is 251, 4 and -5.
    const RATIO: i16 = 2918;
    for (at, (byte, factor)) in
        [(127, 2895), (-127, 2895), (127, -2895), (-127, -2895), (63, 2895), (11, -2111)]
            .into_iter()
            .enumerate()
    {
        let weight = integer(byte, RATIO, 0);
        let word = i16::from_le_bytes([byte as u8, byte as u8]);
        let run = [[RATIO; PANEL].as_slice(), &[word; Grain::Coarse.run() * PANEL / 2]].concat();
        let panel = run.repeat(DEPTH / Grain::Coarse.run());
        let beside = |q: i16| BlockScale { scale: 1.0, crossed: crossed(&[q; DEPTH]) };
        let (x, x_scales) = (vec![factor; 12 * DEPTH], [beside(factor); 12]);
        let exact = (DEPTH as i64 * i64::from(weight) * i64::from(factor)) as f32;
        for kernels in levels() {
            for rows in 1..=kernels.tile_rows {
                let tile = TileI16 {
                    x: &x,
                    stride: DEPTH,
                    x_scales: &x_scales,
                    scale_stride: 1,
                    rows,
                    panel: &panel,
                    grain: Some(Grain::Coarse),
                    scales: &[beside(weight); PANEL],
                    inputs: DEPTH,
                    is_whole: true,
                    is_alone: false,
                    ahead: &[],
                };
                let (mut sums, mut left) = (vec![[0.0; PANEL]; rows], vec![0; DEPTH * PANEL]);
                (kernels.tile_bytes)(&tile, &mut sums, &mut left);
                (kernels.tile_left)(&TileI16 { panel: &left, grain: None, ..tile }, &mut sums);
                let wanted = vec![[2.0 * exact; PANEL]; rows];
                assert_eq!(sums, wanted, "{} {rows} rows, {at}", kernels.level);
                if rows <= kernels.byte_rows {
                    (kernels.tile_bytes)(&tile, &mut sums, &mut []);
                    assert_eq!(sums, vec![[3.0 * exact; PANEL]; rows], "{} {rows} rows, {at}", kernels.level);
                }
            }
        }
    }
}

/// Row by row, each as a tile of its own.
fn by_rows(kernels: &Kernels, tile: &TileI16<'_>) -> Vec<[f32; PANEL]> {
    let row = |row: usize| {
        let mut sums = [[0.5; PANEL]];
        let one =
            TileI16 { x: &tile.x[row * tile.stride..], x_scales: &tile.x_scales[row..], rows: 1, ..*tile };
        (kernels.tile_i16)(&one, &mut sums);
        sums[0]
    };
    (0..tile.rows).map(row).collect()
}

#[test]
fn a_tile_of_bytes_past_its_slices_is_refused_at_every_level() {
    GRAINS.into_iter().for_each(refused_past_its_slices);
}

fn refused_past_its_slices(grain: Grain) {
    let run_length = grain.run();
    let (x, x_scales) = (vec![0; 12 * run_length], [BlockScale::default(); 12]);
    let head = if grain == Grain::Fine { 2 * PANEL } else { PANEL };
    let (bytes, scales) = (vec![0; run_length * PANEL / 2 + head], [BlockScale::default(); PANEL]);
    for kernels in levels() {
        let whole = TileI16 {
            x: &x,
            stride: run_length,
            x_scales: &x_scales,
            scale_stride: 1,
            rows: 1,
            panel: &bytes,
            grain: Some(grain),
            scales: &scales,
            inputs: run_length,
            is_whole: true,
            is_alone: true,
            ahead: &[],
        };
        let many = vec![0; 2 * DEPTH * PANEL];
        let run = |tile: TileI16<'_>, room: usize| {
            let mut sums: Vec<[f32; PANEL]> = vec![[0.0; PANEL]; 12];
            let sums: &mut Sums = &mut sums;
            let mut left = vec![0; room];
            catch_unwind(AssertUnwindSafe(|| (kernels.tile_bytes)(&tile, sums, &mut left))).is_ok()
        };
        let all = run_length * PANEL;
        assert!(run(whole, all), "{}: a whole one", kernels.level);
        assert_eq!(run(whole, 0), kernels.byte_rows > 0, "{}: a whole one", kernels.level);
        for rows in 1..=kernels.tile_rows {
            let tile = TileI16 { rows, ..whole };
            assert!(
                !run(tile, all - 1) && !run(tile, all + 1) && !run(tile, 1),
                "{} {rows}: other room",
                kernels.level
            );
        }
        let pairs = vec![0; all];
        let tile = TileI16 { panel: &pairs, grain: None, ..whole };
        assert!(!run(tile, 0) && !run(tile, all), "{}: weights that are not bytes", kernels.level);
        let refused = [
            ("weights one too few", TileI16 { panel: &bytes[1..], ..whole }),
            ("half a run", TileI16 { inputs: run_length / 2, ..whole }),
            ("a run too many", TileI16 { inputs: 2 * run_length, ..whole }),
            ("a row too many", TileI16 { rows: kernels.tile_rows + 1, ..whole }),
            ("no row", TileI16 { rows: 0, ..whole }),
            ("activations one too few", TileI16 { x: &x[..2 * run_length - 1], rows: 2, ..whole }),
            ("scales one too few", TileI16 { x_scales: &x_scales[..1], rows: 2, ..whole }),
            (
                "sums that could overflow",
                TileI16 { inputs: DEPTH + run_length, panel: &many, x: &many, ..whole },
            ),
        ];
        for (what, tile) in refused {
            assert!(!run(tile, 0) && !run(tile, all), "{}: {what}", kernels.level);
        }
        let two = TileI16 { rows: 2, ..whole };
        // What is left for other tiles is no more trusted.
        let left = |tile: TileI16<'_>, sums: &mut Sums| {
            catch_unwind(AssertUnwindSafe(|| (kernels.tile_left)(&tile, sums))).is_ok()
        };
        let whole_left = TileI16 { inputs: 32, panel: &many[..32 * PANEL], x: &many, grain: None, ..whole };
        assert!(left(whole_left, &mut [[0.0; PANEL]]), "{}: a whole one of what is left", kernels.level);
        for (what, tile) in [
            ("bytes", TileI16 { grain: Some(grain), ..whole_left }),
            ("weights one too few", TileI16 { panel: &many[..32 * PANEL - 1], ..whole_left }),
            ("half a pair of inputs", TileI16 { inputs: 31, ..whole_left }),
            ("a row too many", TileI16 { rows: kernels.tile_rows + 1, stride: 0, ..whole_left }),
            ("no row", TileI16 { rows: 0, ..whole_left }),
            ("activations one too few", TileI16 { x: &many[..31], ..whole_left }),
            ("scales one too few", TileI16 { x_scales: &x_scales[..1], rows: 2, ..whole_left }),
            (
                "sums that could overflow",
                TileI16 { inputs: DEPTH + 32, panel: &many, stride: DEPTH + 32, ..whole_left },
            ),
        ] {
            assert!(!left(tile, &mut [[0.0; PANEL]; 12]), "{}: {what} of what is left", kernels.level);
        }
        let two_left = TileI16 { rows: 2, stride: 32, ..whole_left };
        assert!(left(two_left, &mut [[0.0; PANEL]; 2]) && !left(two_left, &mut [[0.0; PANEL]]));
        let few_sums = catch_unwind(AssertUnwindSafe(|| {
            (kernels.tile_bytes)(&two, &mut [[0.0; PANEL]], &mut vec![0; all]);
        }));
        assert!(few_sums.is_err(), "{}: more rows than sums", kernels.level);
        let mut sums: Vec<[f32; PANEL]> = vec![[0.0; PANEL]; 12];
        let as_pairs = catch_unwind(AssertUnwindSafe(|| (kernels.tile_i16)(&whole, &mut sums)));
        assert!(as_pairs.is_err(), "{}: bytes taken for pairs", kernels.level);
    }
}

/// A matrix as a file of bytes has it.
struct Matrix {
    grain: Grain,
    inputs: usize,
    integers: Vec<i8>,
    of_runs: Vec<Affine>,
}

impl Matrix {
    fn random(grain: Grain, random: &mut Random, inputs: usize, outputs: usize) -> Self {
        let count = inputs * outputs;
        let integers = random.values(count, 127.9).into_iter().map(|value| value as i8).collect();
        let scales = random.values(count / grain.run(), 1e-2);
        let mut offset = || if grain == Grain::Fine { random.values(1, 0.5)[0] } else { -0.0 };
        let runs = scales.into_iter().map(|scale| Affine { scale, offset: offset() });
        let of_runs = runs.flat_map(|of| vec![of; grain.run() / RUN]).collect();
        Self { grain, inputs, integers, of_runs }
    }

    fn weight(&self, output: usize, input: usize) -> f32 {
        let at = output * self.inputs + input;
        self.of_runs[at / RUN].of(self.integers[at])
    }

    fn decode(&self, output: usize, row: &mut [f32]) {
        row.iter_mut().enumerate().for_each(|(i, value)| *value = self.weight(output, i));
    }

    fn integers(&self, output: usize, integers: &mut [i8], of_runs: &mut [Affine]) {
        let at = output * self.inputs;
        integers.copy_from_slice(&self.integers[at..][..integers.len()]);
        of_runs.copy_from_slice(&self.of_runs[at / RUN..][..of_runs.len()]);
    }

    /// Packed as a level does, with or without saying that they are bytes.
    fn pack(&self, kernels: &Kernels, order: Order, with_integers: bool) -> Weights {
        let outputs = self.integers.len() / self.inputs;
        let parts = if order == Order::Alternating { 2 } else { 1 };
        let each = outputs / parts;
        let decoders: Vec<_> = (0..parts)
            .map(|part| move |output: usize, row: &mut [f32]| self.decode(part * each + output, row))
            .collect();
        let of_integers: Vec<_> = (0..parts)
            .map(|part| {
                move |output: usize, integers: &mut [i8], of_runs: &mut [Affine]| {
                    self.integers(part * each + output, integers, of_runs);
                }
            })
            .collect();
        let parts: Vec<Part<'_>> = decoders
            .iter()
            .zip(&of_integers)
            .map(|(decode, integers)| Part {
                outputs: each,
                decode,
                stored: with_integers.then_some(Stored::Integers(self.grain, integers)),
                bias: &[],
            })
            .collect();
        Weights::pack(kernels, &Team::new(2), Layout::I16, order, self.inputs, &parts)
    }
}

fn product(kernels: &Kernels, team: &Team, x: &[f32], w: &Weights, ending: Ending) -> Vec<f32> {
    let mut activations = Activations::default();
    activations.fill_from(kernels, team, Layout::I16, x, w.inputs());
    let mut out = vec![f32::NAN; activations.count() * w.outputs()];
    linear(kernels, team, &activations, w, ending, &mut RowsMut::new(&mut out, w.outputs()));
    out
}

#[test]
fn products_have_the_same_bits_whether_weights_are_bytes_or_not() {
    let mut random = Random::seeded(82);
    let shapes = GRAINS.into_iter().flat_map(|grain| {
        let run = grain.run();
        [(grain, run, 40), (grain, DEPTH, 32), (grain, 768, 96), (grain, DEPTH + 3 * run, 70)]
    });
    for (grain, inputs, outputs) in shapes {
        let matrix = Matrix::random(grain, &mut random, inputs, outputs);
        // Few rows, as many as the tile takes, one more, some tiles, more than a block.
        for rows in [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 16, 23, 24, 25, 54, 96, 97, 100] {
            let x = random.values(rows * inputs, 1.0);
            let mut of_all: Option<Vec<u32>> = None;
            for kernels in levels() {
                let packed = matrix.pack(kernels, Order::Joined, true);
                let kept = (kernels.byte_rows > 0).then_some(Kept::Bytes(grain));
                assert_eq!(packed.kept(), kept, "{}", kernels.level);
                // Panels that another level packed are read as well.
                for w in [&packed, &matrix.pack(levels()[0], Order::Joined, true)] {
                    for threads in [1, 2] {
                        let out = product(kernels, &Team::new(threads), &x, w, Ending::Write);
                        let bits: Vec<u32> = out.iter().map(|value| value.to_bits()).collect();
                        let what = format!("{} {rows} rows, {inputs} x {outputs} {grain:?}", kernels.level);
                        assert!(*of_all.get_or_insert_with(|| bits.clone()) == bits, "{what}");
                    }
                }
            }
            let kernels = levels().pop().expect("a level");
            let out = product(
                kernels,
                &Team::new(1),
                &x,
                &matrix.pack(kernels, Order::Joined, true),
                Ending::Write,
            );
            for (row, out) in out.chunks(outputs).enumerate() {
                for (output, &value) in out.iter().enumerate() {
                    let terms =
                        |i: usize| f64::from(x[row * inputs + i]) * f64::from(matrix.weight(output, i));
                    let wanted = (0..inputs).map(terms).sum::<f64>();
                    // Integers of 2895 on both sides, each wrong by up to one and a half.
                    let size = (0..inputs).map(|i| terms(i).abs()).sum::<f64>();
                    let error = (f64::from(value) - wanted).abs();
                    assert!(error <= 2e-3 * size + 1e-4, "{row}, {output}: {value} for {wanted}");
                }
            }
        }
    }
}

#[test]
fn gates_see_the_same_bits_and_bytes_are_about_half_as_large() {
    gates_see_the_same_bits(Grain::Coarse, 0.5..0.56);
    gates_see_the_same_bits(Grain::Fine, 0.6..0.65);
}

fn gates_see_the_same_bits(grain: Grain, of_i16: std::ops::Range<f64>) {
    let mut random = Random::seeded(83);
    let matrix = Matrix::random(grain, &mut random, 768, 256);
    let gate: fn(&[f32], &mut [f32]) = |gate, up| gate.iter().zip(up).for_each(|(gate, up)| *up *= gate);
    for rows in [3, 30] {
        let x = random.values(rows * 768, 1.0);
        let mut of_all: Option<Vec<f32>> = None;
        for kernels in levels() {
            let w = matrix.pack(kernels, Order::Alternating, true);
            let out = product(kernels, &Team::new(2), &x, &w, Ending::Gate(gate));
            assert_eq!(*of_all.get_or_insert_with(|| out.clone()), out, "{} {rows}", kernels.level);
            let plain = matrix.pack(kernels, Order::Alternating, false);
            assert!(plain.kept().is_none(), "a file of other types is kept as i16");
            let ratio = w.bytes() as f64 / plain.bytes() as f64;
            let wanted = if kernels.byte_rows > 0 { of_i16.clone() } else { 1.0..1.001 };
            assert!(wanted.contains(&ratio), "{}: {ratio}", kernels.level);
        }
    }
}

#[test]
fn a_matrix_is_kept_as_bytes_only_if_all_of_its_parts_are() {
    let mut random = Random::seeded(84);
    let (inputs, outputs) = (768, 48);
    let bytes = Matrix::random(Grain::Coarse, &mut random, inputs, outputs);
    let floats = random.values(inputs * outputs, 1.0);
    let x = random.values(3 * inputs, 1.0);
    let decode_bytes = |output: usize, row: &mut [f32]| bytes.decode(output, row);
    let integers = |output: usize, integers: &mut [i8], of_runs: &mut [Affine]| {
        bytes.integers(output, integers, of_runs);
    };
    let decode_floats =
        |output: usize, row: &mut [f32]| row.copy_from_slice(&floats[output * inputs..][..inputs]);
    let parts = [
        Part {
            outputs,
            decode: &decode_bytes,
            stored: Some(Stored::Integers(bytes.grain, &integers)),
            bias: &[],
        },
        Part { outputs, decode: &decode_floats, stored: None, bias: &[] },
    ];
    check_mixed(&parts, inputs, &x, None, |output, i| match output.checked_sub(outputs) {
        Some(output) => floats[output * inputs + i],
        None => bytes.weight(output, i),
    });
}

#[test]
fn parts_of_both_grains_are_kept_as_the_finer() {
    let mut random = Random::seeded(86);
    // The last block ends with half a coarse run, which is a fine one.
    for inputs in [768, DEPTH + 3 * RUN] {
        let outputs = 48;
        let coarse = Matrix::random(Grain::Coarse, &mut random, inputs.next_multiple_of(2 * RUN), outputs);
        let fine = Matrix::random(Grain::Fine, &mut random, inputs, outputs);
        let x = random.values(3 * inputs, 1.0);
        let decoders =
            [&coarse, &fine].map(|of| move |output: usize, row: &mut [f32]| of.decode(output, row));
        let integers = [&coarse, &fine].map(|of| {
            move |output: usize, q: &mut [i8], of_runs: &mut [Affine]| of.integers(output, q, of_runs)
        });
        let part = |index: usize, grain| Part {
            outputs,
            decode: &decoders[index],
            stored: Some(Stored::Integers(grain, &integers[index])),
            bias: &[],
        };
        let parts = [part(0, Grain::Coarse), part(1, Grain::Fine)];
        check_mixed(&parts, inputs, &x, Some(Grain::Fine), |output, i| match output.checked_sub(outputs) {
            Some(output) => fine.weight(output, i),
            None => coarse.weight(output, i),
        });
    }
}

/// A matrix of parts is kept as it should be, and multiplies as it should, with the same bits at every level.
fn check_mixed(
    parts: &[Part<'_>],
    inputs: usize,
    x: &[f32],
    grain: Option<Grain>,
    weight: impl Fn(usize, usize) -> f32,
) {
    let mut of_all: Option<Vec<f32>> = None;
    for kernels in levels() {
        let w = Weights::pack(kernels, &Team::new(1), Layout::I16, Order::Joined, inputs, parts);
        assert_eq!(w.kept(), grain.filter(|_| kernels.byte_rows > 0).map(Kept::Bytes), "{}", kernels.level);
        let out = product(kernels, &Team::new(1), x, &w, Ending::Write);
        for (row, out) in out.chunks(w.outputs()).enumerate() {
            for (output, &value) in out.iter().enumerate() {
                let term = |i: usize| f64::from(x[row * inputs + i]) * f64::from(weight(output, i));
                let wanted = (0..inputs).map(term).sum::<f64>();
                let size = (0..inputs).map(|i| term(i).abs()).sum::<f64>();
                let error = (f64::from(value) - wanted).abs();
                assert!(
                    error <= 2e-3 * size + 1e-4,
                    "{}: {row}, {output}: {value} for {wanted}",
                    kernels.level
                );
            }
        }
        assert_eq!(*of_all.get_or_insert_with(|| out.clone()), out, "{}", kernels.level);
    }
}

/// Inputs that are no whole runs are packed from the decoded weights.
#[test]
fn half_a_run_is_kept_as_i16() {
    let mut random = Random::seeded(87);
    let (inputs, outputs) = (DEPTH + RUN, 40);
    let matrix = Matrix::random(Grain::Coarse, &mut random, DEPTH + 2 * RUN, outputs);
    let x = random.values(3 * inputs, 1.0);
    let decode = |output: usize, row: &mut [f32]| matrix.decode(output, row);
    let integers = |output: usize, q: &mut [i8], of_runs: &mut [Affine]| matrix.integers(output, q, of_runs);
    let part = Part {
        outputs,
        decode: &decode,
        stored: Some(Stored::Integers(Grain::Coarse, &integers)),
        bias: &[],
    };
    check_mixed(&[part], inputs, &x, None, |output, i| matrix.weight(output, i));
}

#[test]
fn the_size_of_packed_weights_is_known_before() {
    use gguf::TensorType::{F32, Q4_0, Q4_K, Q6_K, Q8_0};
    let mut random = Random::seeded(85);
    let [coarse, fine] = GRAINS.map(|grain| Matrix::random(grain, &mut random, 768, 256));
    for kernels in levels() {
        // A level that kept none would show in memory alone.
        assert_eq!(kernels.byte_rows > 0, kernels.level != Level::Scalar, "{}", kernels.level);
        let types = [
            (&coarse, Q8_0, true),
            (&coarse, Q4_0, true),
            (&coarse, Q8_0, false),
            (&fine, Q6_K, true),
            (&fine, Q4_K, true),
            (&fine, Q6_K, false),
        ];
        for (matrix, ty, with_integers) in types {
            let w = matrix.pack(kernels, Order::Joined, with_integers);
            let known = Weights::bytes_of(kernels, ty, 768 * 256, with_integers);
            assert_eq!(known, w.bytes() as u64, "{} {ty}", kernels.level);
        }
        assert_eq!(Weights::bytes_of(kernels, F32, 768 * 256, true), 768 * 256 * 4);
    }
}
