//! Room for what a product has in the near cache: sums of a block of rows, and a block of weights.

use crate::table::{DEPTH, PANEL};

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

/// A block of weights that are kept as bytes, as pairs; begins a cache line.
#[repr(align(64))]
struct WeightBlock([i16; DEPTH * PANEL]);

impl WeightBlock {
    fn new() -> Self {
        Self([0; DEPTH * PANEL])
    }
}

/// What a part of a product works with beside its sums.
pub(crate) struct Scratch {
    pub(crate) sums: BlockSums,
    /// Made where weights are unpacked.
    weights: Option<WeightBlock>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { sums: BlockSums::new(), weights: None }
    }

    /// Room for a block of weights.
    pub(crate) fn weights(&mut self) -> &mut [i16; DEPTH * PANEL] {
        &mut self.weights.get_or_insert_with(WeightBlock::new).0
    }
}
