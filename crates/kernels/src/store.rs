//! Values in a layout, and pieces of them that threads fill.
#![allow(unsafe_code)] // a named room: an enum of `Pieces`, each of which is disjoint

use std::ops::Range;

use threads::{Chunks, Pieces};

use crate::aligned::Aligned;
use crate::layout::Layout;
use crate::quantize::BlockScale;
use crate::shelf::Mapped;

/// Values in a [`Layout`]. Grows to what it has held, and keeps its memory.
#[derive(Debug)]
pub(crate) struct Store {
    layout: Layout,
    f32s: Aligned<f32>,
    i16s: Aligned<i16>,
    /// Bits of bf16.
    bf16s: Aligned<u16>,
    /// Of the i16 values.
    scales: Vec<BlockScale>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            layout: Layout::F32,
            f32s: Aligned::default(),
            i16s: Aligned::default(),
            bf16s: Aligned::default(),
            scales: Vec::new(),
        }
    }
}

/// Some of a store's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Values<'a> {
    F32(&'a [f32]),
    /// With their scales.
    I16(&'a [i16], &'a [BlockScale]),
    Bf16(&'a [u16]),
}

/// Some of a store's values, to write.
pub(crate) enum Slots<'a> {
    F32(&'a mut [f32]),
    I16(&'a mut [i16], &'a mut [BlockScale]),
    Bf16(&'a mut [u16]),
}

impl Store {
    /// Zeros that stay as many, in large pages: for weights.
    pub(crate) fn of_weights(layout: Layout, values: usize, scales: usize) -> Self {
        let mut store = Self { layout, ..Self::default() };
        match layout {
            Layout::F32 => store.f32s = Aligned::in_large_pages(values),
            Layout::I16 => {
                store.i16s = Aligned::in_large_pages(values);
                store.scales = vec![BlockScale::default(); scales];
            }
            Layout::Bf16 => store.bf16s = Aligned::in_large_pages(values),
        }
        store
    }

    /// Values of a file, which are only read.
    pub(crate) fn of_f32(values: Mapped<f32>) -> Self {
        Self { layout: Layout::F32, f32s: Aligned::mapped(values), ..Self::default() }
    }

    /// As [`of_f32`](Self::of_f32), with their scales.
    pub(crate) fn of_i16(values: Mapped<i16>, scales: Vec<BlockScale>) -> Self {
        Self { layout: Layout::I16, i16s: Aligned::mapped(values), scales, ..Self::default() }
    }

    /// As [`of_f32`](Self::of_f32).
    pub(crate) fn of_bf16(values: Mapped<u16>) -> Self {
        Self { layout: Layout::Bf16, bf16s: Aligned::mapped(values), ..Self::default() }
    }

    /// Sets the layout and how many values and scales there are (scales only count for i16). What
    /// was there before may show: a fresh store is all zeros.
    pub(crate) fn reset(&mut self, layout: Layout, values: usize, scales: usize) {
        self.layout = layout;
        match layout {
            Layout::F32 => self.f32s.resize(values),
            Layout::Bf16 => self.bf16s.resize(values),
            Layout::I16 => {
                self.i16s.resize(values);
                self.scales.resize(scales, BlockScale::default());
            }
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// These values and scales.
    pub(crate) fn values(&self, values: Range<usize>, scales: Range<usize>) -> Values<'_> {
        match self.layout {
            Layout::F32 => Values::F32(&self.f32s[values]),
            Layout::I16 => Values::I16(&self.i16s[values], &self.scales[scales]),
            Layout::Bf16 => Values::Bf16(&self.bf16s[values]),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Values<'_> {
        match self.layout {
            Layout::F32 => Values::F32(&self.f32s),
            Layout::I16 => Values::I16(&self.i16s, &self.scales),
            Layout::Bf16 => Values::Bf16(&self.bf16s),
        }
    }

    /// All of them, to write.
    pub(crate) fn slots(&mut self) -> Slots<'_> {
        match self.layout {
            Layout::F32 => Slots::F32(&mut self.f32s),
            Layout::I16 => Slots::I16(&mut self.i16s, &mut self.scales),
            Layout::Bf16 => Slots::Bf16(&mut self.bf16s),
        }
    }

    /// Pieces of so many values and scales.
    pub(crate) fn every(&mut self, values: usize, scales: usize) -> StorePieces<'_> {
        // What there is none of is cut into no pieces, whatever their size.
        let (values, scales) = (values.max(1), scales.max(1));
        match self.slots() {
            Slots::F32(all) => StorePieces::F32(Chunks::new(all, values)),
            Slots::I16(all, all_scales) => {
                StorePieces::I16(Chunks::new(all, values), Chunks::new(all_scales, scales))
            }
            Slots::Bf16(all) => StorePieces::Bf16(Chunks::new(all, values)),
        }
    }

    /// Pieces that end there.
    pub(crate) fn ending_at<'a>(&'a mut self, values: &'a [usize], scales: &'a [usize]) -> StorePieces<'a> {
        match self.slots() {
            Slots::F32(all) => StorePieces::F32(Chunks::ending_at(all, values)),
            Slots::I16(all, all_scales) => {
                StorePieces::I16(Chunks::ending_at(all, values), Chunks::ending_at(all_scales, scales))
            }
            Slots::Bf16(all) => StorePieces::Bf16(Chunks::ending_at(all, values)),
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.f32s)
            + size_of_val(&*self.i16s)
            + size_of_val(&*self.bf16s)
            + size_of_val(self.scales.as_slice())
    }
}

/// A store cut into pieces.
pub(crate) enum StorePieces<'a> {
    F32(Chunks<'a, f32>),
    I16(Chunks<'a, i16>, Chunks<'a, BlockScale>),
    Bf16(Chunks<'a, u16>),
}

// SAFETY: `Chunks` are disjoint, alone or side by side.
unsafe impl<'a> Pieces for StorePieces<'a> {
    type Piece = Slots<'a>;

    fn count(&self) -> usize {
        match self {
            StorePieces::F32(values) => values.count(),
            StorePieces::Bf16(values) => values.count(),
            StorePieces::I16(values, scales) => {
                assert_eq!(values.count(), scales.count(), "as many pieces of scales as of values");
                values.count()
            }
        }
    }

    unsafe fn piece(&self, index: usize) -> Slots<'a> {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                StorePieces::F32(values) => Slots::F32(values.piece(index)),
                StorePieces::Bf16(values) => Slots::Bf16(values.piece(index)),
                StorePieces::I16(values, scales) => Slots::I16(values.piece(index), scales.piece(index)),
            }
        }
    }
}
