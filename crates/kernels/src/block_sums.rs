//! Room for the sums of a block of rows, between a product and its ending.

use crate::table::PANEL;

/// Rows whose sums a part holds at a time: whole tiles at every level, and 12 KiB of sums.
pub(crate) const BLOCK: usize = 96;

/// Sums of a panel and up to [`BLOCK`] rows; begins a cache line, as the panels do.
#[repr(align(64))]
pub(crate) struct BlockSums(pub(crate) [[f32; PANEL]; BLOCK]);

/// Half a panel of sums, row by row.
pub(crate) type HalfSums<'a> = &'a mut [[f32; PANEL / 2]];

impl BlockSums {
    pub(crate) fn new() -> Self {
        Self([[0.0; PANEL]; BLOCK])
    }

    /// The same room for two halves of so many rows, each by itself.
    #[inline]
    pub(crate) fn halves(&mut self, rows: usize) -> [HalfSums<'_>; 2] {
        let (left, right) = self.0.as_flattened_mut().as_chunks_mut().0.split_at_mut(BLOCK);
        [&mut left[..rows], &mut right[..rows]]
    }
}
