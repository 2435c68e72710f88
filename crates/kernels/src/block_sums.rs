//! Room for what a product has in the near cache: sums of a block of rows, and a block of weights.

use std::cell::Cell;

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

/// A block of weights that are kept as floats of 16 bits, as f32.
#[repr(align(64))]
struct FloatBlock([f32; DEPTH * PANEL]);

impl FloatBlock {
    fn new() -> Self {
        Self([0.0; DEPTH * PANEL])
    }
}

/// What a part of a product works with beside its sums.
pub(crate) struct Scratch {
    pub(crate) sums: BlockSums,
    /// Made where weights are unpacked.
    weights: Option<WeightBlock>,
    /// Made where weights are widened.
    floats: Option<FloatBlock>,
}

impl Scratch {
    /// Room for a block of weights.
    pub(crate) fn weights(&mut self) -> &mut [i16; DEPTH * PANEL] {
        &mut self.weights.get_or_insert_with(WeightBlock::new).0
    }

    /// Room for a block of weights as f32.
    pub(crate) fn floats(&mut self) -> &mut [f32; DEPTH * PANEL] {
        &mut self.floats.get_or_insert_with(FloatBlock::new).0
    }
}

/// What a thread has for its products; it holds whatever the last one left.
pub(crate) struct Room {
    pub(crate) sums: BlockSums,
    pub(crate) scratch: Scratch,
}

thread_local! {
    /// Kept from one product to the next: there are thousands in a text, and zeros for each would push out of the near cache
    /// what it holds.
    static ROOM: Cell<Option<Box<Room>>> = const { Cell::new(None) };
}

impl Room {
    /// Calls `work` with this thread's room.
    pub(crate) fn with<R>(work: impl FnOnce(&mut Room) -> R) -> R {
        let mut room = ROOM.take().unwrap_or_else(|| {
            let scratch = Scratch { sums: BlockSums::new(), weights: None, floats: None };
            Box::new(Room { sums: BlockSums::new(), scratch })
        });
        let result = work(&mut room);
        ROOM.set(Some(room));
        result
    }
}
