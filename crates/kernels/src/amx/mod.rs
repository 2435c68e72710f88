//! AMX: the bf16 product on tile registers, for a table row of its own.
//!
//! A tile unit has eight registers of 16 rows of 64 bytes. Four hold sums (32 rows of activations by the 32
//! outputs of a panel), two activations, two weights: every register that is loaded is used twice.
//!
//! The intrinsics are not in stable Rust, so [`hardware`] is inline assembly. The driver here is generic over
//! [`TileUnit`], so that the tests run it on machines without AMX, over an emulation of the unit.
//!
//! **The same bits.** A step takes 32 inputs: for every output the products of even inputs are one chain of
//! fused multiply-adds from zero, those of odd inputs another, and their sum is added to what was there.
//! Neither the number of rows nor how the depth is cut into calls (at multiples of 32) is part of that.
#![allow(unsafe_code)] // a named room: calls into the tile unit

#[cfg(test)]
mod emulated;
mod hardware;
mod permission;
#[cfg(test)]
mod tests;
mod tile;
mod unit;

#[allow(unused_imports)] // until `Level` asks
pub(crate) use permission::is_available;
pub(crate) use tile::{INPUTS, OUTPUTS, TileBf16};

use hardware::Hardware;
use tile::ROWS;
use unit::{A0, A1, B0, B1, C0, C1, C2, C3, TileUnit};

/// `sums[r][o] += sum over i of x[r][i] * w[o][i]` for the tile's rows, on this thread's tile unit.
///
/// Only for where [`is_available`]. The thread keeps the unit configured; see [`release`].
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

/// The driver, over any unit.
#[inline(always)]
fn accumulate<U: TileUnit>(unit: &mut U, tile: &TileBf16<'_>, sums: &mut [[f32; OUTPUTS]]) {
    tile.check(sums.len());
    let rows = [tile.rows.min(ROWS), tile.rows.saturating_sub(ROWS)];
    if unit.configured() != rows {
        // SAFETY: the table hands out this function only where the tile unit was detected and allowed.
        unsafe { unit.configure(rows) }
    }
    // SAFETY: the unit is configured for these rows, and `check` asserted the slices.
    unsafe { if rows[1] == 0 { one(unit, tile, sums) } else { two(unit, tile, sums) } }
}

/// # Safety
/// `tile.check(sums.len())` must hold, and the unit be configured for `[tile.rows, 0]`.
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
/// `tile.check(sums.len())` must hold, and the unit be configured for `[16, tile.rows - 16]`.
#[inline(always)]
unsafe fn two<U: TileUnit>(unit: &mut U, tile: &TileBf16<'_>, sums: &mut [[f32; OUTPUTS]]) {
    let (upper, lower) = sums.split_at_mut(ROWS);
    let (x_upper, x_lower) = (tile.x, &tile.x[ROWS * tile.stride..]);
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
