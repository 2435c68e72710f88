//! The matrix products of every level this machine has, against the f64 oracle: odd shapes, extreme values.

use connote_kernels::{
    Activations, DEPTH, Ending, Kernels, Layout, Level, Order, PANEL, PanelStore, Part, Rows, RowsMut,
    Weights, first_input_step, linear, linear_part, matmul,
};
use testkit::oracle::{self, assert_close};
use testkit::random::Random;
use threads::Team;

fn levels() -> Vec<&'static Kernels> {
    Level::available().flat_map(Kernels::all_of).copied().collect()
}

const LAYOUTS: [Layout; 3] = [Layout::F32, Layout::I16, Layout::Bf16];

fn pack_as(layout: Layout, weights: &[f32], inputs: usize) -> Weights {
    pack_parts(layout, Order::Joined, inputs, &[(weights, &[])])
}

/// Parts are weights with their bias.
fn pack_parts(layout: Layout, order: Order, inputs: usize, parts: &[(&[f32], &[f32])]) -> Weights {
    let decoders: Vec<_> = parts
        .iter()
        .map(|(w, _)| |output: usize, row: &mut [f32]| row.copy_from_slice(&w[output * inputs..][..inputs]))
        .collect();
    let parts: Vec<Part<'_>> = parts
        .iter()
        .zip(&decoders)
        .map(|((w, bias), decode)| Part { outputs: w.len() / inputs, decode, stored: None, bias })
        .collect();
    Weights::pack(levels()[0], &Team::new(2), layout, order, inputs, &parts)
}

fn pack(weights: &[f32], inputs: usize) -> Weights {
    pack_as(Layout::F32, weights, inputs)
}

fn activations(kernels: &Kernels, team: &Team, x: &[f32], w: &Weights) -> Activations {
    let mut activations = Activations::default();
    activations.fill_from(kernels, team, w.layout(), x, w.inputs());
    activations
}

fn product(kernels: &Kernels, x: &[f32], w: &Weights) -> Vec<f32> {
    product_on(kernels, &Team::new(1), x, w, Ending::Write, f32::NAN)
}

/// A product into a result that holds `before` everywhere.
fn product_on(
    kernels: &Kernels,
    team: &Team,
    x: &[f32],
    w: &Weights,
    ending: Ending,
    before: f32,
) -> Vec<f32> {
    let x = activations(kernels, team, x, w);
    let mut out = vec![before; x.count() * w.outputs()];
    linear(kernels, team, &x, w, ending, &mut RowsMut::new(&mut out, w.outputs()));
    out
}

/// The product with panels of the moment, of which there are others before and after: `outputs x inputs`.
fn panel_product(
    kernels: &Kernels,
    x: Rows<'_>,
    w: &Momentary,
    first_output: usize,
    first_input: usize,
    out: &mut RowsMut<'_>,
) {
    let mut activations = Activations::default();
    let panels = w.store.get(1);
    let mut scaled: Vec<f32> = (0..x.count()).flat_map(|row| x.row(row)).copied().collect();
    if let Some(scales) = panels.input_scales().get(first_input..first_input + x.width()) {
        for row in scaled.chunks_exact_mut(x.width()) {
            row.iter_mut().zip(scales).for_each(|(value, scale)| *value *= scale);
        }
    }
    activations.set(kernels, w.layout, Rows::new(&scaled, x.width()));
    matmul(kernels, &activations, panels, first_output, first_input, out);
}

struct Momentary {
    layout: Layout,
    store: PanelStore,
}

impl Momentary {
    /// `w` is rows of outputs, or with `by_columns` rows of inputs.
    fn pack(kernels: &Kernels, layout: Layout, w: Rows<'_>, by_columns: bool) -> Self {
        let mut store = PanelStore::default();
        let shape = if by_columns { (w.width(), w.count()) } else { (w.count(), w.width()) };
        // What was there before must not show.
        for noise in [true, false] {
            let data = vec![if noise { 1e9 } else { 0.5 }; w.count().max(64) * w.width().max(64)];
            let other = |(outputs, inputs): (usize, usize)| match by_columns {
                true => Rows::new(&data[..outputs * inputs], outputs),
                false => Rows::new(&data[..outputs * inputs], inputs),
            };
            let shapes = [(3, 64), shape, (40, 5)];
            store.pack(kernels, &Team::new(2), layout, shapes, |index, slots| {
                let rows = if index == 1 && !noise { w } else { other(shapes[index]) };
                if by_columns { slots.pack_columns(rows) } else { slots.pack_rows(rows) }
            });
        }
        Self { layout, store }
    }
}

#[test]
fn products_of_odd_shapes_agree_with_the_oracle() {
    let mut random = Random::seeded(1);
    for kernels in levels() {
        for rows in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 31, 97] {
            for (inputs, outputs) in
                [(1, 1), (3, 17), (31, 16), (32, 33), (255, 5), (256, 16), (257, 48), (768, 20), (1152, 7)]
            {
                let x = random.values(rows * inputs, 2.0);
                let w = random.values(outputs * inputs, 1.0);
                let got = product(kernels, &x, &pack(&w, inputs));
                let what = format!("{} {rows}x{inputs}x{outputs}", kernels.level);
                assert_close(
                    &what,
                    &got,
                    &oracle::matmul(&x, &w, inputs),
                    2e-6 * (inputs as f64).sqrt().max(1.0),
                );
            }
        }
    }
}

/// Outliers, tiny values, zeros: each block has a scale of its own, so an error is bounded by its
/// block.
#[test]
fn integer_products_are_within_their_bits_and_equal_at_every_level() {
    let mut random = Random::seeded(9);
    for (rows, inputs, outputs) in
        [(1, 1, 1), (2, 3, 17), (6, 255, 64), (7, 256, 65), (13, 515, 40), (5, 768, 100)]
    {
        let mut x = random.values(rows * inputs, 1.0);
        let mut w = random.values(outputs * inputs, 0.1);
        x[0] = 300.0;
        w[inputs / 2] = -40.0;
        x[rows * inputs - 1] = 1e-35;
        if rows > 1 {
            x[inputs..2 * inputs].fill(0.0);
        }
        let packed = pack_as(Layout::I16, &w, inputs);
        let wanted = oracle::matmul(&x, &w, inputs);
        let scalar = product(levels()[0], &x, &packed);
        for (i, (&got, &wanted)) in scalar.iter().zip(&wanted).enumerate() {
            // Half a step of either factor, over all products of the row and the output.
            let (row, output) = (&x[i / outputs * inputs..][..inputs], &w[i % outputs * inputs..][..inputs]);
            let mut bound = 1e-30;
            for (x, w) in row.chunks(DEPTH).zip(output.chunks(DEPTH)) {
                let most = |v: &[f32]| f64::from(v.iter().fold(0.0f32, |most, v| most.max(v.abs())));
                let sum = |v: &[f32]| v.iter().map(|v| f64::from(v.abs())).sum::<f64>();
                bound += sum(x) * most(w) * 0.5 / 2895.0 + sum(w) * most(x) * 0.5 / 2895.0;
            }
            let error = (f64::from(got) - wanted).abs();
            assert!(
                error <= bound * 1.01 + 1e-6 * wanted.abs(),
                "{rows}x{inputs}x{outputs} {i}: {got} {wanted}, bound {bound}"
            );
        }
        for kernels in levels() {
            assert_eq!(product(kernels, &x, &packed), scalar, "{} {rows}x{inputs}x{outputs}", kernels.level);
        }
    }
}

/// In the order of AMX's tile unit, at every level, whatever multiplies there.
#[test]
fn bf16_products_have_the_bits_of_the_tile_units_order() {
    let mut random = Random::seeded(15);
    let halves = |x: &[f32], inputs: usize| -> Vec<u16> {
        let padded = inputs.next_multiple_of(32);
        let mut all = Vec::new();
        for row in x.chunks_exact(inputs) {
            let mut out = vec![0; padded];
            (levels()[0].to_bf16)(row, &mut out);
            all.extend(out);
        }
        all
    };
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 31, 33), (33, 32, 16), (13, 420, 40), (97, 1152, 20)] {
        let x = random.values(rows * inputs, 1.0);
        let w = random.values(outputs * inputs, 0.1);
        let padded = inputs.next_multiple_of(32);
        let mut wanted = vec![0.0; rows * outputs];
        oracle::tile_bf16(&halves(&x, inputs), &halves(&w, inputs), padded, &mut wanted);
        let packed = pack_as(Layout::Bf16, &w, inputs);
        for kernels in levels() {
            assert_eq!(product(kernels, &x, &packed), wanted, "{} {rows}x{inputs}x{outputs}", kernels.level);
        }
    }
}

/// The largest integers everywhere: the sums reach what an i32 can hold and not more.
#[test]
fn integer_sums_never_overflow() {
    let (inputs, outputs) = (512, 16);
    for sign in [1.0, -1.0] {
        let (x, w) = (vec![3.0f32; 7 * inputs], vec![sign * 2.0f32; outputs * inputs]);
        for kernels in levels() {
            for got in product(kernels, &x, &pack_as(Layout::I16, &w, inputs)) {
                assert!(
                    (f64::from(got) - f64::from(sign) * 6.0 * 512.0).abs() < 1e-3,
                    "{} {got}",
                    kernels.level
                );
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_visible_in_integer_products() {
    let payloads = [0x7fc0_e000, 0x7fc0_7fff, 0xffff_ffff].map(f32::from_bits);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().chain(payloads) {
        let mut x = vec![1.0; 3 * 300];
        x[310] = bad;
        for kernels in levels() {
            let got = product(kernels, &x, &pack_as(Layout::I16, &[0.5; 20 * 300], 300));
            assert!(
                got[..20].iter().chain(&got[40..]).all(|value| value.is_finite()),
                "{} {bad}",
                kernels.level
            );
            assert!(got[20..40].iter().all(|value| !value.is_finite()), "{} {bad}", kernels.level);
        }
    }
}

#[test]
fn a_row_has_the_same_bits_among_any_others() {
    let mut random = Random::seeded(2);
    let (inputs, outputs) = (515, 101);
    let weights = random.values(outputs * inputs, 1.0);
    let x = random.values(29 * inputs, 1.0);
    for (kernels, layout) in levels().into_iter().flat_map(|level| LAYOUTS.map(|layout| (level, layout))) {
        let w = pack_as(layout, &weights, inputs);
        let together = product(kernels, &x, &w);
        for first in 0..29 {
            for count in [1, 2, 5, 6, 7] {
                let last = (first + count).min(29);
                let apart = product(kernels, &x[first * inputs..last * inputs], &w);
                assert_eq!(
                    apart,
                    together[first * outputs..last * outputs],
                    "{} rows {first}..{last}",
                    kernels.level
                );
            }
        }
    }
}

#[test]
fn ranges_and_strides_pick_their_part_of_the_product() {
    let mut random = Random::seeded(3);
    let (rows, inputs, outputs, stride) = (9, 330, 70, 400);
    let w = random.values(outputs * inputs, 1.0);
    let x = random.values(rows * stride, 1.0);
    for kernels in levels() {
        for layout in LAYOUTS {
            let panels = Momentary::pack(kernels, layout, Rows::new(&w, inputs), false);
            // Integers end where a block does.
            let (some, one) = if layout == Layout::I16 { (74, 256) } else { (35, 1) };
            for (first_output, width, first_input, count) in
                [(32, 27, first_input_step(layout), some), (0, 70, 0, 330), (64, 6, 256, 74), (0, 1, 0, one)]
            {
                let mut out = vec![7.0; rows * 80];
                let mut out_rows = RowsMut::strided(&mut out[5..], rows, width, 80);
                let x_rows = Rows::strided(&x[3..], rows, count, stride);
                panel_product(kernels, x_rows, &panels, first_output, first_input, &mut out_rows);
                let what = format!("{} {} from {first_input}", kernels.level, layout.name());
                // Rounded to 12 and a half bits, or to 8.
                let bound = match layout {
                    Layout::F32 => 1e-4,
                    Layout::I16 => 1e-3 * (count as f64).sqrt(),
                    Layout::Bf16 => 8e-3 * (count as f64).sqrt(),
                };
                for r in 0..rows {
                    for o in 0..width {
                        let weights = &w[(first_output + o) * inputs + first_input..];
                        let wanted: f64 = (0..count)
                            .map(|i| f64::from(x[3 + r * stride + i]) * f64::from(weights[i]))
                            .sum();
                        let got = f64::from(out[5 + r * 80 + o]);
                        assert!((got - wanted).abs() < bound, "{what} row {r} output {o}: {got} {wanted}");
                    }
                    // What lies between the rows is not touched.
                    let beside = &out[5 + r * 80 + width..];
                    assert!(beside.iter().take(80 - width).all(|&value| value == 7.0), "{what}");
                }
            }
        }
    }
}

/// Keys come as rows of outputs, values as rows of inputs: the same matrix gives the same product, with the
/// bits of the model's own weights. Integers are those of columns whose inputs were divided by their scales.
#[test]
fn rows_and_columns_pack_to_the_same_matrix() {
    let mut random = Random::seeded(4);
    for (outputs, inputs) in [(21, 13), (32, 64), (70, 300), (33, 511), (1, 1)] {
        let w = random.values(outputs * inputs, 1.0);
        let transposed: Vec<f32> = (0..inputs)
            .flat_map(|i| (0..outputs).map(move |o| (o, i)))
            .map(|(o, i)| w[o * inputs + i])
            .collect();
        let x = random.values(13 * inputs, 1.0);
        for kernels in levels() {
            for layout in LAYOUTS {
                let wanted = product(kernels, &x, &pack_as(layout, &w, inputs));
                let by_rows = Momentary::pack(kernels, layout, Rows::new(&w, inputs), false);
                let by_columns = Momentary::pack(kernels, layout, Rows::new(&transposed, outputs), true);
                let scales = by_columns.store.get(1).input_scales().to_vec();
                assert_eq!(scales.len(), if layout == Layout::I16 { inputs } else { 0 });
                let (mut scaled_w, mut scaled_x) = (w.clone(), x.clone());
                if !scales.is_empty() {
                    let all = |rows: &mut [f32], of: fn(f32, f32) -> f32| {
                        for row in rows.chunks_exact_mut(inputs) {
                            row.iter_mut()
                                .zip(&scales)
                                .for_each(|(value, &scale)| *value = of(*value, scale));
                        }
                    };
                    all(&mut scaled_w, |value, scale| value / scale);
                    all(&mut scaled_x, |value, scale| value * scale);
                }
                let of_columns = product(kernels, &scaled_x, &pack_as(layout, &scaled_w, inputs));
                for (panels, wanted, how) in
                    [(by_rows, &wanted, "rows"), (by_columns, &of_columns, "columns")]
                {
                    let mut out = vec![f32::NAN; 13 * outputs];
                    let x = Rows::new(&x, inputs);
                    panel_product(kernels, x, &panels, 0, 0, &mut RowsMut::new(&mut out, outputs));
                    let what = format!("{} {} {outputs}x{inputs} by {how}", kernels.level, layout.name());
                    assert_eq!(&out, wanted, "{what}");
                }
            }
        }
    }
}

/// A value that is not finite shows in its own output and leaves the others' integers alone.
#[test]
fn what_is_not_finite_stays_in_its_column() {
    let (outputs, inputs) = (40, 300);
    for bad in [f32::NAN, f32::INFINITY, f32::from_bits(0xffff_ffff)] {
        let mut w = vec![0.5; inputs * outputs];
        w[270 * outputs + 7] = bad;
        for kernels in levels() {
            for layout in LAYOUTS {
                let panels = Momentary::pack(kernels, layout, Rows::new(&w, outputs), true);
                let mut out = vec![0.0; outputs];
                let x = vec![1.0; inputs];
                let mut rows = RowsMut::new(&mut out, outputs);
                panel_product(kernels, Rows::new(&x, inputs), &panels, 0, 0, &mut rows);
                for (o, value) in out.into_iter().enumerate() {
                    assert_eq!(value.is_finite(), o != 7, "{} {} {o}: {value}", kernels.level, layout.name());
                }
            }
        }
    }
}

/// Every ending against the plain product, for odd numbers of outputs, with a bias in one part of two.
#[test]
fn endings_do_what_their_functions_do_alone() {
    let mut random = Random::seeded(10);
    let (rows, inputs) = (99, 70);
    let x = random.values(rows * inputs, 1.0);
    for outputs in [1, 16, 17, 40, 64] {
        let (a, b) = (random.values(outputs * inputs, 0.3), random.values(outputs * inputs, 0.3));
        let (bias_a, bias_b) = (random.values(outputs, 1.0), random.values(outputs, 1.0));
        for kernels in levels() {
            for layout in LAYOUTS {
                let what = format!("{} {} {outputs}", kernels.level, layout.name());
                let plain = |w: &[f32], bias: &[f32]| {
                    let mut out =
                        product(kernels, &x, &pack_parts(layout, Order::Joined, inputs, &[(w, &[])]));
                    if !bias.is_empty() {
                        out.chunks_exact_mut(outputs).for_each(|row| (kernels.add)(row, bias));
                    }
                    out
                };
                for team in [Team::new(1), Team::new(3)] {
                    let biased = pack_parts(layout, Order::Joined, inputs, &[(&a, &bias_a)]);
                    let on = |ending, before| product_on(kernels, &team, &x, &biased, ending, before);
                    let mut wanted = plain(&a, &bias_a);
                    assert_eq!(on(Ending::Write, f32::NAN), wanted, "{what} written");
                    let added: Vec<f32> = wanted.iter().map(|value| 0.75 + value).collect();
                    assert_eq!(on(Ending::Add, 0.75), added, "{what} added");
                    (kernels.gelu_erf)(&mut wanted);
                    assert_eq!(on(Ending::Activate(kernels.gelu_erf), f32::NAN), wanted, "{what} activated");

                    let gated = pack_parts(layout, Order::Alternating, inputs, &[(&a, &bias_a), (&b, &[])]);
                    assert_eq!(gated.outputs(), outputs, "{what}");
                    let gate = Ending::Gate(kernels.gated_gelu_tanh);
                    let mut wanted = plain(&b, &[]);
                    (kernels.gated_gelu_tanh)(&plain(&a, &bias_a), &mut wanted);
                    assert_eq!(
                        product_on(kernels, &team, &x, &gated, gate, f32::NAN),
                        wanted,
                        "{what} gated"
                    );

                    let joined = pack_parts(layout, Order::Joined, inputs, &[(&a, &[]), (&b, &bias_b)]);
                    let (a, b) = (plain(&a, &[]), plain(&b, &bias_b));
                    let wanted: Vec<f32> = a
                        .chunks_exact(outputs)
                        .zip(b.chunks_exact(outputs))
                        .flat_map(|(a, b)| a.iter().chain(b).copied())
                        .collect();
                    let got = product_on(kernels, &team, &x, &joined, Ending::Write, f32::NAN);
                    assert_eq!(got, wanted, "{what} joined");
                }
            }
        }
    }
}

#[test]
fn a_team_of_any_size_gives_the_same_bits() {
    let mut random = Random::seeded(12);
    let (inputs, outputs) = (300, 333);
    let w = random.values(outputs * inputs, 1.0);
    let teams = [1, 2, 5, 16].map(Team::new);
    for rows in [1, 11, 200] {
        let x = random.values(rows * inputs, 1.0);
        for kernels in levels() {
            for layout in LAYOUTS {
                let w = pack_as(layout, &w, inputs);
                let alone = product_on(kernels, &teams[0], &x, &w, Ending::Write, f32::NAN);
                for team in &teams[1..] {
                    let got = product_on(kernels, team, &x, &w, Ending::Write, f32::NAN);
                    assert_eq!(got, alone, "{} {rows} rows, {} threads", kernels.level, team.threads());
                }
            }
        }
    }
}

#[test]
fn some_outputs_have_the_bits_they_have_among_all() {
    let mut random = Random::seeded(11);
    let (rows, inputs, outputs) = (7, 40, 150);
    let (x, w) = (random.values(rows * inputs, 1.0), random.values(outputs * inputs, 1.0));
    let team = Team::new(2);
    for kernels in levels() {
        for layout in LAYOUTS {
            let w = pack_as(layout, &w, inputs);
            let whole = product(kernels, &x, &w);
            let x = activations(kernels, &team, &x, &w);
            for some in [0..64, 32..150, 96..128, 128..150, 64..64] {
                let mut out = vec![f32::NAN; rows * outputs];
                let mut target = RowsMut::strided(&mut out[some.start..], rows, some.len(), outputs);
                linear_part(kernels, &team, &x, &w, some.clone(), Ending::Write, &mut target);
                for (at, (got, wanted)) in out.iter().zip(&whole).enumerate() {
                    match some.contains(&(at % outputs)) {
                        true => assert_eq!(got, wanted, "{} {some:?} {at}", kernels.level),
                        false => {
                            assert!(got.is_nan(), "{} {some:?} wrote beside itself: {at}", kernels.level)
                        }
                    }
                }
            }
        }
    }
}

/// Some inputs and outputs of a product with `outputs x inputs` zeros.
fn part_of_zeros(
    layout: Layout,
    (outputs, inputs): (usize, usize),
    (first_output, width): (usize, usize),
    (first_input, count): (usize, usize),
) {
    let zeros = vec![0.0; outputs * inputs];
    let panels = Momentary::pack(levels()[0], layout, Rows::new(&zeros, inputs), false);
    let (x, mut out) = (vec![0.0; count], vec![0.0; width]);
    let mut out = RowsMut::new(&mut out, width);
    panel_product(levels()[0], Rows::new(&x, count), &panels, first_output, first_input, &mut out);
}

#[test]
#[should_panic(expected = "starts no panel")]
fn an_output_inside_a_panel_is_refused() {
    part_of_zeros(Layout::F32, (32, 2), (PANEL / 2, 8), (0, 2));
}

#[test]
#[should_panic(expected = "starts no block")]
fn an_input_inside_a_block_of_scales_is_refused() {
    part_of_zeros(Layout::I16, (32, 20), (0, 8), (2, 2));
}

/// The chain of a block would be cut.
#[test]
#[should_panic(expected = "starts no block")]
fn an_input_inside_a_block_of_floats_is_refused() {
    part_of_zeros(Layout::F32, (2, 320), (0, 2), (32, 2));
}

#[test]
#[should_panic(expected = "ends inside a block")]
fn inputs_that_end_inside_a_block_of_scales_are_refused() {
    part_of_zeros(Layout::I16, (32, 20), (0, 8), (0, 10));
}

#[test]
#[should_panic(expected = "start no panel or end inside one")]
fn outputs_that_end_inside_a_panel_are_refused() {
    let w = pack(&[1.0; 64 * 2], 2);
    let x = activations(levels()[0], &Team::new(1), &[1.0; 2], &w);
    let mut out = [0.0; 40];
    let mut out = RowsMut::new(&mut out, 40);
    linear_part(levels()[0], &Team::new(1), &x, &w, 0..40, Ending::Write, &mut out);
}

#[test]
#[should_panic(expected = "layouts of activations and weights differ")]
fn activations_of_another_layout_are_refused() {
    let x = activations(levels()[0], &Team::new(1), &[1.0; 2], &pack(&[1.0; 2], 2));
    let w = pack_as(Layout::I16, &[1.0; 2], 2);
    linear(levels()[0], &Team::new(1), &x, &w, Ending::Write, &mut RowsMut::new(&mut [0.0], 1));
}

#[test]
fn levels_are_named_and_unknown_ones_refused() {
    for &level in Level::ALL {
        assert_eq!(level.name().parse(), Ok(level));
    }
    let error = "sse9".parse::<Level>().unwrap_err().to_string();
    assert!(error.contains("sse9") && error.contains("scalar"), "{error}");
}
