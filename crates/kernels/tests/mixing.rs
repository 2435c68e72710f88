//! Values mixed by the weights of attention: what is skipped, what stands out, and how near the sums are.

use connote_kernels::{
    Activations, DEPTH, Kernels, Layout, Level, Outliers, PanelStore, Rows, RowsMut, first_input_step, matmul,
};
use testkit::random::Random;
use threads::Team;

fn levels() -> Vec<&'static Kernels> {
    Level::available().flat_map(Kernels::all_of).copied().collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// `count` rows of `tokens` weights as softmax gives them, of which the first of each is `sink` of all.
fn weights(random: &mut Random, count: usize, tokens: usize, sink: f32) -> Vec<f32> {
    let mut weights = random.values(count * tokens, 1.0);
    for row in weights.chunks_exact_mut(tokens) {
        row.iter_mut().for_each(|weight| *weight = weight.abs());
        let sum: f32 = row[1..].iter().sum();
        row[1..].iter_mut().for_each(|weight| *weight *= (1.0 - sink) / sum);
        row[0] = sink;
    }
    weights
}

/// As attention does it: `tokens` values, and rows of weights for those from `first` on, of which only `shown` are other than 0.
fn mix(
    kernels: &Kernels,
    values: Rows<'_>,
    weights: &[f32],
    first: usize,
    shown: std::ops::Range<usize>,
) -> Vec<f32> {
    let (tokens, width) = (values.count(), values.width());
    let mut panels = PanelStore::default();
    panels
        .pack(kernels, &Team::new(1), Layout::I16, [(width, tokens)], |_, slots| slots.pack_columns(values));
    let (mut activations, mut outliers) = (Activations::default(), Outliers::default());
    let mut weights = weights.to_vec();
    for row in weights.chunks_exact_mut(tokens - first) {
        outliers.take(kernels, row, shown.clone(), panels.get(0), first);
    }
    activations.set_filled(kernels, Layout::I16, Rows::new(&weights, tokens - first), shown);
    let mut out = vec![f32::NAN; activations.count() * width];
    let mut out_rows = RowsMut::new(&mut out, width);
    matmul(kernels, &activations, panels.get(0), 0, first, &mut out_rows);
    let seen: Vec<f32> = (first..tokens).flat_map(|token| values.row(token)).copied().collect();
    outliers.add_to(kernels, Rows::new(&seen, width), &mut out_rows);
    out
}

fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// How far off the mixture is, of its size, over the columns from `first_column` on.
fn error(got: &[f32], values: Rows<'_>, weights: &[f32], first_column: usize) -> f64 {
    let wanted: Vec<f64> = (first_column..values.width())
        .map(|column| {
            let of =
                |(token, &weight): (usize, &f32)| f64::from(weight) * f64::from(values.row(token)[column]);
            weights.iter().enumerate().map(of).sum()
        })
        .collect();
    let off = got[first_column..].iter().zip(&wanted).map(|(&got, wanted)| f64::from(got) - wanted);
    length(off) / length(wanted.iter().copied())
}

/// A token on which much attention rests, or whose values are large: what the others add keeps its bits. What does not
/// stand out is at most 32 times the mean, so a step of 2,895 is a 90th of it, and rounding to steps leaves 0.32% (a step
/// over the root of 12) of what such weights add.
#[test]
fn small_weights_beside_a_large_one_keep_their_bits() {
    let mut random = Random::seeded(51);
    for (tokens, width) in [(11, 32), (54, 70), (300, 256), (600, 64)] {
        // The first token's weight, how large its first value is, and how large the others. In the last but one its weight
        // must stand out, since it adds most to the first column and nothing to the others; in the last one its values
        // must be divided, or they leave the others' few bits.
        for (sink, first, others) in [
            (0.01, 1.0, 1.0),
            (0.5, 0.01, 0.01),
            (0.99, 1e-4, 1e-4),
            (0.999, 1e-4, 1e-4),
            (0.9, 30.0, 30.0),
            (0.9, 30.0, 1e-3),
            (1e-4, 1000.0, 1000.0),
        ] {
            let weights = weights(&mut random, 7, tokens, sink);
            let mut values = random.values(tokens * width, 1.0);
            values[0] = first;
            values[1..width].iter_mut().for_each(|value| *value *= others);
            let rows = Rows::new(&values, width);
            let mut scalar = Vec::new();
            for kernels in levels() {
                let got = mix(kernels, rows, &weights, 0, 0..tokens);
                let what = format!("{} {tokens} x {width}, {sink} on {first} and {others}", kernels.level);
                for (row, got) in weights.chunks_exact(tokens).zip(got.chunks_exact(width)) {
                    let off = error(got, rows, row, 1);
                    assert!(off <= 3.5e-3, "{what}: off by {off:e}");
                }
                if scalar.is_empty() {
                    scalar.clone_from(&got);
                }
                assert_eq!(bits(&got), bits(&scalar), "{what}");
            }
        }
    }
}

/// Inputs that are 0 in every row may be left out: blocks that are cut have the bits of whole ones.
#[test]
fn skipped_inputs_change_no_bit() {
    let mut random = Random::seeded(52);
    let (tokens, width) = (700, 40);
    let values = random.values(tokens * width, 1.0);
    for kernels in levels() {
        for layout in [Layout::F32, Layout::I16, Layout::Bf16] {
            let mut panels = PanelStore::default();
            let rows = Rows::new(&values, width);
            panels
                .pack(kernels, &Team::new(1), layout, [(width, tokens)], |_, slots| slots.pack_columns(rows));
            for shown in
                [0..700, 0..256, 256..700, 32..300, 96..200, 256..260, 511..514, 640..699, 0..1, 9..9]
            {
                // Few rows, and as many as a tile takes and more.
                for count in [1, 3, 6, 7, 12, 30] {
                    let mut weights = random.values(count * tokens, 1.0);
                    for row in weights.chunks_exact_mut(tokens) {
                        row[..shown.start].fill(0.0);
                        row[shown.end..].fill(0.0);
                    }
                    let product = |skip: bool| {
                        let mut activations = Activations::default();
                        let weights = Rows::new(&weights, tokens);
                        match skip {
                            true => activations.set_filled(kernels, layout, weights, shown.clone()),
                            false => activations.set(kernels, layout, weights),
                        }
                        let mut out = vec![f32::NAN; count * width];
                        let mut out_rows = RowsMut::new(&mut out, width);
                        matmul(kernels, &activations, panels.get(0), 0, 0, &mut out_rows);
                        out
                    };
                    let (got, wanted) = (product(true), product(false));
                    assert_eq!(got, wanted, "{} {} {count} rows, {shown:?}", kernels.level, layout.name());
                }
            }
        }
    }
}

/// What is asked for next must not be skipped because of what was before.
#[test]
fn rows_that_are_set_again_are_read_whole() {
    for kernels in levels() {
        let mut activations = Activations::default();
        let mut panels = PanelStore::default();
        let (ones, zeros) = ([1.0; 300], [0.0; 300]);
        let pack = |_, slots: connote_kernels::PanelSlots<'_>| slots.pack_rows(Rows::new(&ones, 300));
        panels.pack(kernels, &Team::new(1), Layout::I16, [(1, 300)], pack);
        activations.set_filled(kernels, Layout::I16, Rows::new(&zeros, 300), 0..0);
        let sum = |activations: &Activations| {
            let mut out = [0.0];
            matmul(kernels, activations, panels.get(0), 0, 0, &mut RowsMut::new(&mut out, 1));
            out[0]
        };
        assert_eq!(sum(&activations), 0.0, "{}", kernels.level);
        activations.set(kernels, Layout::I16, Rows::new(&ones, 300));
        assert!((sum(&activations) - 300.0).abs() < 0.01, "{}: {}", kernels.level, sum(&activations));
        activations.set_filled(kernels, Layout::I16, Rows::new(&zeros, 300), 0..0);
        activations.fill_from(kernels, &Team::new(1), Layout::I16, &ones, 300);
        assert!((sum(&activations) - 300.0).abs() < 0.01, "{}: {}", kernels.level, sum(&activations));
    }
}

/// A text's attention depends on its own tokens alone, so a run of queries that begins in a later block reads the same.
#[test]
fn weights_from_a_later_block_on_give_the_same_sum() {
    let mut random = Random::seeded(53);
    let (tokens, width) = (2 * DEPTH + 90, 64);
    let values = random.values(tokens * width, 1.0);
    let first = first_input_step(Layout::I16);
    let mut row = weights(&mut random, 1, tokens, 0.3);
    row[..first].fill(0.0);
    row[first + 5] = 0.5;
    for kernels in levels() {
        let of = |first: usize| {
            mix(kernels, Rows::new(&values, width), &row[first..], first, DEPTH - first..tokens - first)
        };
        assert_eq!(bits(&of(0)), bits(&of(first)), "{}", kernels.level);
    }
}

#[test]
fn weights_that_are_not_numbers_stay_visible() {
    let values = [1.0; 50 * 32];
    for kernels in levels() {
        for at in [0, 17, 49] {
            let mut row = [0.02; 50];
            row[at] = f32::NAN;
            let got = mix(kernels, Rows::new(&values, 32), &row, 0, 0..50);
            assert!(got.iter().all(|value| !value.is_finite()), "{} {at}", kernels.level);
        }
    }
}

/// Values of any size, none among them, and one token that is not finite, which leaves the other columns alone.
#[test]
fn values_of_any_size_are_mixed() {
    for kernels in levels() {
        for size in [0.0, 1e-40, 1e-25, 1.0, 1e30, f32::MAX] {
            let values = vec![size; 40 * 33];
            let got = mix(kernels, Rows::new(&values, 33), &[1.0 / 40.0; 40], 0, 0..40);
            let near =
                |got: &f32| (f64::from(*got) - f64::from(size)).abs() <= 1e-3 * f64::from(size) + 1e-29;
            assert!(got.iter().all(near), "{} {size}: {got:?}", kernels.level);
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 40 * 33];
            values[20 * 33 + 5] = bad;
            let got = mix(kernels, Rows::new(&values, 33), &[1.0 / 40.0; 40], 0, 0..40);
            for (column, value) in got.iter().enumerate() {
                assert_eq!(value.is_finite(), column != 5, "{} {bad} {column}: {value}", kernels.level);
            }
        }
    }
}

/// The power of two at or below a token's largest value, and what has none.
#[test]
fn a_token_is_divided_by_a_power_of_two() {
    let rows: [([f32; 3], f32); 9] = [
        ([1.0, -0.5, 0.0], 1.0),
        ([0.1, -3.9, 1.0], 2.0),
        ([-4.0, 1.0, 1.0], 4.0),
        ([0.0, -0.0, 0.0], 0.0),
        ([1e-31, 0.0, 0.0], 0.0),
        ([3e-30, 0.0, 0.0], 2.0f32.powi(-99)),
        ([f32::MAX, 1.0, 1.0], 2.0f32.powi(126)),
        ([f32::NAN, 5.0, 5.0], 1.0),
        ([5.0, f32::NEG_INFINITY, 5.0], 1.0),
    ];
    let values: Vec<f32> = rows.iter().flat_map(|(row, _)| *row).collect();
    let wanted: Vec<f32> = rows.iter().map(|&(_, scale)| scale).collect();
    for kernels in levels() {
        let mut panels = PanelStore::default();
        let shapes = [(3, 9)];
        let pack = |_, slots: connote_kernels::PanelSlots<'_>| slots.pack_columns(Rows::new(&values, 3));
        panels.pack(kernels, &Team::new(1), Layout::I16, shapes, pack);
        assert_eq!(panels.get(0).input_scales(), wanted, "{}", kernels.level);
        panels.pack(kernels, &Team::new(1), Layout::F32, shapes, pack);
        assert!(panels.get(0).input_scales().is_empty(), "{}", kernels.level);
    }
}
