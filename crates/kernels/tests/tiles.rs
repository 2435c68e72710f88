//! The tiles of every level this machine has: every number of rows against the f64 oracle, what lies past a
//! slice refused before it is read, and products whose last panel or last tile is not full.

use std::panic::{AssertUnwindSafe, catch_unwind};

use connote_kernels::{
    Activations, BlockScale, DEPTH, Ending, Floats, Kernels, Layout, Level, Order, PANEL, Part, Rows,
    RowsMut, TileF32, TileI16, Weights, linear,
};
use testkit::random::Random;
use threads::Team;

fn levels() -> Vec<&'static Kernels> {
    Level::available().flat_map(Kernels::all_of).copied().collect()
}

/// What the sums hold before a tile adds to them.
const BEFORE: f32 = 0.5;

/// CI shows which levels were tested.
#[test]
fn levels_of_this_machine() {
    let tested: Vec<&str> = Level::available().map(Level::name).collect();
    let lacking: Vec<&str> =
        Level::ALL.iter().filter(|level| !level.is_available()).map(|level| level.name()).collect();
    // Past the test runner's capture.
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "CPU levels tested: {tested:?}; this machine lacks {lacking:?}");
    assert!(tested.contains(&"scalar"));
}

#[test]
fn every_height_of_the_f32_tile_adds_what_the_oracle_says() {
    let mut random = Random::seeded(21);
    for kernels in levels() {
        for (inputs, stride) in [(1, 1), (31, 40), (256, 256), (300, 301)] {
            let x = random.values(kernels.tile_rows * stride, 1.0);
            let panel = random.values(inputs * PANEL, 1.0);
            for rows in 1..=kernels.tile_rows {
                // Just as long as it must be: a tile that reads more is refused.
                let x = &x[..(rows - 1) * stride + inputs];
                let mut sums = vec![[BEFORE; PANEL]; rows + 1];
                let tile = TileF32 { x, stride, rows, panel: Floats::F32(&panel), inputs };
                (kernels.tile_f32)(&tile, &mut sums);
                let mut near = vec![[BEFORE; PANEL]; rows + 1];
                (kernels.tile_f32)(&TileF32 { panel: Floats::Near(&panel), ..tile }, &mut near);
                assert_eq!(near, sums, "{} {rows} rows: where values lie changes them", kernels.level);
                for (r, column) in cells(rows) {
                    let product =
                        |i: usize| f64::from(x[r * stride + i]) * f64::from(panel[i * PANEL + column]);
                    let wanted = f64::from(BEFORE) + (0..inputs).map(product).sum::<f64>();
                    let got = f64::from(sums[r][column]);
                    let what = format!("{} {rows} rows", kernels.level);
                    assert!((got - wanted).abs() < 1e-4, "{what} of {inputs}: {r},{column} {got} {wanted}");
                }
                assert_eq!(sums[rows], [BEFORE; PANEL], "{} {rows} rows touched the next", kernels.level);
            }
        }
    }
}

#[test]
fn every_height_of_the_i16_tile_adds_what_the_oracle_says() {
    let mut random = Random::seeded(22);
    for kernels in levels() {
        for (inputs, stride) in
            [(0usize, 1), (2, 2), (4, 5), (6, 6), (30, 37), (252, 252), (254, 254), (DEPTH, 300)]
        {
            let mut integers = |count: usize, limit: f32| -> Vec<i16> {
                random.values(count, limit).iter().map(|&value| value as i16).collect()
            };
            let mut x = integers(kernels.tile_rows * stride, 2895.0);
            let mut panel = integers(inputs * PANEL, 2895.0);
            // The largest sums there are, of either sign.
            x[..inputs].fill(2895);
            x[2 * stride..][..inputs].fill(-2895);
            for (column, value) in [(0, 2895), (1, -2895), (16, 2895), (31, -2895)] {
                (0..inputs).for_each(|i| panel[(i / 2 * PANEL + column) * 2 + i % 2] = value);
            }
            let mut x_scales = vec![BlockScale { scale: f32::NAN, crossed: i32::MAX }; kernels.tile_rows * 3];
            for (r, scale) in random.values(kernels.tile_rows, 1e-3).into_iter().enumerate() {
                x_scales[r * 3] = block_scale(scale, inputs, |i| x[r * stride + i]);
            }
            let factors = random.values(PANEL, 1e-3);
            let scales: [BlockScale; PANEL] = std::array::from_fn(|column| {
                block_scale(factors[column], inputs, |i| panel[(i / 2 * PANEL + column) * 2 + i % 2])
            });
            for rows in 1..=kernels.tile_rows {
                let x = &x[..(rows - 1) * stride + inputs];
                let x_scales = &x_scales[..(rows - 1) * 3 + 1];
                let mut sums = vec![[BEFORE; PANEL]; rows + 1];
                let tile = TileI16 {
                    x,
                    stride,
                    x_scales,
                    scale_stride: 3,
                    rows,
                    panel: &panel,
                    scales: &scales,
                    inputs,
                    is_whole: true,
                    is_alone: true,
                    grain: None,
                    ahead: &[],
                };
                (kernels.tile_i16)(&tile, &mut sums);
                // Beside other tiles the same; and of a part of a block, which what stands beside it is not of.
                let other = |mut scale: BlockScale| {
                    scale.crossed ^= 12345;
                    scale
                };
                let (others, x_others) =
                    (scales.map(other), x_scales.iter().copied().map(other).collect::<Vec<_>>());
                let part = TileI16 { is_whole: false, scales: &others, x_scales: &x_others, ..tile };
                for tile in [TileI16 { is_alone: false, ..tile }, part, TileI16 { is_alone: false, ..part }] {
                    let mut again = vec![[BEFORE; PANEL]; rows + 1];
                    (kernels.tile_i16)(&tile, &mut again);
                    let what = (tile.is_whole, tile.is_alone);
                    assert_eq!(
                        again, sums,
                        "{} {rows} rows, {inputs} (whole, alone: {what:?})",
                        kernels.level
                    );
                }
                for (r, sums) in sums[..rows].iter().enumerate() {
                    let alone =
                        TileI16 { x: &x[r * stride..], x_scales: &x_scales[r * 3..], rows: 1, ..tile };
                    let mut wanted = [[BEFORE; PANEL]];
                    (levels()[0].tile_i16)(&alone, &mut wanted);
                    let bits = |sums: &[f32; PANEL]| sums.map(f32::to_bits);
                    assert_eq!(bits(sums), bits(&wanted[0]), "{} row {r} of {rows}, {inputs}", kernels.level);
                }
                for (r, column) in cells(rows) {
                    let product = |i: usize| {
                        i64::from(x[r * stride + i]) * i64::from(panel[(i / 2 * PANEL + column) * 2 + i % 2])
                    };
                    let sum = (0..inputs).map(product).sum::<i64>() as f64;
                    let scale = f64::from(x_scales[r * 3].scale) * f64::from(scales[column].scale);
                    let wanted = f64::from(BEFORE) + sum * scale;
                    let got = f64::from(sums[r][column]);
                    let what = format!("{} {rows} rows", kernels.level);
                    assert!(
                        (got - wanted).abs() < 1e-6 * wanted.abs().max(1.0),
                        "{what} of {inputs}: {r},{column} {got} {wanted}"
                    );
                }
                assert_eq!(sums[rows], [BEFORE; PANEL], "{} {rows} rows touched the next", kernels.level);
            }
        }
    }
}

/// What stands beside a block of these integers.
fn block_scale(scale: f32, inputs: usize, q: impl Fn(usize) -> i16) -> BlockScale {
    let product = |i: usize| -i32::from(q(i)) * i32::from(q(i + 2));
    let crossed = (0..inputs / 4 * 4).filter(|i| i % 4 < 2).map(product).sum();
    BlockScale { scale, crossed }
}

fn cells(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(|r| (0..PANEL).map(move |column| (r, column)))
}

/// Rows and outputs around every edge of tile and panel: each value has the bits it has alone, and nothing
/// is written beside the product.
#[test]
fn ragged_panels_and_tiles_give_the_bits_of_each_output_alone() {
    let mut random = Random::seeded(23);
    let (inputs, most_rows, most_outputs) = (37, 14, 2 * PANEL + 1);
    let x = random.values(most_rows * inputs, 1.0);
    let w = random.values(most_outputs * inputs, 1.0);
    let team = Team::new(1);
    let pack = |layout: Layout, first: usize, outputs: usize| {
        let decode = |output: usize, row: &mut [f32]| {
            row.copy_from_slice(&w[(first + output) * inputs..][..inputs]);
        };
        let part = Part { outputs, decode: &decode, stored: None, bias: &[] };
        Weights::pack(levels()[0], &team, layout, Order::Joined, inputs, &[part])
    };
    let product = |kernels: &Kernels, rows: usize, weights: &Weights, gap: usize| {
        let (outputs, stride) = (weights.outputs(), weights.outputs() + gap);
        let mut out = vec![f32::INFINITY; rows * stride];
        let mut rows_out = RowsMut::strided(&mut out, rows, outputs, stride);
        let mut activations = Activations::default();
        activations.fill_from(kernels, &team, weights.layout(), &x[..rows * inputs], inputs);
        linear(kernels, &team, &activations, weights, Ending::Write, &mut rows_out);
        out
    };
    for layout in [Layout::F32, Layout::I16, Layout::Bf16] {
        let singles: Vec<Weights> = (0..most_outputs).map(|output| pack(layout, output, 1)).collect();
        for kernels in levels() {
            let alone: Vec<Vec<f32>> =
                singles.iter().map(|weights| product(kernels, most_rows, weights, 0)).collect();
            for outputs in 1..=most_outputs {
                let weights = pack(layout, 0, outputs);
                for rows in [1, 5, 6, 7, 12, 13, 14] {
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
    let (x, panel) = ([0.0; 64], [0.0; 8 * PANEL]);
    let whole = TileF32 { x: &x, stride: 8, rows: 3, panel: Floats::F32(&panel), inputs: 8 };
    let past_x = "past its activations";
    let past_weights = "past its weights";
    for kernels in levels() {
        let cases = vec![
            ("a stride that wraps", TileF32 { stride: 1 << 63, ..whole }, past_x),
            ("the largest stride", TileF32 { stride: usize::MAX, ..whole }, past_x),
            ("a stride one too far", TileF32 { stride: 29, ..whole }, past_x),
            ("the most inputs", TileF32 { inputs: usize::MAX, rows: 1, ..whole }, past_x),
            ("rows that wrap with the inputs", TileF32 { stride: usize::MAX - 7, rows: 2, ..whole }, past_x),
            (
                "weights one too few",
                TileF32 { panel: Floats::F32(&panel[..8 * PANEL - 1]), ..whole },
                past_weights,
            ),
            ("no row", TileF32 { rows: 0, ..whole }, "tile of 0 rows"),
            ("a row too many", TileF32 { rows: kernels.tile_rows + 1, ..whole }, "a tile of"),
            ("more rows than sums", TileF32 { rows: 5, ..whole }, "into 4 sums"),
        ];
        for (what, tile, wanted) in cases {
            let what = format!("{} {what}", kernels.level);
            let message = refusal(&what, || (kernels.tile_f32)(&tile, &mut [[0.0; PANEL]; 4]));
            assert!(message.contains(wanted), "{what}: {message}");
        }
        (kernels.tile_f32)(&whole, &mut [[0.0; PANEL]; 4]);
    }
}

#[test]
fn an_i16_tile_past_its_slices_is_refused_at_every_level() {
    let (x, x_scales) = ([0; 1024], [BlockScale::default(); 16]);
    let (panel, scales) = (vec![0; 512 * PANEL], [BlockScale::default(); PANEL]);
    let whole = TileI16 {
        x: &x[..32],
        stride: 8,
        x_scales: &x_scales,
        scale_stride: 5,
        rows: 4,
        panel: &panel[..8 * PANEL],
        scales: &scales,
        inputs: 8,
        is_whole: true,
        is_alone: true,
        grain: None,
        ahead: &[],
    };
    let past_x = "past its activations";
    for kernels in levels() {
        let many = TileI16 { x: &x, panel: &panel, rows: 1, ..whole };
        let cases = [
            ("inputs that wrap", TileI16 { inputs: 1 << 62, ..whole }, past_x),
            ("the most inputs", TileI16 { inputs: usize::MAX - 1, ..whole }, past_x),
            ("a stride that wraps", TileI16 { stride: 1 << 63, ..whole }, past_x),
            ("an odd input", TileI16 { inputs: 7, ..whole }, "in pairs"),
            ("activations one too few", TileI16 { x: &x[..31], ..whole }, past_x),
            ("scales one too few", TileI16 { x_scales: &x_scales[..15], ..whole }, "activations' scales"),
            ("scales that wrap", TileI16 { scale_stride: 1 << 63, rows: 3, ..whole }, "activations' scales"),
            ("weights one too few", TileI16 { panel: &panel[..8 * PANEL - 1], ..whole }, "past its weights"),
            ("sums that could overflow", TileI16 { inputs: DEPTH + 2, ..many }, "under one scale"),
            ("no row", TileI16 { rows: 0, ..whole }, "tile of 0 rows"),
            ("a row too many", TileI16 { rows: kernels.tile_rows + 1, ..whole }, "a tile of"),
            ("more rows than sums", TileI16 { rows: 5, ..whole }, "into 4 sums"),
        ];
        for (what, tile, wanted) in cases {
            let what = format!("{} {what}", kernels.level);
            let message = refusal(&what, || (kernels.tile_i16)(&tile, &mut [[0.0; PANEL]; 4]));
            assert!(message.contains(wanted), "{what}: {message}");
        }
        (kernels.tile_i16)(&whole, &mut [[0.0; PANEL]; 4]);
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
