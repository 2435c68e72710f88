//! Gates that are applied while the next block of rows is multiplied: a tile unit leaves the vector units idle.
#![allow(unsafe_code)] // a named room: a part writes cells of its own

use std::ops::Range;

use crate::block_sums::{BLOCK, BlockSums, HalfSums};
use crate::rows::{Cells, PanelCells};
use crate::table::PANEL;

/// The gate of a product, one block of rows behind it.
pub(crate) struct Gating<'a> {
    gate: fn(&[f32], &mut [f32]),
    cells: &'a Cells<'a>,
    /// Gates and ups of two blocks, by turns.
    sums: [BlockSums; 2],
    turn: usize,
    /// Rows and columns of the block that waits for its gate; no rows before the first.
    waiting: (Range<usize>, Range<usize>),
}

impl<'a> Gating<'a> {
    /// `gate(g, u)` turns up values into what is written to `cells`.
    pub(crate) fn new(gate: fn(&[f32], &mut [f32]), cells: &'a Cells<'a>) -> Self {
        Self { gate, cells, sums: [BlockSums::new(), BlockSums::new()], turn: 0, waiting: (0..0, 0..0) }
    }

    /// `multiply` sums gates and ups of a block into the cells it gets, and calls what it gets between its steps,
    /// which gates the block before, a few rows at a time. `columns` are those of the block in the result.
    ///
    /// # Safety
    /// Until this is dropped nobody else has these cells of the result.
    pub(crate) unsafe fn block(
        &mut self,
        rows: Range<usize>,
        columns: Range<usize>,
        multiply: impl FnOnce(&mut PanelCells<'_>, &mut dyn FnMut()),
    ) {
        let [first, second] = &mut self.sums;
        let (now, before) = if self.turn == 0 { (first, second) } else { (second, first) };
        let [gates, ups] = now.halves(rows.len());
        let mut waiting = Waiting::new(self.gate, self.cells, before, &self.waiting);
        multiply(&mut PanelCells::halves(gates, ups), &mut || waiting.advance(ROWS_A_STEP));
        waiting.advance(BLOCK);
        self.waiting = (rows, columns);
        self.turn ^= 1;
    }
}

impl Drop for Gating<'_> {
    /// The last block has no product after it.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            Waiting::new(self.gate, self.cells, &mut self.sums[self.turn ^ 1], &self.waiting).advance(BLOCK);
        }
    }
}

/// Rows that are gated in a step of the product: about as long as the unit takes for it.
const ROWS_A_STEP: usize = 2;

/// A block that waits for its gate.
struct Waiting<'a> {
    gate: fn(&[f32], &mut [f32]),
    cells: &'a Cells<'a>,
    halves: [HalfSums<'a>; 2],
    rows: Range<usize>,
    columns: Range<usize>,
    done: usize,
}

impl<'a> Waiting<'a> {
    fn new(
        gate: fn(&[f32], &mut [f32]),
        cells: &'a Cells<'a>,
        sums: &'a mut BlockSums,
        (rows, columns): &(Range<usize>, Range<usize>),
    ) -> Self {
        let halves = sums.halves(rows.len());
        Self { gate, cells, halves, rows: rows.clone(), columns: columns.clone(), done: 0 }
    }

    /// Gates so many more rows, or what is left of them.
    #[inline]
    fn advance(&mut self, count: usize) {
        let some = self.done..(self.done + count).min(self.rows.len());
        if some.is_empty() {
            return;
        }
        self.done = some.end;
        let [gates, ups] = &mut self.halves;
        let halves = [&mut gates[some.clone()], &mut ups[some.clone()]];
        let rows = self.rows.start + some.start..self.rows.start + some.end;
        // SAFETY: whoever gave the block promised that nobody else has its cells.
        write_gated(self.gate, halves, rows, |row| unsafe { self.cells.row(row, self.columns.clone()) });
    }
}

/// Applies the gates, and writes what the gated values have become.
#[inline]
pub(crate) fn write_gated<'a>(
    gate: fn(&[f32], &mut [f32]),
    [gates, ups]: [HalfSums<'_>; 2],
    rows: Range<usize>,
    target: impl Fn(usize) -> &'a mut [f32],
) {
    gate(gates.as_flattened(), ups.as_flattened_mut());
    for (row, ups) in rows.zip(ups) {
        match target(row) {
            // Of a known length: no call.
            out if out.len() == PANEL / 2 => out.copy_from_slice(&*ups),
            out => out.copy_from_slice(&ups[..out.len()]),
        }
    }
}
