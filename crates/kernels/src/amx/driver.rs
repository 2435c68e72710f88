//! The bf16 tile, over any tile unit and over the machine's own.
#![allow(unsafe_code)] // a named room: calls into the tile unit

use super::hardware::Hardware;
use crate::table::PANEL as OUTPUTS;
use crate::tile_bf16::{STEP as INPUTS, TileBf16};

/// Rows a register holds.
const HEIGHT: usize = 16;
/// Rows a tile has at most: two registers.
pub(crate) const ROWS: usize = 2 * HEIGHT;

use super::unit::{A0, A1, B0, B1, C0, C1, C2, C3, TileUnit};

/// `sums[r][o] += sum over i of x[r][i] * w[o][i]` for the tile's rows, on this thread's tile unit.
///
/// Only for where [`super::is_available`]. The thread keeps the unit configured; see [`release`].
///
/// # Panics
/// If the tile or `sums` is not of its shape.
pub(crate) fn tile_bf16(tile: &TileBf16<'_>, sums: &mut [[f32; OUTPUTS]]) {
    accumulate(&mut Hardware, tile, sums);
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

/// [`tile_bf16`] on any unit.
#[inline(always)]
pub(super) fn accumulate<U: TileUnit>(unit: &mut U, tile: &TileBf16<'_>, sums: &mut [[f32; OUTPUTS]]) {
    tile.check(ROWS, sums);
    let rows = [tile.rows.min(HEIGHT), tile.rows.saturating_sub(HEIGHT)];
    if unit.configured() != rows {
        // SAFETY: the table hands out this function only where the tile unit was detected and allowed.
        unsafe { unit.configure(rows) }
    }
    // SAFETY: the unit is configured for these rows, and `check` asserted the slices.
    unsafe { if rows[1] == 0 { one(unit, tile, sums) } else { two(unit, tile, sums) } }
}

/// # Safety
/// `tile.check` must hold, and the unit be configured for `[tile.rows, 0]`.
#[inline(always)]
unsafe fn one<U: TileUnit>(unit: &mut U, tile: &TileBf16<'_>, sums: &mut [[f32; OUTPUTS]]) {
    // SAFETY: `sums` has the rows configured for C0 and C1; in every step there are 32 more inputs in each
    // row of `x`, and `step` holds 16 pairs of inputs of 32 outputs.
    unsafe {
        unit.load_sums::<C0, 0>(sums);
        unit.load_sums::<C1, 16>(sums);
        for (index, step) in tile.steps().enumerate() {
            unit.load_pairs::<B0>(step, 2 * OUTPUTS);
            unit.load_pairs::<A0>(&tile.x[index * INPUTS..], tile.stride);
            unit.dot::<C0, A0, B0>();
            unit.load_pairs::<B1>(&step[OUTPUTS..], 2 * OUTPUTS);
            unit.dot::<C1, A0, B1>();
        }
        unit.store_sums::<C0, 0>(sums);
        unit.store_sums::<C1, 16>(sums);
    }
}

/// # Safety
/// `tile.check` must hold, and the unit be configured for `[16, tile.rows - 16]`.
#[inline(always)]
unsafe fn two<U: TileUnit>(unit: &mut U, tile: &TileBf16<'_>, sums: &mut [[f32; OUTPUTS]]) {
    let (upper, lower) = sums.split_at_mut(HEIGHT);
    let (x_upper, x_lower) = (tile.x, &tile.x[HEIGHT * tile.stride..]);
    // SAFETY: as in `one`; the rows from 16 on are those configured for C2, C3 and A1.
    unsafe {
        unit.load_sums::<C0, 0>(upper);
        unit.load_sums::<C1, 16>(upper);
        unit.load_sums::<C2, 0>(lower);
        unit.load_sums::<C3, 16>(lower);
        for (index, step) in tile.steps().enumerate() {
            unit.load_pairs::<B0>(step, 2 * OUTPUTS);
            unit.load_pairs::<A0>(&x_upper[index * INPUTS..], tile.stride);
            unit.dot::<C0, A0, B0>();
            unit.load_pairs::<B1>(&step[OUTPUTS..], 2 * OUTPUTS);
            unit.dot::<C1, A0, B1>();
            unit.load_pairs::<A1>(&x_lower[index * INPUTS..], tile.stride);
            unit.dot::<C2, A1, B0>();
            unit.dot::<C3, A1, B1>();
        }
        unit.store_sums::<C0, 0>(upper);
        unit.store_sums::<C1, 16>(upper);
        unit.store_sums::<C2, 0>(lower);
        unit.store_sums::<C3, 16>(lower);
    }
}
