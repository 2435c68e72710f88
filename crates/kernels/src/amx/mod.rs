//! AMX: the bf16 product on tile registers, for a table row of its own.
//!
//! A tile unit has eight registers of 16 rows of 64 bytes. Four hold sums (32 rows of activations by the 32
//! outputs of a panel), two activations, two weights: every register that is loaded is used twice.
//!
//! The intrinsics are not in stable Rust, so [`hardware`] is inline assembly. The driver is generic over
//! [`unit::TileUnit`], so that the tests run it on machines without AMX, over an emulation of the unit.
//!
//! **The same bits.** A step takes 32 inputs: for every output the products of even inputs are one chain of
//! fused multiply-adds from zero, those of odd inputs another, and their sum is added to what was there.
//! Neither the number of rows nor how the depth is cut into calls (at multiples of 32) is part of that.

mod driver;
#[cfg(test)]
mod emulated;
mod hardware;
mod permission;
#[cfg(test)]
mod tests;
mod unit;

pub(crate) use {
    driver::{PEAK_MACS, ROWS, panel_bf16, peak, release},
    permission::{is_available, is_built_in},
};
