//! What the assembly of an i16 tile reads of it.

use std::mem::{MaybeUninit, offset_of};

use crate::bytes::HIGH;
use crate::quantize::BlockScale;
use crate::table::{PANEL, TileI16};

/// Inputs of a turn of the loop.
pub(crate) const FOUR: usize = 4;

/// A tile by the distances that the assembly names; `S` and `C` are a panel of vectors.
#[repr(C)]
pub(crate) struct Fields<S, C> {
    /// At 0: activations, and bytes from a row to the next.
    x: *const i16,
    stride: usize,
    /// At 16: their scales, and bytes from a row's to the next.
    x_scales: *const BlockScale,
    scale_stride: usize,
    /// At 32: turns of the loop.
    turns: usize,
    /// At 40: two inputs after the last four.
    two_more: bool,
    /// At 44: of each word of weights that are bytes, the high one.
    high: u32,
    /// At 48: bytes that are prefetched in a turn. At 56: where they begin.
    ahead_a_turn: usize,
    ahead: *const i16,
    /// At 64: the outputs' scales, and at 192 what their crossed sums begin with.
    scales: S,
    crossed: C,
    /// At 320: where the assembly keeps a run's offsets.
    offsets: MaybeUninit<C>,
}

impl<S, C> Fields<S, C> {
    /// The distances that the assembly names.
    const CHECKED: () = {
        assert!(offset_of!(Self, x) == 0 && offset_of!(Self, stride) == 8);
        assert!(offset_of!(Self, x_scales) == 16 && offset_of!(Self, scale_stride) == 24);
        assert!(offset_of!(Self, turns) == 32 && offset_of!(Self, two_more) == 40);
        assert!(offset_of!(Self, high) == 44 && offset_of!(Self, ahead_a_turn) == 48);
        assert!(offset_of!(Self, ahead) == 56);
        assert!(offset_of!(Self, scales) == 64 && offset_of!(Self, crossed) == 192);
        assert!(offset_of!(Self, offsets) == 320);
        assert!(size_of::<S>() == 128 && size_of::<C>() == 128 && size_of::<[f32; PANEL]>() == 128);
        assert!(offset_of!(BlockScale, scale) == 0 && offset_of!(BlockScale, crossed) == 4);
        assert!(size_of::<BlockScale>() == 8);
    };

    /// Of a tile, whose outputs have these scales and crossed products.
    // Always inline: a function by itself would not be compiled for the level.
    #[inline(always)]
    pub(crate) fn of(tile: &TileI16<'_>, scales: S, crossed: C) -> Self {
        const { Self::CHECKED };
        Self {
            x: tile.x.as_ptr(),
            // Of one row it may be anything.
            stride: tile.stride.wrapping_mul(size_of::<i16>()),
            x_scales: tile.x_scales.as_ptr(),
            scale_stride: tile.scale_stride.wrapping_mul(size_of::<BlockScale>()),
            turns: tile.inputs / FOUR,
            two_more: !tile.inputs.is_multiple_of(FOUR),
            high: u32::from(HIGH as u16) << 16 | u32::from(HIGH as u16),
            ahead_a_turn: size_of_val(tile.ahead).checked_div(tile.inputs / FOUR).unwrap_or(0),
            ahead: tile.ahead.as_ptr(),
            scales,
            crossed,
            offsets: MaybeUninit::uninit(),
        }
    }
}
