//! Values in a layout, and pieces of them that threads fill.
#![allow(unsafe_code)] // a named room: an enum of `Pieces`, each of which is disjoint

use std::ops::Range;

use threads::{Chunks, Pieces};

use crate::aligned::Aligned;
use crate::layout::Layout;
use crate::quantize::BlockScale;
use crate::shelf::Mapped;
use crate::weights::Kept;

/// In what form values are held: a layout's, or one that weights are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    F32,
    /// f32 as floats of 16 bits.
    Float16,
    /// Or what is kept of them as bytes.
    I16,
    Bf16,
}

impl Form {
    pub(crate) fn of(layout: Layout, kept: Option<Kept>) -> Self {
        match (layout, kept) {
            (Layout::F32, Some(Kept::Float16(_))) => Self::Float16,
            (Layout::F32, _) => Self::F32,
            (Layout::I16, _) => Self::I16,
            (Layout::Bf16, _) => Self::Bf16,
        }
    }

    /// Bytes of a value.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::Float16 | Self::I16 | Self::Bf16 => size_of::<u16>(),
        }
    }

    fn layout(self) -> Layout {
        match self {
            Self::F32 | Self::Float16 => Layout::F32,
            Self::I16 => Layout::I16,
            Self::Bf16 => Layout::Bf16,
        }
    }
}

impl From<Layout> for Form {
    fn from(layout: Layout) -> Self {
        Self::of(layout, None)
    }
}

/// Values in a [`Form`]. Grows to what it has held, and keeps its memory.
#[derive(Debug)]
pub(crate) struct Store {
    form: Form,
    f32s: Aligned<f32>,
    i16s: Aligned<i16>,
    /// Bits of bf16, or of floats of 16 bits.
    u16s: Aligned<u16>,
    /// Of the i16 values.
    scales: Vec<BlockScale>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            form: Form::F32,
            f32s: Aligned::default(),
            i16s: Aligned::default(),
            u16s: Aligned::default(),
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
    Float16(&'a [u16]),
}

/// Some of a store's values, to write.
pub(crate) enum Slots<'a> {
    F32(&'a mut [f32]),
    I16(&'a mut [i16], &'a mut [BlockScale]),
    Bf16(&'a mut [u16]),
    Float16(&'a mut [u16]),
}

impl Store {
    /// Zeros that stay as many, in large pages: for weights.
    pub(crate) fn of_weights(form: Form, values: usize, scales: usize) -> Self {
        let mut store = Self { form, ..Self::default() };
        match form {
            Form::F32 => store.f32s = Aligned::in_large_pages(values),
            Form::I16 => {
                store.i16s = Aligned::in_large_pages(values);
                store.scales = vec![BlockScale::default(); scales];
            }
            Form::Bf16 | Form::Float16 => store.u16s = Aligned::in_large_pages(values),
        }
        store
    }

    /// Values of a file, which are only read.
    pub(crate) fn of_f32(values: Mapped<f32>) -> Self {
        Self { form: Form::F32, f32s: Aligned::mapped(values), ..Self::default() }
    }

    /// As [`of_f32`](Self::of_f32), with their scales.
    pub(crate) fn of_i16(values: Mapped<i16>, scales: Vec<BlockScale>) -> Self {
        Self { form: Form::I16, i16s: Aligned::mapped(values), scales, ..Self::default() }
    }

    /// As [`of_f32`](Self::of_f32), of one of the two forms of 16 bits without scales.
    pub(crate) fn of_u16(form: Form, values: Mapped<u16>) -> Self {
        Self { form, u16s: Aligned::mapped(values), ..Self::default() }
    }

    /// Sets the form and how many values and scales there are (scales only count for i16). What
    /// was there before may show: a fresh store is all zeros.
    pub(crate) fn reset(&mut self, form: impl Into<Form>, values: usize, scales: usize) {
        self.form = form.into();
        match self.form {
            Form::F32 => self.f32s.resize(values),
            Form::Bf16 | Form::Float16 => self.u16s.resize(values),
            Form::I16 => {
                self.i16s.resize(values);
                self.scales.resize(scales, BlockScale::default());
            }
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.form.layout()
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// These values and scales.
    pub(crate) fn values(&self, values: Range<usize>, scales: Range<usize>) -> Values<'_> {
        match self.form {
            Form::F32 => Values::F32(&self.f32s[values]),
            Form::I16 => Values::I16(&self.i16s[values], &self.scales[scales]),
            Form::Bf16 => Values::Bf16(&self.u16s[values]),
            Form::Float16 => Values::Float16(&self.u16s[values]),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Values<'_> {
        match self.form {
            Form::F32 => Values::F32(&self.f32s),
            Form::I16 => Values::I16(&self.i16s, &self.scales),
            Form::Bf16 => Values::Bf16(&self.u16s),
            Form::Float16 => Values::Float16(&self.u16s),
        }
    }

    /// All of them, to write.
    pub(crate) fn slots(&mut self) -> Slots<'_> {
        match self.form {
            Form::F32 => Slots::F32(&mut self.f32s),
            Form::I16 => Slots::I16(&mut self.i16s, &mut self.scales),
            Form::Bf16 => Slots::Bf16(&mut self.u16s),
            Form::Float16 => Slots::Float16(&mut self.u16s),
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
            Slots::Float16(all) => StorePieces::Float16(Chunks::new(all, values)),
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
            Slots::Float16(all) => StorePieces::Float16(Chunks::ending_at(all, values)),
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.f32s)
            + size_of_val(&*self.i16s)
            + size_of_val(&*self.u16s)
            + size_of_val(self.scales.as_slice())
    }
}

/// A store cut into pieces.
pub(crate) enum StorePieces<'a> {
    F32(Chunks<'a, f32>),
    I16(Chunks<'a, i16>, Chunks<'a, BlockScale>),
    Bf16(Chunks<'a, u16>),
    Float16(Chunks<'a, u16>),
}

// SAFETY: `Chunks` are disjoint, alone or side by side.
unsafe impl<'a> Pieces for StorePieces<'a> {
    type Piece = Slots<'a>;

    fn count(&self) -> usize {
        match self {
            StorePieces::F32(values) => values.count(),
            StorePieces::Bf16(values) | StorePieces::Float16(values) => values.count(),
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
                StorePieces::Float16(values) => Slots::Float16(values.piece(index)),
                StorePieces::I16(values, scales) => Slots::I16(values.piece(index), scales.piece(index)),
            }
        }
    }
}
