//! The matrix products: rows of activations times packed weights.

use std::ops::Range;

use crate::panels::{PanelsF32, PanelsI16, Weights};
use crate::rows::{Rows, RowsMut};
use crate::table::{Kernels, MOST_PANELS, MOST_ROWS, PANEL, Sums, TileF32, TileI16};

/// Inputs summed in one chain. Each block of this many inputs has its own chain, and the blocks' sums are
/// added in order: a fixed order whatever the number of rows, and a shorter chain rounds less.
pub const DEPTH: usize = 256;

/// Scratch of the i16 product: activations as integers.
#[derive(Debug, Default)]
pub struct Quantized {
    values: Vec<i16>,
    scales: Vec<f32>,
}

/// `out[r][o] = sum over i of x[r][i] * w[o][i]`.
pub fn linear(kernels: &Kernels, x: Rows<'_>, w: &Weights, scratch: &mut Quantized, out: &mut RowsMut<'_>) {
    assert_eq!(out.width(), w.outputs(), "matrix product: outputs");
    match w {
        Weights::F32(panels) => matmul(kernels, x, panels, 0, 0..panels.inputs, out),
        Weights::I16(panels) => matmul_i16(kernels, x, panels, scratch, out),
    }
}

/// `out[r][o] = sum over i in inputs of x[r][i - inputs.start] * w[o][i]`, for the outputs that `out` is
/// wide, beginning at `first_output`.
///
/// `x` is as wide as `inputs`. `first_output` must be a multiple of [`PANEL`]. Attention uses the ranges to
/// skip what its mask hides.
pub fn matmul(
    kernels: &Kernels,
    x: Rows<'_>,
    w: &PanelsF32,
    first_output: usize,
    inputs: Range<usize>,
    out: &mut RowsMut<'_>,
) {
    assert!(inputs.end <= w.inputs, "matrix product: inputs {inputs:?} of {}", w.inputs);
    assert_eq!(x.width(), inputs.len(), "matrix product: activations and inputs differ");
    assert!(first_output.is_multiple_of(PANEL), "matrix product: output {first_output} starts no panel");
    assert!(first_output + out.width() <= w.outputs, "matrix product: more outputs than weights");
    let panel_stride = PANEL * w.inputs;
    tiles(kernels, x.count(), out, |first_row, rows, first_panel, panel_count, sums| {
        let (values, stride) = x.from(first_row);
        let panel = first_output / PANEL + first_panel;
        let panels = &w.data[panel * panel_stride + inputs.start * PANEL..];
        let inputs = inputs.len();
        (kernels.tile_f32)(
            &TileF32 { x: values, stride, rows, panels, panel_stride, panel_count, inputs },
            sums,
        );
    });
}

fn matmul_i16(kernels: &Kernels, x: Rows<'_>, w: &PanelsI16, scratch: &mut Quantized, out: &mut RowsMut<'_>) {
    assert_eq!(x.width(), w.inputs, "matrix product: activations and inputs differ");
    let inputs = w.inputs.next_multiple_of(2);
    let blocks = inputs.div_ceil(DEPTH);
    // Once for all outputs: the weights that share these activations are joined in one matrix.
    scratch.values.resize(x.count() * inputs, 0);
    scratch.scales.resize(x.count() * blocks, 0.0);
    let rows =
        scratch.values.chunks_exact_mut(inputs.max(1)).zip(scratch.scales.chunks_exact_mut(blocks.max(1)));
    for (index, (values, scales)) in rows.enumerate() {
        (kernels.quantize)(x.row(index), values, scales);
    }
    let Quantized { values, scales } = &*scratch;
    tiles(kernels, x.count(), out, |first_row, rows, first_panel, panel_count, sums| {
        let tile = TileI16 {
            x: &values[first_row * inputs..],
            x_scales: &scales[first_row * blocks..],
            rows,
            panels: &w.data[first_panel * PANEL * inputs..],
            scales: &w.scales[first_panel * PANEL * blocks..],
            panel_count,
            inputs,
        };
        (kernels.tile_i16)(&tile, sums);
    });
}

/// Cuts a product into tiles: `tile(first_row, rows, first_panel, panels, sums)`.
///
/// The panels of a tile stay in the near cache while all rows pass by them: weights are read once.
fn tiles(
    kernels: &Kernels,
    row_count: usize,
    out: &mut RowsMut<'_>,
    tile: impl Fn(usize, usize, usize, usize, &mut Sums),
) {
    assert_eq!(row_count, out.count(), "matrix product: rows in and out differ");
    let shape = kernels.shape;
    let mut sums: Sums = [[0.0; PANEL * MOST_PANELS]; MOST_ROWS];
    let panel_count = out.width().div_ceil(PANEL);
    for first_panel in (0..panel_count).step_by(shape.panels) {
        let panels = shape.panels.min(panel_count - first_panel);
        let first_column = first_panel * PANEL;
        let columns = (panels * PANEL).min(out.width() - first_column);
        for first_row in (0..row_count).step_by(shape.rows) {
            let rows = shape.rows.min(row_count - first_row);
            tile(first_row, rows, first_panel, panels, &mut sums);
            for (r, sums) in sums[..rows].iter().enumerate() {
                let row = out.row(first_row + r);
                row[first_column..first_column + columns].copy_from_slice(&sums[..columns]);
            }
        }
    }
}
