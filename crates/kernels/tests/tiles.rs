//! The tiles of every level this machine has: every shape against the f64 oracle, what lies past a slice
//! refused before it is read, and products whose last panel or last tile is not full.

use std::panic::{AssertUnwindSafe, catch_unwind};

use connote_kernels::{
    DEPTH, Kernels, Level, PANEL, Quantized, Rows, RowsMut, Sums, TileF32, TileI16, Weights, linear,
};
use testkit::random::Random;

fn levels() -> Vec<&'static Kernels> {
    Level::available().map(|level| Kernels::of(level).expect("an available level has a row")).collect()
}

/// Sums that no tile gives, to see what a tile wrote.
const UNTOUCHED: Sums = [[f32::NAN; 64]; 6];

#[test]
fn every_shape_of_the_f32_tile_agrees_with_the_oracle() {
    let mut random = Random::seeded(21);
    for kernels in levels() {
        for (inputs, stride) in [(1, 1), (31, 40), (256, 256), (300, 301)] {
            let panel_stride = inputs * PANEL + 5;
            let x = random.values(kernels.shape.rows * stride, 1.0);
            let weights = random.values(kernels.shape.panels * panel_stride, 1.0);
            for (rows, panel_count) in shapes(kernels) {
                // Just as long as they must be: a tile that reads more is refused.
                let (x, panels) = (
                    &x[..(rows - 1) * stride + inputs],
                    &weights[..(panel_count - 1) * panel_stride + inputs * PANEL],
                );
                let mut sums = UNTOUCHED;
                let tile = TileF32 { x, stride, rows, panels, panel_stride, panel_count, inputs };
                (kernels.tile_f32)(&tile, &mut sums);
                for (r, column) in cells(rows, panel_count) {
                    let weight =
                        |i: usize| panels[column / PANEL * panel_stride + i * PANEL + column % PANEL];
                    let wanted: f64 =
                        (0..inputs).map(|i| f64::from(x[r * stride + i]) * f64::from(weight(i))).sum();
                    let got = f64::from(sums[r][column]);
                    let what = format!("{} {rows} rows, {panel_count} panels", kernels.level);
                    assert!((got - wanted).abs() < 1e-4, "{what} of {inputs}: {r},{column} {got} {wanted}");
                }
            }
        }
    }
}

#[test]
fn every_shape_of_the_i16_tile_agrees_with_the_oracle() {
    let mut random = Random::seeded(22);
    for kernels in levels() {
        for inputs in [2usize, 30, 256, 300, 514] {
            let blocks = inputs.div_ceil(DEPTH);
            let mut integers = |count: usize, limit: f32| -> Vec<i16> {
                random.values(count, limit).iter().map(|&value| value as i16).collect()
            };
            let x = integers(kernels.shape.rows * inputs, 2047.0);
            let weights = integers(kernels.shape.panels * inputs * PANEL, 4095.0);
            let x_scales = random.values(kernels.shape.rows * blocks, 1e-3);
            let scales = random.values(kernels.shape.panels * blocks * PANEL, 1e-3);
            for (rows, panel_count) in shapes(kernels) {
                let mut sums = UNTOUCHED;
                let tile = TileI16 {
                    x: &x[..rows * inputs],
                    x_scales: &x_scales[..rows * blocks],
                    rows,
                    panels: &weights[..panel_count * inputs * PANEL],
                    scales: &scales[..panel_count * blocks * PANEL],
                    panel_count,
                    inputs,
                };
                (kernels.tile_i16)(&tile, &mut sums);
                for (r, column) in cells(rows, panel_count) {
                    let (panel, column_in) = (column / PANEL, column % PANEL);
                    let product = |i: usize| {
                        let weight =
                            weights[panel * inputs * PANEL + (i / 2 * PANEL + column_in) * 2 + i % 2];
                        let scale = scales[(panel * blocks + i / DEPTH) * PANEL + column_in];
                        let x_scale = x_scales[r * blocks + i / DEPTH];
                        f64::from(x[r * inputs + i])
                            * f64::from(weight)
                            * f64::from(x_scale)
                            * f64::from(scale)
                    };
                    let wanted: f64 = (0..inputs).map(product).sum();
                    let got = f64::from(sums[r][column]);
                    let what = format!("{} {rows} rows, {panel_count} panels", kernels.level);
                    assert!(
                        (got - wanted).abs() < 1e-6 * wanted.abs().max(1.0) * 10.0,
                        "{what} of {inputs}: {r},{column} {got} {wanted}"
                    );
                }
            }
        }
    }
}

fn shapes(kernels: &Kernels) -> impl Iterator<Item = (usize, usize)> + use<> {
    let shape = kernels.shape;
    (1..=shape.rows).flat_map(move |rows| (1..=shape.panels).map(move |panels| (rows, panels)))
}

fn cells(rows: usize, panels: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |r| (0..panels * PANEL).map(move |column| (r, column)))
}

/// Rows and outputs around every edge of tile and panel: each value has the bits it has alone, and nothing
/// is written beside the product.
#[test]
fn ragged_panels_and_tiles_give_the_bits_of_each_output_alone() {
    let mut random = Random::seeded(23);
    let (inputs, most_rows, most_outputs) = (37, 8, 5 * PANEL + 1);
    let x = random.values(most_rows * inputs, 1.0);
    let w = random.values(most_outputs * inputs, 1.0);
    let pack = |exact: bool, first: usize, outputs: usize| {
        Weights::pack(exact, outputs, inputs, |output, row| {
            row.copy_from_slice(&w[(first + output) * inputs..][..inputs]);
        })
    };
    let product = |kernels: &Kernels, rows: usize, weights: &Weights, gap: usize| {
        let (outputs, stride) = (weights.outputs(), weights.outputs() + gap);
        let mut out = vec![f32::INFINITY; rows * stride];
        let mut rows_out = RowsMut::strided(&mut out, rows, outputs, stride);
        let x = Rows::new(&x[..rows * inputs], inputs);
        linear(kernels, x, weights, &mut Quantized::default(), &mut rows_out);
        out
    };
    for exact in [true, false] {
        let singles: Vec<Weights> = (0..most_outputs).map(|output| pack(exact, output, 1)).collect();
        for kernels in levels() {
            let alone: Vec<Vec<f32>> =
                singles.iter().map(|weights| product(kernels, most_rows, weights, 0)).collect();
            for outputs in 1..=most_outputs {
                let weights = pack(exact, 0, outputs);
                for rows in [1, 5, 6, 7, 8] {
                    let gap = 3;
                    let out = product(kernels, rows, &weights, gap);
                    for (r, row) in out.chunks(outputs + gap).enumerate() {
                        let what = format!("{} {rows} rows, {outputs} outputs", kernels.level);
                        let wanted = alone[..outputs].iter().map(|column| &column[r]);
                        assert!(row[..outputs].iter().eq(wanted), "{what}: row {r}");
                        assert!(row[outputs..].iter().all(|&v| v == f32::INFINITY), "{what}: past row {r}");
                    }
                }
            }
        }
    }
}

/// The message of a call that must panic.
fn refusal(what: &str, call: impl FnOnce()) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(call)) else { panic!("{what} was not refused") };
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    }
}

/// Sizes whose products wrap around to something small: what the tiles would then read without a check.
#[test]
fn an_f32_tile_past_its_slices_is_refused_at_every_level() {
    let (x, panels) = ([0.0; 64], [0.0; 64 * PANEL]);
    let whole =
        TileF32 { x: &x, stride: 8, rows: 3, panels: &panels, panel_stride: 0, panel_count: 1, inputs: 8 };
    let past_x = "past its activations";
    let past_weights = "past its weights";
    for kernels in levels() {
        let mut cases = vec![
            ("a stride that wraps", TileF32 { stride: 1 << 63, ..whole }, past_x),
            ("the largest stride", TileF32 { stride: usize::MAX, ..whole }, past_x),
            ("a stride one too far", TileF32 { stride: 29, ..whole }, past_x),
            ("the most inputs", TileF32 { inputs: usize::MAX, rows: 1, ..whole }, past_x),
            ("rows that wrap with the inputs", TileF32 { stride: usize::MAX - 7, rows: 2, ..whole }, past_x),
            ("weights one too few", TileF32 { panels: &panels[..8 * PANEL - 1], ..whole }, past_weights),
            ("no row", TileF32 { rows: 0, ..whole }, "tile of 0 rows"),
            ("a row too many", TileF32 { rows: 7, ..whole }, "tile of 7 rows"),
            ("no panel", TileF32 { panel_count: 0, ..whole }, "tile of 0 panels"),
            ("a panel too many", TileF32 { panel_count: 5, ..whole }, "tile of 5 panels"),
        ];
        if kernels.shape.panels > 2 {
            let panels = TileF32 { panel_count: 3, ..whole };
            cases.extend([
                ("a panel stride that wraps", TileF32 { panel_stride: 1 << 63, ..panels }, past_weights),
                ("the largest panel stride", TileF32 { panel_stride: usize::MAX, ..panels }, past_weights),
                ("a panel one too far", TileF32 { panel_stride: 28 * PANEL + 1, ..panels }, past_weights),
            ]);
        }
        for (what, tile, wanted) in cases {
            let what = format!("{} {what}", kernels.level);
            let message = refusal(&what, || (kernels.tile_f32)(&tile, &mut UNTOUCHED.clone()));
            assert!(message.contains(wanted), "{what}: {message}");
        }
        (kernels.tile_f32)(&whole, &mut UNTOUCHED.clone());
    }
}

#[test]
fn an_i16_tile_past_its_slices_is_refused_at_every_level() {
    let (x, x_scales) = ([0; 64], [0.0; 16]);
    let (panels, scales) = ([0; 64 * PANEL], [0.0; 8 * PANEL]);
    let whole = TileI16 {
        x: &x,
        x_scales: &x_scales,
        rows: 4,
        panels: &panels,
        scales: &scales,
        panel_count: 1,
        inputs: 8,
    };
    for kernels in levels() {
        let cases = [
            ("inputs that wrap", TileI16 { inputs: 1 << 62, ..whole }, "past its activations"),
            ("the most inputs", TileI16 { inputs: usize::MAX - 1, ..whole }, "past its activations"),
            ("an odd input", TileI16 { inputs: 7, ..whole }, "in pairs"),
            ("activations one too few", TileI16 { x: &x[..31], ..whole }, "past its activations"),
            (
                "scales one too few",
                TileI16 { x_scales: &x_scales[..3], ..whole },
                "past its activations' scales",
            ),
            (
                "weights one too few",
                TileI16 { panels: &panels[..8 * PANEL - 1], ..whole },
                "past its weights",
            ),
            (
                "weight scales one too few",
                TileI16 { scales: &scales[..15], ..whole },
                "past its weights' scales",
            ),
            ("no row", TileI16 { rows: 0, ..whole }, "tile of 0 rows"),
            ("a row too many", TileI16 { rows: 7, ..whole }, "tile of 7 rows"),
            ("no panel", TileI16 { panel_count: 0, ..whole }, "tile of 0 panels"),
            ("a panel too many", TileI16 { panel_count: 5, ..whole }, "tile of 5 panels"),
        ];
        for (what, tile, wanted) in cases {
            let what = format!("{} {what}", kernels.level);
            let message = refusal(&what, || (kernels.tile_i16)(&tile, &mut UNTOUCHED.clone()));
            assert!(message.contains(wanted), "{what}: {message}");
        }
        (kernels.tile_i16)(&whole, &mut UNTOUCHED.clone());
    }
}

#[test]
#[should_panic(expected = "reach past 8 values")]
fn rows_at_a_stride_that_wraps_are_refused() {
    // (3 - 1) * 2^63 wraps to 0.
    Rows::strided(&[0.0; 8], 3, 8, 1 << 63);
}

#[test]
#[should_panic(expected = "reach past 8 values")]
fn rows_to_write_at_a_stride_that_wraps_are_refused() {
    RowsMut::strided(&mut [0.0; 8], usize::MAX, 8, usize::MAX);
}

#[test]
#[should_panic(expected = "reach past 8 values")]
fn rows_whose_end_wraps_are_refused() {
    Rows::strided(&[0.0; 8], 2, 8, usize::MAX - 3);
}

#[test]
fn rows_that_just_fit_are_taken() {
    let data = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    let rows = Rows::strided(&data, 3, 2, 3);
    assert_eq!(rows.row(2), [6.0, 7.0]);
    assert_eq!(Rows::strided(&data, 0, 2, usize::MAX).count(), 0);
    let message = refusal("a row past the end", || {
        Rows::strided(&data[..7], 3, 2, 3);
    });
    assert!(message.contains("reach past 7 values"), "{message}");
}
