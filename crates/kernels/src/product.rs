//! The matrix products: rows of activations times packed weights, cut into tiles.
//!
//! A part of a product is some panels for some rows. For every panel and block of rows, the depth is walked
//! in blocks of [`DEPTH`] inputs, so that a block of the panel stays in the near cache while the rows' tiles
//! pass by it, and the sums stay in a small buffer until the ending has seen them. For bf16 the level walks the
//! depth itself, and where the ending only writes, the sums go straight into the result.
#![allow(unsafe_code)] // a named room: parts write disjoint cells of one result

use std::ops::Range;

use threads::Team;

use crate::activations::Activations;
use crate::block_sums::{BLOCK, BlockSums, Room, Scratch};
use crate::cuts::{Cut, ahead_of, blocks, runs, tiles};
use crate::gating::{Gating, write_gated};
use crate::layout::Layout;
use crate::panels::Panels;
use crate::rows::{PanelCells, RowsMut, prefetch};
use crate::store::Values;
use crate::table::{DEPTH, Floats, Kernels, PANEL, TileF32, TileI16};
use crate::tile_bf16::PanelBf16;
use crate::weights::{Kept, Order, Weights};

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
    let multiply = |part: usize, room: &mut Room| {
        let (some_panels, rows) = cut.part(part);
        let _release = Release(kernels);
        let Room { sums, scratch } = room;
        let mut gating = None;
        for (rows, panel) in runs(w.layout(), rows)
            .flat_map(|rows| some_panels.clone().map(move |panel| (rows.clone(), panel)))
        {
            let block = block_rows(kernels, w.layout(), rows.len());
            let column = panel * each;
            let width = each.min(outputs.len() - column);
            for block_rows in blocks(rows.clone(), block) {
                let of = PanelOf {
                    panel: panels.start + panel,
                    last: panel + 1 == some_panels.end,
                    first_input: 0,
                    rows: block_rows.clone(),
                    all_rows: rows.clone(),
                };
                // SAFETY: a part has its rows and panels to itself, and a panel its columns.
                let target = |row: usize| unsafe { cells.row(row, column..column + width) };
                if w.layout() == Layout::Bf16 && w.bias.is_empty() {
                    match ending {
                        Ending::Write if width == PANEL => {
                            // SAFETY: as above.
                            let mut cells = unsafe { cells.panel(block_rows, column) };
                            sum_bf16(kernels, x, matrix, &of, &mut scratch.sums, &mut cells, &mut || {});
                            continue;
                        }
                        Ending::Gate(gate) => {
                            let gating = gating.get_or_insert_with(|| Gating::new(gate, &cells));
                            let multiply = |cells: &mut PanelCells<'_>, meanwhile: &mut dyn FnMut()| {
                                sum_bf16(kernels, x, matrix, &of, &mut scratch.sums, cells, meanwhile);
                            };
                            // SAFETY: a part has its rows and panels to itself, and `gating` ends with it.
                            unsafe { gating.block(block_rows, column..column + width, multiply) };
                            continue;
                        }
                        _ => {}
                    }
                }
                sum_panel(kernels, x, matrix, &of, scratch, sums, |row| prefetch(target(row)));
                let sums = &mut sums.0[..block_rows.len()];
                if !w.bias.is_empty() {
                    (kernels.add_to_rows)(sums, &w.bias[of.panel * PANEL..][..PANEL]);
                }
                finish(kernels, ending, sums, &mut scratch.sums, block_rows, target);
            }
        }
    };
    team.run(cut.parts(), &|part| Room::with(|room| multiply(part, room)));
}

/// Rows of a block: for tile units, whose tiles are even, some of these.
fn block_rows(kernels: &Kernels, layout: Layout, rows: usize) -> usize {
    if layout != Layout::Bf16 {
        return BLOCK;
    }
    let tiles = rows.div_ceil(kernels.bf16_rows).max(1);
    rows.div_ceil(tiles).max(1) * (BLOCK / kernels.bf16_rows)
}

/// Which panel for which rows.
struct PanelOf {
    panel: usize,
    /// Whether no other follows for these rows on this thread.
    last: bool,
    first_input: usize,
    rows: Range<usize>,
    /// All rows that the panel meets, block by block.
    all_rows: Range<usize>,
}

/// Gives a tile unit back when a thread's part is over, also by a panic.
struct Release<'a>(&'a Kernels);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        (self.0.release)();
    }
}

/// The sums of one panel and some rows, over the inputs from `first_input` on, as many as the rows have. `soon` is
/// called for each row some time before its sums are written, if there is such a time.
fn sum_panel(
    kernels: &Kernels,
    x: &Activations,
    w: Panels<'_>,
    of: &PanelOf,
    scratch: &mut Scratch,
    sums: &mut BlockSums,
    soon: impl Fn(usize),
) {
    let sums = &mut sums.0[..of.rows.len()];
    let layout = w.layout();
    if layout == Layout::Bf16 {
        return sum_bf16(kernels, x, w, of, &mut scratch.sums, &mut PanelCells::whole(sums), &mut || {});
    }
    sums.as_flattened_mut().fill(0.0);
    let (stride, x_blocks) = (x.stride(), x.blocks());
    let (panel_values, panel_scales) = Panels::sizes(layout, w.kept, PANEL, w.inputs());
    let grain = w.kept.and_then(Kept::grain);
    let first_scale = of.panel * panel_scales + of.first_input / DEPTH * PANEL;
    let padded = x.inputs().next_multiple_of(layout.step());
    let filled = x.filled();
    let count = of.rows.len();
    for (block, all) in blocks(0..padded, DEPTH).enumerate() {
        // Bytes are unpacked in whole runs, so what could be skipped of them is not.
        let inputs =
            if grain.is_some() { all.clone() } else { all.start.max(filled.start)..all.end.min(filled.end) };
        if inputs.is_empty() {
            continue;
        }
        let is_whole = inputs == all;
        let before = |input: usize| grain.map_or(input * PANEL, |grain| grain.words(input));
        let start = of.panel * panel_values;
        let weights =
            start + before(of.first_input + inputs.start)..start + before(of.first_input + inputs.end);
        let most_rows = if layout == Layout::I16 && is_whole {
            (kernels.i16_rows)(count, grain.is_some())
        } else {
            kernels.tile_rows
        };
        // With more rows weights that are bytes are unpacked once for all tiles: by the first, or before it.
        let is_left = grain.is_some() && count > kernels.byte_rows;
        let tile_count = count.div_ceil(most_rows);
        for (index, tile) in tiles(count, most_rows).enumerate() {
            let first = of.rows.start + tile.start;
            if inputs.end == padded && tile.len() < count {
                (first..first + tile.len()).for_each(&soon);
            }
            let at = first * stride + inputs.start;
            let is_first = index == 0;
            let (rows, inputs, sums) = (tile.len(), inputs.len(), &mut sums[tile]);
            match (x.values(), w.values) {
                (Values::F32(x), Values::F32(_) | Values::Float16(_)) => {
                    let panel = match (w.values, w.kept) {
                        (Values::F32(values), _) => Floats::F32(&values[weights.clone()]),
                        (Values::Float16(bits), Some(Kept::Float16(kind))) => {
                            Floats::Float16(kind, &bits[weights.clone()])
                        }
                        _ => unreachable!("bits of a kind"),
                    };
                    let tile = TileF32 { x: &x[at..], stride, rows, panel, inputs };
                    let meet_again = tile_count > 1 && matches!(panel, Floats::Float16(..));
                    match kernels.tile_widening {
                        Some(tile_widening) if meet_again && is_first => {
                            tile_widening(&tile, sums, &mut scratch.floats()[..inputs * PANEL]);
                        }
                        Some(_) if meet_again => {
                            let panel = Floats::Near(&scratch.floats()[..inputs * PANEL]);
                            (kernels.tile_f32)(&TileF32 { panel, ..tile }, sums);
                        }
                        _ => (kernels.tile_f32)(&tile, sums),
                    }
                }
                (Values::I16(x, x_scales), Values::I16(values, scales)) => {
                    let scales = scales[first_scale + block * PANEL..].first_chunk();
                    let Some(scales) = scales else { unreachable!("a panel's scales") };
                    let shares_ahead = kernels.shares_ahead && grain.is_some();
                    let ahead = ahead_of(&weights, index, tile_count, shares_ahead);
                    let ahead = ahead.start.min(values.len())..ahead.end.min(values.len());
                    let tile = TileI16 {
                        x: &x[at..],
                        stride,
                        x_scales: &x_scales[first * x_blocks + block..],
                        scale_stride: x_blocks,
                        rows,
                        panel: &values[weights.clone()],
                        grain,
                        scales,
                        inputs,
                        is_whole,
                        is_alone: rows == count,
                        ahead: &values[ahead],
                    };
                    if grain.is_none() {
                        (kernels.tile_i16)(&tile, sums);
                    } else if is_first {
                        let room =
                            if is_left { &mut scratch.weights()[..inputs * PANEL] } else { &mut [][..] };
                        (kernels.tile_bytes)(&tile, sums, room);
                    } else {
                        let panel = &scratch.weights()[..inputs * PANEL];
                        (kernels.tile_left)(&TileI16 { panel, grain: None, ..tile }, sums);
                    }
                }
                _ => unreachable!("layouts were compared"),
            }
        }
    }
}

/// As [`sum_panel`], for bf16: the level walks the depth itself, and writes where it is told.
fn sum_bf16(
    kernels: &Kernels,
    x: &Activations,
    w: Panels<'_>,
    of: &PanelOf,
    scratch: &mut BlockSums,
    cells: &mut PanelCells<'_>,
    meanwhile: &mut dyn FnMut(),
) {
    let (Values::Bf16(values), Values::Bf16(w_values)) = (x.values(), w.values) else {
        unreachable!("layouts were compared")
    };
    let inputs = x.inputs().next_multiple_of(Layout::Bf16.step());
    let (panel_values, _) = Panels::sizes(Layout::Bf16, None, PANEL, w.inputs());
    let weights = |panel: usize| &w_values[panel * panel_values + of.first_input * PANEL..][..inputs * PANEL];
    // Each block of rows asks for its share of the panel that follows.
    let next = if of.last { &[] } else { weights(of.panel + 1) };
    let share = |row: usize| next.len() / PANEL * (row - of.all_rows.start) / of.all_rows.len() * PANEL;
    let panel = PanelBf16 {
        x: &values[of.rows.start * x.stride()..],
        stride: x.stride(),
        rows: of.rows.len(),
        panel: weights(of.panel),
        inputs,
        next: &next[share(of.rows.start)..share(of.rows.end)],
    };
    (kernels.panel_bf16)(&panel, &mut scratch.0, cells, meanwhile);
}

/// Passes sums through the ending into `target(row)`, each as wide as what is left of the panel.
fn finish<'a>(
    kernels: &Kernels,
    ending: Ending,
    sums: &mut [[f32; PANEL]],
    scratch: &mut BlockSums,
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
            finish(kernels, Ending::Write, sums, scratch, rows, target);
        }
        Ending::Gate(gate) => {
            // All gates side by side, so that the function sees one long run.
            let [gates, ups] = scratch.halves(sums.len());
            for (sums, (gates, ups)) in sums.iter().zip(gates.iter_mut().zip(ups.iter_mut())) {
                gates.copy_from_slice(&sums[..PANEL / 2]);
                ups.copy_from_slice(&sums[PANEL / 2..]);
            }
            write_gated(gate, [gates, ups], rows, target);
        }
    }
}

/// `out[r][o] = sum over i of x[r][i] * w[o][first_input + i]`, on this thread, for the outputs that `out` is
/// wide, beginning at `first_output`.
///
/// `first_output` must be a multiple of [`PANEL`], `first_input` of [`first_input_step`]. Attention uses them
/// to skip what its mask hides. Inputs of i16 end where a block of [`DEPTH`] does, or the weights do.
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
    // What stands beside a block of integers is of all of it.
    assert!(
        layout != Layout::I16 || inputs == w.inputs() || inputs.is_multiple_of(DEPTH),
        "matrix product: input {inputs} ends inside a block of {DEPTH}"
    );
    assert_eq!(x.count(), out.count(), "matrix product: rows in and out differ");
    assert!(first_output.is_multiple_of(PANEL), "matrix product: output {first_output} starts no panel");
    assert!(first_output + out.width() <= w.outputs(), "matrix product: more outputs than weights");
    Room::with(|room| matmul_in(kernels, x, w, first_output, first_input, out, room));
}

/// As [`matmul`], for what it asserted.
fn matmul_in(
    kernels: &Kernels,
    x: &Activations,
    w: Panels<'_>,
    first_output: usize,
    first_input: usize,
    out: &mut RowsMut<'_>,
    Room { sums, scratch }: &mut Room,
) {
    let layout = w.layout();
    let _release = Release(kernels);
    let (count, out_width) = (x.count(), out.width());
    let block = block_rows(kernels, layout, count);
    let cells = out.cells();
    for column in (0..out_width).step_by(PANEL) {
        let width = PANEL.min(out_width - column);
        for rows in blocks(0..count, block) {
            let of = PanelOf {
                panel: (first_output + column) / PANEL,
                // The panels are in a near cache already: they were packed a moment ago.
                last: true,
                first_input,
                rows: rows.clone(),
                all_rows: 0..count,
            };
            if layout == Layout::Bf16 && width == PANEL {
                // SAFETY: nobody else has any of the result.
                let mut cells = unsafe { cells.panel(rows, column) };
                sum_bf16(kernels, x, w, &of, &mut scratch.sums, &mut cells, &mut || {});
                continue;
            }
            sum_panel(kernels, x, w, &of, scratch, sums, |_| {});
            for (row, sums) in rows.zip(&sums.0) {
                // SAFETY: as above.
                let out = unsafe { cells.row(row, column..column + width) };
                out.copy_from_slice(&sums[..width]);
            }
        }
    }
}

/// What a product's first input must be a multiple of: i16 weights have a scale for each [`DEPTH`] inputs, and f32 sums
/// a chain, which would have other bits if it began elsewhere.
pub fn first_input_step(layout: Layout) -> usize {
    match layout {
        Layout::F32 | Layout::I16 => DEPTH,
        Layout::Bf16 => layout.step(),
    }
}
