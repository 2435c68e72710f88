//! The bf16 product of a panel, over any tile unit and over the machine's own.
#![allow(unsafe_code)] // a named room: calls into the tile unit

use super::hardware::Hardware;
use super::unit::{A0, A1, B0, B1, C0, C1, C2, C3, TileUnit};
use crate::rows::{PanelCells, TileCells};
use crate::table::{PANEL as OUTPUTS, Sums};
use crate::tile_bf16::{PanelBf16, STEP as INPUTS, TileBf16};

/// Rows a register holds.
const HEIGHT: usize = 16;
/// Rows a tile has at most: two registers.
pub(crate) const ROWS: usize = 2 * HEIGHT;
/// Inputs that tiles are summed over before the next rows come: a block of the panel (18 KiB) and the rows' values
/// beside it stay in the near cache. Deeper blocks do not; with shallower ones sums go to and fro more often.
const DEPTH: usize = 288;
/// Weights in a cache line.
const LINE: usize = 32;

/// The sums of a panel and some rows into `cells`, on this thread's tile unit. `sums` is scratch, a row each.
///
/// Only for where [`super::is_available`]. The thread keeps the unit configured; see [`release`].
///
/// # Panics
/// If the panel, `sums` or `cells` is not of its shape.
pub(crate) fn panel_bf16(
    panel: &PanelBf16<'_>,
    sums: &mut Sums,
    cells: &mut PanelCells<'_>,
    meanwhile: &mut dyn FnMut(),
) {
    sum_panel(&mut Hardware, panel, sums, cells, meanwhile);
}

/// Gives the tile unit back, at the end of a thread's part of a product.
///
/// A core that holds tiles cannot sleep deeply, and a switch of threads must save 8 KB more. Other code on
/// this thread may also want the unit configured otherwise. Does nothing where nothing was configured.
pub(crate) fn release() {
    if Hardware.configured() != [0, 0] {
        // SAFETY: the unit was configured on this thread, so the machine has it.
        unsafe { Hardware.release() }
    }
}

/// Multiply-adds of a step of [`peak`].
pub(crate) const PEAK_MACS: u64 = (4 * HEIGHT * 16 * INPUTS) as u64;

/// Products of registers that hold zeros: what the unit reaches without memory.
pub(crate) fn peak(steps: u64) {
    let mut unit = Hardware;
    // SAFETY: the table hands out this function only where the tile unit was detected and allowed; the
    // registers are configured before they are used.
    unsafe {
        unit.configure([HEIGHT; 2]);
        for _ in 0..steps {
            unit.dot::<C0, A0, B0>();
            unit.dot::<C1, A0, B1>();
            unit.dot::<C2, A1, B0>();
            unit.dot::<C3, A1, B1>();
        }
        unit.release();
    }
}

/// [`panel_bf16`] on any unit.
#[inline(always)]
pub(super) fn sum_panel<U: TileUnit>(
    unit: &mut U,
    panel: &PanelBf16<'_>,
    sums: &mut Sums,
    cells: &mut PanelCells<'_>,
    meanwhile: &mut dyn FnMut(),
) {
    panel.check(sums, cells.rows());
    let tiles = panel.rows.div_ceil(ROWS);
    // Even, so that the unit is configured once, or twice where the last is lower.
    let height = panel.rows.div_ceil(tiles);
    let steps = panel.inputs / INPUTS;
    let blocks = panel.inputs.div_ceil(DEPTH).max(1);
    let depth = steps.div_ceil(blocks);
    let lines = panel.next.len().div_ceil(LINE);
    let lines_a_step = lines.div_ceil((tiles * steps).max(1));
    let mut between = Between { weights: panel.next, lines_a_step, meanwhile };
    let near = cells.are_near();
    let mut scratch = PanelCells::whole(sums);
    for block in 0..blocks {
        let inputs = (block * depth).min(steps) * INPUTS..((block + 1) * depth).min(steps) * INPUTS;
        for first in (0..panel.rows).step_by(height) {
            let rows = first..(first + height).min(panel.rows);
            let tile = panel.tile(rows.clone(), inputs.clone());
            let (begin, mut to) = match (block, near || block + 1 == blocks) {
                (0, true) => (Begin::Zero, cells.tile(rows)),
                (0, false) => (Begin::Zero, scratch.tile(rows)),
                (_, true) if near => (Begin::Here, cells.tile(rows)),
                (_, true) => (Begin::With(scratch.tile(rows.clone())), cells.tile(rows)),
                (_, false) => (Begin::Here, scratch.tile(rows)),
            };
            sum_tile(unit, &tile, begin, &mut to, &mut between);
        }
    }
}

/// What sums are before a tile.
pub(super) enum Begin<'a> {
    Zero,
    /// What the cells hold that they will go to.
    Here,
    /// What these hold.
    With(TileCells<'a>),
}

impl Begin<'_> {
    /// Both halves of up to 16 rows of sums, from `row` on.
    ///
    /// # Safety
    /// The unit must be configured for so many rows in both registers, and the cells have them.
    #[inline(always)]
    unsafe fn load<U: TileUnit, const LEFT: usize, const RIGHT: usize>(
        &self,
        unit: &mut U,
        here: &TileCells<'_>,
        row: usize,
    ) {
        let from = match self {
            // SAFETY: as the caller says.
            Begin::Zero => unsafe {
                unit.zero::<LEFT>();
                return unit.zero::<RIGHT>();
            },
            Begin::Here => here,
            Begin::With(cells) => cells,
        };
        let [left, right] = from.halves.map(|half| half.wrapping_add(row * from.stride));
        // SAFETY: as the caller says.
        unsafe {
            unit.load_sums::<LEFT>(left, from.stride);
            unit.load_sums::<RIGHT>(right, from.stride);
        }
    }
}

/// Both halves of up to 16 rows of sums go to cells, from `row` on.
///
/// # Safety
/// As in [`Begin::load`].
#[inline(always)]
unsafe fn store<U: TileUnit, const LEFT: usize, const RIGHT: usize>(
    unit: &mut U,
    to: &mut TileCells<'_>,
    row: usize,
) {
    let [left, right] = to.halves.map(|half| half.wrapping_add(row * to.stride));
    // SAFETY: as the caller says.
    unsafe {
        unit.store_sums::<LEFT>(left, to.stride);
        unit.store_sums::<RIGHT>(right, to.stride);
    }
}

/// What is done between steps, while the unit multiplies.
pub(super) struct Between<'a> {
    /// Weights to ask for, a few cache lines a step.
    pub(super) weights: &'a [u16],
    pub(super) lines_a_step: usize,
    /// Work for the rest of the core, a little a step.
    pub(super) meanwhile: &'a mut dyn FnMut(),
}

impl Between<'_> {
    #[inline(always)]
    fn step<U: TileUnit>(&mut self, unit: &U) {
        let (now, later) = self.weights.split_at((self.lines_a_step * LINE).min(self.weights.len()));
        self.weights = later;
        for line in now.chunks(LINE) {
            unit.ask_for(line);
        }
        (self.meanwhile)();
    }
}

/// One tile: `begin`, plus the tile's products, into `to`.
#[inline(always)]
pub(super) fn sum_tile<U: TileUnit>(
    unit: &mut U,
    tile: &TileBf16<'_>,
    begin: Begin<'_>,
    to: &mut TileCells<'_>,
    between: &mut Between<'_>,
) {
    tile.check(ROWS, to.rows);
    if let Begin::With(cells) = &begin {
        assert!(tile.rows <= cells.rows, "a tile of {} rows from {} sums", tile.rows, cells.rows);
    }
    let rows = [tile.rows.min(HEIGHT), tile.rows.saturating_sub(HEIGHT)];
    if unit.configured() != rows {
        // SAFETY: the table hands out this function only where the tile unit was detected and allowed.
        unsafe { unit.configure(rows) }
    }
    // SAFETY: the unit is configured for these rows, and the slices and cells were asserted to have them.
    unsafe {
        if rows[1] == 0 { one(unit, tile, begin, to, between) } else { two(unit, tile, begin, to, between) }
    }
}

/// # Safety
/// `tile.check` must hold, the cells have its rows, and the unit be configured for `[tile.rows, 0]`.
#[inline(always)]
unsafe fn one<U: TileUnit>(
    unit: &mut U,
    tile: &TileBf16<'_>,
    begin: Begin<'_>,
    to: &mut TileCells<'_>,
    between: &mut Between<'_>,
) {
    // SAFETY: the cells have the rows configured for C0 and C1; in every step there are 32 more inputs in each
    // row of `x`, and `step` holds 16 pairs of inputs of 32 outputs.
    unsafe {
        begin.load::<U, C0, C1>(unit, to, 0);
        for (index, step) in tile.steps().enumerate() {
            unit.load_pairs::<B0>(step, 2 * OUTPUTS);
            unit.load_pairs::<A0>(&tile.x[index * INPUTS..], tile.stride);
            unit.dot::<C0, A0, B0>();
            unit.load_pairs::<B1>(&step[OUTPUTS..], 2 * OUTPUTS);
            unit.dot::<C1, A0, B1>();
            between.step(unit);
        }
        store::<U, C0, C1>(unit, to, 0);
    }
}

/// # Safety
/// `tile.check` must hold, the cells have its rows, and the unit be configured for `[16, tile.rows - 16]`.
#[inline(always)]
unsafe fn two<U: TileUnit>(
    unit: &mut U,
    tile: &TileBf16<'_>,
    begin: Begin<'_>,
    to: &mut TileCells<'_>,
    between: &mut Between<'_>,
) {
    let (x_upper, x_lower) = (tile.x, &tile.x[HEIGHT * tile.stride..]);
    // SAFETY: as in `one`; the rows from 16 on are those configured for C2, C3 and A1.
    unsafe {
        begin.load::<U, C0, C1>(unit, to, 0);
        begin.load::<U, C2, C3>(unit, to, HEIGHT);
        for (index, step) in tile.steps().enumerate() {
            unit.load_pairs::<B0>(step, 2 * OUTPUTS);
            unit.load_pairs::<A0>(&x_upper[index * INPUTS..], tile.stride);
            unit.dot::<C0, A0, B0>();
            unit.load_pairs::<B1>(&step[OUTPUTS..], 2 * OUTPUTS);
            unit.dot::<C1, A0, B1>();
            unit.load_pairs::<A1>(&x_lower[index * INPUTS..], tile.stride);
            unit.dot::<C2, A1, B0>();
            unit.dot::<C3, A1, B1>();
            between.step(unit);
        }
        store::<U, C0, C1>(unit, to, 0);
        store::<U, C2, C3>(unit, to, HEIGHT);
    }
}

/// A tile on this thread's own unit, added to what `sums` hold.
#[cfg(test)]
pub(super) fn tile_bf16(tile: &TileBf16<'_>, sums: &mut Sums) {
    accumulate(&mut Hardware, tile, sums);
}

/// As [`tile_bf16`], on any unit.
#[cfg(test)]
pub(super) fn accumulate<U: TileUnit>(unit: &mut U, tile: &TileBf16<'_>, sums: &mut Sums) {
    tile.check(ROWS, sums.len());
    let mut nothing = Between { weights: &[], lines_a_step: 0, meanwhile: &mut || {} };
    sum_tile(unit, tile, Begin::Here, &mut PanelCells::whole(sums).tile(0..tile.rows), &mut nothing);
}
