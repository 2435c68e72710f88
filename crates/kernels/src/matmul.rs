//! The matrix product: rows of activations times packed weights.

use std::ops::Range;

use crate::panels::Panels;
use crate::rows::{Rows, RowsMut};
use crate::table::{Kernels, TILE_COLUMNS, TILE_ROWS, Tile};

/// Inputs summed in one chain. Each block of this many inputs has its own chain, and the blocks' sums are
/// added in order: a fixed order whatever the number of rows, and a shorter chain rounds less.
pub(crate) const DEPTH: usize = 256;

/// `out[r][o] = sum over i in inputs of x[r][i - inputs.start] * w[o][i]`, for the outputs that `out` is
/// wide, beginning at `first_output`.
///
/// `x` is as wide as `inputs`. `first_output` must be a multiple of [`TILE_COLUMNS`]. The whole product is
/// `matmul(k, x, w, 0, 0..w.inputs(), out)`; attention uses the ranges to skip what its mask hides.
pub fn matmul(
    kernels: &Kernels,
    x: Rows<'_>,
    w: &Panels,
    first_output: usize,
    inputs: Range<usize>,
    out: &mut RowsMut<'_>,
) {
    assert_eq!(x.count(), out.count(), "matrix product: rows in and out differ");
    assert!(inputs.end <= w.inputs(), "matrix product: inputs {inputs:?} of {}", w.inputs());
    assert_eq!(x.width(), inputs.len(), "matrix product: activations and inputs differ");
    assert!(
        first_output.is_multiple_of(TILE_COLUMNS),
        "matrix product: output {first_output} starts no panel"
    );
    assert!(first_output + out.width() <= w.outputs(), "matrix product: more outputs than weights");

    let mut tile: Tile = [[0.0; TILE_COLUMNS]; TILE_ROWS];
    // A panel stays in the near cache while all rows pass by it: weights are read once.
    for first_column in (0..out.width()).step_by(TILE_COLUMNS) {
        let panel = w.panel((first_output + first_column) / TILE_COLUMNS);
        let panel = &panel[inputs.start * TILE_COLUMNS..inputs.end * TILE_COLUMNS];
        let columns = TILE_COLUMNS.min(out.width() - first_column);
        for first_row in (0..x.count()).step_by(TILE_ROWS) {
            let rows = TILE_ROWS.min(x.count() - first_row);
            let (values, stride) = x.from(first_row);
            (kernels.tile)(values, stride, rows, panel, &mut tile);
            for (r, sums) in tile[..rows].iter().enumerate() {
                out.row(first_row + r)[first_column..first_column + columns]
                    .copy_from_slice(&sums[..columns]);
            }
        }
    }
}
