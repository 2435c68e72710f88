//! The matrix products: rows of activations times packed weights, cut into tiles.
//!
//! A part of a product is some panels for some rows. For every panel and block of rows, the depth is walked
//! in blocks of [`DEPTH`] inputs, so that a block of the panel stays in the near cache while the rows' tiles
//! pass by it, and the sums stay in a small buffer until the ending has seen them.
#![allow(unsafe_code)] // a named room: parts write disjoint cells of one result

use std::ops::Range;

use threads::Team;

use crate::activations::Activations;
use crate::layout::Layout;
use crate::panels::Panels;
use crate::rows::RowsMut;
use crate::store::Values;
use crate::table::{DEPTH, Kernels, PANEL, TileF32, TileI16};
use crate::tile_bf16::TileBf16;
use crate::weights::{Order, Weights};

/// Rows whose sums a part holds at a time: whole tiles at every level, and 12 KiB of sums.
const BLOCK: usize = 96;

/// Sums of a block of rows; begins a cache line, as the panels do.
#[repr(align(64))]
struct BlockSums([[f32; PANEL]; BLOCK]);

/// What happens to sums on their way into the result, while they are in the near cache. A bias of the
/// weights is added first.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// They are written.
    Write,
    /// They are added to what the result holds: the residual.
    Add,
    /// An activation of the table passes over them.
    Activate(fn(&mut [f32])),
    /// `gate(g, u)` turns the up values into the products that are written; for weights in
    /// [`Order::Alternating`].
    Gate(fn(&[f32], &mut [f32])),
}

/// `out[r][o] = ending(bias[o] + sum over i of x[r][i] * w[o][i])`, on the team.
///
/// # Panics
/// If shapes or layouts differ, or gated weights meet another ending than a gate.
pub fn linear(
    kernels: &Kernels,
    team: &Team,
    x: &Activations,
    w: &Weights,
    ending: Ending,
    out: &mut RowsMut<'_>,
) {
    linear_part(kernels, team, x, w, 0..w.outputs(), ending, out);
}

/// As [`linear`], for some of the outputs. `outputs` begins a panel, and ends one or is the end; `out` is as
/// wide as it.
///
/// # Panics
/// As [`linear`]; and if `outputs` is not as said.
pub fn linear_part(
    kernels: &Kernels,
    team: &Team,
    x: &Activations,
    w: &Weights,
    outputs: Range<usize>,
    ending: Ending,
    out: &mut RowsMut<'_>,
) {
    assert_eq!(x.inputs(), w.inputs(), "matrix product: activations and inputs differ");
    assert_eq!(x.layout(), w.layout(), "matrix product: layouts of activations and weights differ");
    assert_eq!(x.count(), out.count(), "matrix product: rows in and out differ");
    assert_eq!(out.width(), outputs.len(), "matrix product: outputs");
    let gated = matches!(ending, Ending::Gate(_));
    assert_eq!(gated, w.order == Order::Alternating, "matrix product: a gate is for alternating parts");
    let each = w.panel_outputs();
    let whole = outputs.end == w.outputs() || outputs.end.is_multiple_of(each);
    assert!(
        outputs.start.is_multiple_of(each) && outputs.end <= w.outputs() && whole,
        "outputs {outputs:?} start no panel or end inside one"
    );
    let panels = outputs.start / each..outputs.end.div_ceil(each);
    let cut = Cut::of(team.threads(), panels.len(), x.count());
    let (matrix, cells) = (w.panels(), out.cells());
    team.run(cut.parts(), &|part| {
        let (some_panels, rows) = cut.part(part);
        let _release = Release(kernels);
        for panel in some_panels {
            let column = panel * each;
            let width = each.min(outputs.len() - column);
            for rows in blocks(rows.clone(), BLOCK) {
                let mut sums = BlockSums([[0.0; PANEL]; BLOCK]);
                let sums = &mut sums.0[..rows.len()];
                sum_panel(kernels, x, matrix, panels.start + panel, 0, rows.clone(), sums);
                if !w.bias.is_empty() {
                    (kernels.add_to_rows)(sums, &w.bias[(panels.start + panel) * PANEL..][..PANEL]);
                }
                // SAFETY: a part has its rows and panels to itself, and a panel its columns.
                let target = |row: usize| unsafe { cells.row(row, column..column + width) };
                finish(kernels, ending, sums, rows, target);
            }
        }
    });
}

/// Gives a tile unit back when a thread's part is over, also by a panic.
struct Release<'a>(&'a Kernels);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        (self.0.release)();
    }
}

/// The sums of one panel and some rows, over the inputs from `first_input` on, as many as the rows have.
fn sum_panel(
    kernels: &Kernels,
    x: &Activations,
    w: Panels<'_>,
    panel: usize,
    first_input: usize,
    rows: Range<usize>,
    sums: &mut [[f32; PANEL]],
) {
    let layout = w.layout();
    let (stride, x_blocks) = (x.stride(), x.blocks());
    let (panel_values, panel_scales) = Panels::sizes(layout, PANEL, w.inputs());
    let first_scale = panel * panel_scales + first_input / DEPTH * PANEL;
    let most_rows = if layout == Layout::Bf16 { kernels.bf16_rows } else { kernels.tile_rows };
    let padded = x.inputs().next_multiple_of(layout.step());
    for (block, inputs) in blocks(0..padded, layout.depth()).enumerate() {
        let start = panel * panel_values + (first_input + inputs.start) * PANEL;
        let weights = start..start + inputs.len() * PANEL;
        for tile in tiles(rows.len(), most_rows) {
            let first = rows.start + tile.start;
            let at = first * stride + inputs.start;
            let (rows, inputs, sums) = (tile.len(), inputs.len(), &mut sums[tile]);
            match (x.values(), w.values) {
                (Values::F32(x), Values::F32(w)) => (kernels.tile_f32)(
                    &TileF32 { x: &x[at..], stride, rows, panel: &w[weights.clone()], inputs },
                    sums,
                ),
                (Values::Bf16(x), Values::Bf16(w)) => (kernels.tile_bf16)(
                    &TileBf16 { x: &x[at..], stride, rows, panel: &w[weights.clone()], inputs },
                    sums,
                ),
                (Values::I16(x, x_scales), Values::I16(w, scales)) => {
                    let scales = scales[first_scale + block * PANEL..].first_chunk();
                    let Some(scales) = scales else { unreachable!("a panel's scales") };
                    let x_scales = &x_scales[first * x_blocks + block..];
                    let panel = &w[weights.clone()];
                    let x = &x[at..];
                    let scale_stride = x_blocks;
                    (kernels.tile_i16)(
                        &TileI16 { x, stride, x_scales, scale_stride, rows, panel, scales, inputs },
                        sums,
                    );
                }
                _ => unreachable!("layouts were compared"),
            }
        }
    }
}

/// Passes sums through the ending into `target(row)`, each as wide as what is left of the panel.
fn finish<'a>(
    kernels: &Kernels,
    ending: Ending,
    sums: &mut [[f32; PANEL]],
    rows: Range<usize>,
    target: impl Fn(usize) -> &'a mut [f32],
) {
    match ending {
        Ending::Write => {
            for (row, sums) in rows.zip(sums) {
                let out = target(row);
                out.copy_from_slice(&sums[..out.len()]);
            }
        }
        Ending::Add => {
            for (row, sums) in rows.zip(sums) {
                let out = target(row);
                (kernels.add)(out, &sums[..out.len()]);
            }
        }
        Ending::Activate(activation) => {
            activation(sums.as_flattened_mut());
            finish(kernels, Ending::Write, sums, rows, target);
        }
        Ending::Gate(gate) => {
            // All gates side by side, so that the function sees one long run.
            let mut halves = [[[0.0; PANEL / 2]; BLOCK]; 2];
            let [gates, ups] = &mut halves;
            for (sums, (gates, ups)) in sums.iter().zip(gates.iter_mut().zip(ups.iter_mut())) {
                gates.copy_from_slice(&sums[..PANEL / 2]);
                ups.copy_from_slice(&sums[PANEL / 2..]);
            }
            let count = sums.len();
            gate(gates[..count].as_flattened(), ups[..count].as_flattened_mut());
            for (row, ups) in rows.zip(&*ups) {
                let out = target(row);
                out.copy_from_slice(&ups[..out.len()]);
            }
        }
    }
}

/// `out[r][o] = sum over i of x[r][i] * w[o][first_input + i]`, on this thread, for the outputs that `out` is
/// wide, beginning at `first_output`.
///
/// `first_output` must be a multiple of [`PANEL`], `first_input` of [`first_input_step`]. Attention uses them
/// to skip what its mask hides.
///
/// # Panics
/// If shapes or layouts differ.
pub fn matmul(
    kernels: &Kernels,
    x: &Activations,
    w: Panels<'_>,
    first_output: usize,
    first_input: usize,
    out: &mut RowsMut<'_>,
) {
    let layout = w.layout();
    assert_eq!(x.layout(), layout, "matrix product: layouts of activations and weights differ");
    let inputs = first_input + x.inputs();
    assert!(inputs <= w.inputs(), "matrix product: inputs up to {inputs} of {}", w.inputs());
    assert!(
        first_input.is_multiple_of(first_input_step(layout)),
        "matrix product: input {first_input} starts no block"
    );
    assert_eq!(x.count(), out.count(), "matrix product: rows in and out differ");
    assert!(first_output.is_multiple_of(PANEL), "matrix product: output {first_output} starts no panel");
    assert!(first_output + out.width() <= w.outputs(), "matrix product: more outputs than weights");
    let _release = Release(kernels);
    let mut sums = BlockSums([[0.0; PANEL]; BLOCK]);
    for column in (0..out.width()).step_by(PANEL) {
        let width = PANEL.min(out.width() - column);
        for rows in blocks(0..x.count(), BLOCK) {
            let sums = &mut sums.0[..rows.len()];
            sums.as_flattened_mut().fill(0.0);
            sum_panel(kernels, x, w, (first_output + column) / PANEL, first_input, rows.clone(), sums);
            for (row, sums) in rows.zip(sums) {
                out.row(row)[column..column + width].copy_from_slice(&sums[..width]);
            }
        }
    }
}

/// What a product's first input must be a multiple of: i16 weights have a scale for each [`DEPTH`] inputs.
pub fn first_input_step(layout: Layout) -> usize {
    match layout {
        Layout::I16 => DEPTH,
        Layout::F32 | Layout::Bf16 => layout.step(),
    }
}

/// A range in runs of `size`, the last one shorter.
fn blocks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(size).map(move |start| start..(start + size).min(end))
}

/// Rows in as few tiles as there can be, and those as even as can be: none has one row alone where its
/// neighbour has twelve.
fn tiles(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(most);
    (0..count).map(move |tile| rows * tile / count..rows * (tile + 1) / count)
}

/// How a product is cut into parts.
struct Cut {
    panels: usize,
    panel_runs: usize,
    rows: usize,
    row_runs: usize,
}

impl Cut {
    /// One part for one thread. For more, a few parts each, by panels as far as those go, since each panel
    /// should come from memory once; by rows beyond that.
    fn of(threads: usize, panels: usize, rows: usize) -> Self {
        const PARTS_A_THREAD: usize = 4;
        let wanted = if threads == 1 { 1 } else { threads * PARTS_A_THREAD };
        let panel_runs = wanted.min(panels);
        let row_runs =
            if panel_runs == 0 { 1 } else { wanted.div_ceil(panel_runs).min(rows.div_ceil(BLOCK)).max(1) };
        Self { panels, panel_runs, rows, row_runs }
    }

    fn parts(&self) -> usize {
        self.panel_runs * self.row_runs
    }

    /// Panels and rows of a part.
    fn part(&self, part: usize) -> (Range<usize>, Range<usize>) {
        let cut = |of: usize, runs: usize, run: usize| of * run / runs..of * (run + 1) / runs;
        (
            cut(self.panels, self.panel_runs, part / self.row_runs),
            cut(self.rows, self.row_runs, part % self.row_runs),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Cut, tiles};

    #[test]
    fn parts_cover_every_cell_once() {
        for threads in [1, 2, 3, 16] {
            for (panels, rows) in [(1, 1), (24, 11), (24, 500), (3, 97), (72, 1), (2, 1000), (5, 0), (0, 5)] {
                let cut = Cut::of(threads, panels, rows);
                let mut seen = vec![0; panels * rows];
                for part in 0..cut.parts() {
                    let (some_panels, some_rows) = cut.part(part);
                    for panel in some_panels {
                        some_rows.clone().for_each(|row| seen[panel * rows + row] += 1);
                    }
                }
                assert!(seen.iter().all(|&times| times == 1), "{threads} threads, {panels} x {rows}");
                assert!(threads > 1 || cut.parts() <= 1);
            }
        }
    }

    #[test]
    fn tiles_are_few_and_even() {
        for rows in 0..100 {
            let sizes: Vec<usize> = tiles(rows, 12).map(|tile| tile.len()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), rows);
            assert_eq!(sizes.len(), rows.div_ceil(12));
            assert!(sizes.iter().all(|&size| size <= 12 && size + 1 >= sizes[0].min(sizes[sizes.len() - 1])));
        }
    }
}
