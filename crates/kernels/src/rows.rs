//! Rows of `f32` with a stride: a whole matrix, or a few columns of a wider one (one head of many).
#![allow(unsafe_code)] // a named room: rows that several threads write to, each its own cells

use std::marker::PhantomData;
use std::ops::Range;

use crate::table::PANEL;

/// `count` rows of `width` values, each `stride` after the one before.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    count: usize,
    width: usize,
    stride: usize,
}

fn check(len: usize, count: usize, width: usize, stride: usize) {
    assert!(width <= stride, "rows of {width} values overlap at a stride of {stride}");
    // Checked: a sum that wraps would pass, and the tiles trust these rows.
    let needed = match count.checked_sub(1) {
        None => Some(0),
        Some(before) => before.checked_mul(stride).and_then(|start| start.checked_add(width)),
    };
    assert!(
        needed.is_some_and(|needed| needed <= len),
        "{count} rows of {width} at stride {stride} reach past {len} values"
    );
}

impl<'a> Rows<'a> {
    /// Rows laid one after the other.
    pub fn new(data: &'a [f32], width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Self { data, count: data.len() / width, width, stride: width }
    }

    /// Rows inside wider ones. `data` starts at the first value of the first row.
    pub fn strided(data: &'a [f32], count: usize, width: usize, stride: usize) -> Self {
        check(data.len(), count, width, stride);
        Self { data, count, width, stride }
    }

    /// Some columns of some of them.
    pub(crate) fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.count && columns.end <= self.width, "no such rows");
        let data = &self.data[rows.start * self.stride + columns.start..];
        Self::strided(data, rows.len(), columns.len(), self.stride)
    }

    /// How many rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Values a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One row.
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.count, "row {index} of {}", self.count);
        &self.data[index * self.stride..][..self.width]
    }
}

/// A panel's columns of a row that begins with them; zeros where it is narrower.
#[inline(always)]
pub(crate) fn first_columns(row: &[f32]) -> [f32; PANEL] {
    if let Some(whole) = row.first_chunk() {
        return *whole;
    }
    let mut values = [0.0; PANEL];
    values[..row.len()].copy_from_slice(row);
    values
}

/// As [`Rows`], to write to.
#[derive(Debug)]
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    count: usize,
    width: usize,
    stride: usize,
}

impl<'a> RowsMut<'a> {
    /// Rows laid one after the other.
    pub fn new(data: &'a mut [f32], width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Self { count: data.len() / width, data, width, stride: width }
    }

    /// Rows inside wider ones. `data` starts at the first value of the first row.
    pub fn strided(data: &'a mut [f32], count: usize, width: usize, stride: usize) -> Self {
        check(data.len(), count, width, stride);
        Self { data, count, width, stride }
    }

    /// How many rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Values a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One row.
    pub fn row(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.count, "row {index} of {}", self.count);
        &mut self.data[index * self.stride..][..self.width]
    }
}

impl RowsMut<'_> {
    /// The same rows, for several threads to write to.
    pub(crate) fn cells(&mut self) -> Cells<'_> {
        Cells {
            first: self.data.as_mut_ptr(),
            count: self.count,
            width: self.width,
            stride: self.stride,
            rows: PhantomData,
        }
    }
}

/// Rows that several threads write to at once, each to cells of its own.
pub(crate) struct Cells<'a> {
    first: *mut f32,
    count: usize,
    width: usize,
    stride: usize,
    rows: PhantomData<&'a mut [f32]>,
}

// SAFETY: the rows are borrowed for `'a`, and `row`'s contract keeps the threads apart.
unsafe impl Sync for Cells<'_> {}

impl<'a> Cells<'a> {
    /// Some columns of a row.
    ///
    /// # Safety
    /// No other slice that is alive has any of these cells.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub(crate) unsafe fn row(&self, index: usize, columns: Range<usize>) -> &'a mut [f32] {
        assert!(
            index < self.count && columns.start <= columns.end && columns.end <= self.width,
            "no such cells"
        );
        // SAFETY: `check` or `new` saw to it that every row lies inside the data, which is borrowed for `'a`;
        // the cells are inside a row, and nobody else has them.
        unsafe {
            let start = self.first.add(index * self.stride + columns.start);
            std::slice::from_raw_parts_mut(start, columns.len())
        }
    }

    /// The cells of a panel: [`PANEL`] columns from `column` on, of some rows.
    ///
    /// # Safety
    /// As in [`Cells::row`].
    ///
    /// # Panics
    /// If there are no such rows or columns.
    pub(crate) unsafe fn panel(&self, rows: Range<usize>, column: usize) -> PanelCells<'a> {
        let columns = self.width.checked_sub(PANEL).is_some_and(|last| column <= last);
        assert!(rows.start < rows.end && rows.end <= self.count && columns, "no such cells");
        // Inside the data, as in `row`.
        let left = self.first.wrapping_add(rows.start * self.stride + column);
        let halves = [left, left.wrapping_add(PANEL / 2)];
        PanelCells { halves, stride: self.stride, rows: rows.len(), near: false, cells: PhantomData }
    }
}

/// Where the sums of a panel and some rows go: a row's first half and its second, each without gaps.
pub(crate) struct PanelCells<'a> {
    halves: [*mut f32; 2],
    stride: usize,
    rows: usize,
    /// Whether they lie in a near cache, and may hold sums that are not complete yet.
    near: bool,
    cells: PhantomData<&'a mut [f32]>,
}

impl<'a> PanelCells<'a> {
    /// Rows of both halves.
    pub(crate) fn whole(sums: &'a mut [[f32; PANEL]]) -> Self {
        let left = sums.as_mut_ptr().cast::<f32>();
        let halves = [left, left.wrapping_add(PANEL / 2)];
        Self { halves, stride: PANEL, rows: sums.len(), near: true, cells: PhantomData }
    }

    /// Each half by itself: gates and what they gate.
    pub(crate) fn halves(left: &'a mut [[f32; PANEL / 2]], right: &'a mut [[f32; PANEL / 2]]) -> Self {
        let rows = left.len().min(right.len());
        let halves = [left.as_mut_ptr().cast(), right.as_mut_ptr().cast()];
        Self { halves, stride: PANEL / 2, rows, near: true, cells: PhantomData }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether they lie in a near cache, so that sums that are not complete yet may go to and fro.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only tile units write by rows"))]
    pub(crate) fn are_near(&self) -> bool {
        self.near
    }

    /// Some of the rows, for a tile.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only tile units write by rows"))]
    #[inline(always)]
    pub(crate) fn tile(&mut self, rows: Range<usize>) -> TileCells<'_> {
        assert!(rows.start < rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        let halves = [0, 1].map(|half| self.half(rows.start, half));
        TileCells { halves, stride: self.stride, rows: rows.len(), cells: PhantomData }
    }

    /// The first cell of half a row. That row has 16 cells from there, which are ours to write, and so has each of
    /// the rows after it, `stride` apart.
    #[inline(always)]
    pub(crate) fn half(&mut self, row: usize, half: usize) -> *mut f32 {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        self.halves[half].wrapping_add(row * self.stride)
    }

    /// Writes a row.
    #[inline(always)]
    pub(crate) fn set(&mut self, row: usize, sums: &[f32; PANEL]) {
        for half in 0..2 {
            let to = self.half(row, half);
            let sums = sums[half * (PANEL / 2)..].as_ptr();
            // SAFETY: `half` gives 16 cells that nobody else has; they are none of the sums.
            unsafe { std::ptr::copy_nonoverlapping(sums, to, PANEL / 2) };
        }
    }
}

/// Rows of [`PanelCells`] that a tile is written to: 16 cells of each half, `stride` values from row to row, all of
/// which are ours to read and write.
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only tile units write by rows"))]
pub(crate) struct TileCells<'c> {
    pub(crate) halves: [*mut f32; 2],
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    cells: PhantomData<&'c mut [f32]>,
}

/// Prefetches cells that will be written, so that writing need not wait.
#[inline(always)]
pub(crate) fn prefetch(cells: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    if let [first, .., last] = cells {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // A panel's 32 cells are two lines, where they begin one.
        for cell in [first, last] {
            // SAFETY: a hint, which every x86-64 has.
            unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *cell).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = cells;
}
