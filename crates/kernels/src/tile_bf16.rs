//! The bf16 product: what a panel and a tile read, and both for levels without a unit that multiplies bf16.

use std::ops::Range;

use crate::rows::PanelCells;
use crate::table::{PANEL, Sums, check_rows, holds};

/// Inputs a step takes: a tile register's row of 64 bytes. Rows and panels are padded with zeros to a multiple.
pub(crate) const STEP: usize = 32;

/// What the bf16 product of one panel reads: rows of activations, and the panel over the whole depth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PanelBf16<'a> {
    /// Bits of bf16, row after row, `stride` apart.
    pub(crate) x: &'a [u16],
    /// See `x`.
    pub(crate) stride: usize,
    /// At least 1.
    pub(crate) rows: usize,
    /// Bits of bf16: for every pair of inputs, [`PANEL`] outputs of two values.
    pub(crate) panel: &'a [u16],
    /// Inputs to sum, a multiple of 32.
    pub(crate) inputs: usize,
    /// Weights that are read next: worth asking for while this panel is multiplied.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only tile units ask ahead"))]
    pub(crate) next: &'a [u16],
}

impl<'a> PanelBf16<'a> {
    /// Asserts that everything lies inside its slice, and that there are sums and cells for every row.
    pub(crate) fn check(&self, sums: &Sums, cells: usize) {
        check_rows(self.rows, sums.len().min(cells), sums.len());
        assert!(self.inputs.is_multiple_of(STEP), "inputs come by {STEP}");
        let inputs = Some(self.inputs);
        assert!(holds(self.x.len(), self.rows, self.stride, inputs), "a panel past its activations");
        assert!(holds(self.panel.len(), 1, 0, self.inputs.checked_mul(PANEL)), "a panel past its weights");
    }

    /// Some of the rows, over some of the inputs.
    #[inline(always)]
    pub(crate) fn tile(&self, rows: Range<usize>, inputs: Range<usize>) -> TileBf16<'a> {
        TileBf16 {
            x: &self.x[rows.start * self.stride + inputs.start..],
            stride: self.stride,
            rows: rows.len(),
            panel: &self.panel[inputs.start * PANEL..inputs.end * PANEL],
            inputs: inputs.len(),
        }
    }
}

/// The sums of a panel into `cells`, by tiles. `sums` is scratch, a row each.
#[inline(always)]
pub(crate) fn panel_bf16_body(
    panel: &PanelBf16<'_>,
    sums: &mut Sums,
    cells: &mut PanelCells<'_>,
    _meanwhile: &mut dyn FnMut(),
) {
    panel.check(sums, cells.rows());
    let sums = &mut sums[..panel.rows];
    sums.as_flattened_mut().fill(0.0);
    for first in (0..panel.rows).step_by(ROWS) {
        let rows = first..(first + ROWS).min(panel.rows);
        tile_bf16_body(&panel.tile(rows.clone(), 0..panel.inputs), &mut sums[rows]);
    }
    for (row, sums) in sums.iter().enumerate() {
        cells.set(row, sums);
    }
}

/// What a tile of the bf16 product reads: rows of activations, and one panel over a block of the depth.
///
/// The order of summation is that of AMX's TDPBF16PS: of every 32 inputs, the products of the even ones are
/// one chain of fused multiply-adds from zero, those of the odd ones another, and their sum is added to the
/// sums. How the depth is cut into blocks does not matter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TileBf16<'a> {
    /// Bits of bf16, row after row, `stride` apart.
    pub(crate) x: &'a [u16],
    /// See `x`.
    pub(crate) stride: usize,
    /// 1 to the level's most.
    pub(crate) rows: usize,
    /// Bits of bf16: for every pair of inputs, [`PANEL`] outputs of two values.
    pub(crate) panel: &'a [u16],
    /// Inputs to sum, a multiple of 32.
    pub(crate) inputs: usize,
}

impl<'a> TileBf16<'a> {
    /// Asserts that everything lies inside its slice, and that there are sums for as many rows.
    pub(crate) fn check(&self, most_rows: usize, sums: usize) {
        check_rows(self.rows, most_rows, sums);
        assert!(self.inputs.is_multiple_of(STEP), "inputs come by {STEP}");
        let inputs = Some(self.inputs);
        assert!(holds(self.x.len(), self.rows, self.stride, inputs), "a tile past its activations");
        assert!(holds(self.panel.len(), 1, 0, self.inputs.checked_mul(PANEL)), "a tile past its weights");
    }

    /// The panel's part of every step.
    #[inline(always)]
    pub(crate) fn steps(&self) -> impl Iterator<Item = &'a [u16]> + use<'a> {
        self.panel[..self.inputs * PANEL].chunks_exact(STEP * PANEL)
    }
}

/// The tile in the tile unit's order, on whatever multiplies f32: the oracle that every level has, and what
/// shows on machines without AMX what its arithmetic gives. Where the unit takes denormal values for zero,
/// this does not.
#[inline(always)]
pub(crate) fn tile_bf16_body(tile: &TileBf16<'_>, sums: &mut Sums) {
    tile.check(ROWS, sums.len());
    let value = |bits: u16| f32::from_bits(u32::from(bits) << 16);
    for (step, weights) in tile.steps().enumerate() {
        for (r, sums) in sums[..tile.rows].iter_mut().enumerate() {
            let row = &tile.x[r * tile.stride + step * STEP..][..STEP];
            let (mut even, mut odd) = ([0.0f32; PANEL], [0.0f32; PANEL]);
            let pairs = weights.as_chunks::<2>().0.as_chunks::<PANEL>().0;
            for (&[a, b], weights) in row.as_chunks::<2>().0.iter().zip(pairs) {
                let (a, b) = (value(a), value(b));
                for o in 0..PANEL {
                    even[o] = a.mul_add(value(weights[o][0]), even[o]);
                    odd[o] = b.mul_add(value(weights[o][1]), odd[o]);
                }
            }
            for o in 0..PANEL {
                sums[o] += even[o] + odd[o];
            }
        }
    }
}

/// Rows that [`tile_bf16_body`] takes at most.
const ROWS: usize = 16;
