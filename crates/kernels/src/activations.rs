//! Rows of activations in the form that a product reads: turned once, for all the weights they meet.
#![allow(unsafe_code)] // a named room: an enum of `Pieces`, each of which is disjoint

use threads::{Chunks, Pieces, Team};

use crate::aligned::Aligned;
use crate::layout::Layout;
use crate::table::{DEPTH, Kernels};

/// Rows of activations in a [`Layout`]. Grows to what it has held, and keeps its memory.
#[derive(Debug)]
pub struct Activations {
    layout: Layout,
    count: usize,
    inputs: usize,
    pub(crate) f32s: Aligned<f32>,
    pub(crate) i16s: Aligned<i16>,
    pub(crate) bf16s: Aligned<u16>,
    pub(crate) scales: Vec<f32>,
}

impl Default for Activations {
    fn default() -> Self {
        Self {
            layout: Layout::F32,
            count: 0,
            inputs: 0,
            f32s: Aligned::default(),
            i16s: Aligned::default(),
            bf16s: Aligned::default(),
            scales: Vec::new(),
        }
    }
}

/// Where a row of activations goes; see [`Activations::fill`].
pub struct RowSlots<'a> {
    kernels: &'a Kernels,
    inputs: usize,
    stride: usize,
    blocks: usize,
    slots: Slots<'a>,
}

enum Slots<'a> {
    F32(&'a mut [f32]),
    I16(&'a mut [i16], &'a mut [f32]),
    Bf16(&'a mut [u16]),
}

impl RowSlots<'_> {
    /// Turns `x` into row `index` of this piece.
    pub fn set(&mut self, index: usize, x: &[f32]) {
        assert_eq!(x.len(), self.inputs, "a row of activations");
        match &mut self.slots {
            Slots::F32(values) => values[index * self.stride..][..self.inputs].copy_from_slice(x),
            Slots::I16(values, scales) => {
                let padded = self.inputs.next_multiple_of(Layout::I16.step());
                let row = &mut values[index * self.stride..][..padded];
                (self.kernels.quantize)(x, row, &mut scales[index * self.blocks..][..self.blocks]);
            }
            Slots::Bf16(values) => {
                let padded = self.inputs.next_multiple_of(Layout::Bf16.step());
                (self.kernels.to_bf16)(x, &mut values[index * self.stride..][..padded]);
            }
        }
    }
}

impl Activations {
    /// Rows set.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Values a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The form they are in.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Values from one row to the next. Rows a whole number of KiB apart would share few lines of the near
    /// cache, so these are moved apart.
    pub(crate) fn stride(&self) -> usize {
        let size = self.layout.size();
        let padded = self.inputs.next_multiple_of(self.layout.step().max(64 / size));
        if (padded * size).is_multiple_of(1024) { padded + 64 / size } else { padded }
    }

    /// Scales a row.
    pub(crate) fn blocks(&self) -> usize {
        self.inputs.next_multiple_of(self.layout.step()).div_ceil(DEPTH)
    }

    /// Sets `count` rows of `inputs` values in `layout`. `work(first, slots, extra)` is called on the team for
    /// rows from `first` on, with the matching piece of `extra`, and must [`set`](RowSlots::set) each of its
    /// rows: `rows_a_part` of them, or what is left.
    ///
    /// # Panics
    /// If `extra` is not cut into as many pieces.
    pub fn fill<P: Pieces>(
        &mut self,
        kernels: &Kernels,
        team: &Team,
        (layout, count, inputs): (Layout, usize, usize),
        extra: P,
        work: impl Fn(usize, &mut RowSlots<'_>, P::Piece) + Sync,
    ) {
        (self.layout, self.count, self.inputs) = (layout, count, inputs);
        let rows = team.rows_a_part(count);
        let (stride, blocks) = (self.stride(), self.blocks());
        let slots = match layout {
            Layout::F32 => {
                self.f32s.resize(count * stride);
                AllSlots::F32(Chunks::new(&mut self.f32s, (rows * stride).max(1)))
            }
            Layout::Bf16 => {
                self.bf16s.resize(count * stride);
                AllSlots::Bf16(Chunks::new(&mut self.bf16s, (rows * stride).max(1)))
            }
            Layout::I16 => {
                self.i16s.resize(count * stride);
                self.scales.resize(count * blocks, 0.0);
                AllSlots::I16(
                    Chunks::new(&mut self.i16s, (rows * stride).max(1)),
                    Chunks::new(&mut self.scales, (rows * blocks).max(1)),
                )
            }
        };
        team.for_each((slots, extra), |part, (slots, extra)| {
            work(part * rows, &mut RowSlots { kernels, inputs, stride, blocks, slots }, extra);
        });
    }

    /// As [`fill`](Self::fill), from rows that are there.
    pub fn fill_from(&mut self, kernels: &Kernels, team: &Team, layout: Layout, x: &[f32], inputs: usize) {
        let count = x.len() / inputs;
        assert_eq!(x.len(), count * inputs, "activations are rows of {inputs}");
        let rows = team.rows_a_part(count);
        let none = Nothing(count.div_ceil(rows));
        self.fill(kernels, team, (layout, count, inputs), none, |first, slots, ()| {
            for (index, row) in x[first * inputs..].chunks_exact(inputs).take(rows).enumerate() {
                slots.set(index, row);
            }
        });
    }
}

/// Slots of all rows, cut by parts.
enum AllSlots<'a> {
    F32(Chunks<'a, f32>),
    I16(Chunks<'a, i16>, Chunks<'a, f32>),
    Bf16(Chunks<'a, u16>),
}

// SAFETY: `Chunks` are disjoint, alone or side by side.
unsafe impl<'a> Pieces for AllSlots<'a> {
    type Piece = Slots<'a>;

    fn count(&self) -> usize {
        match self {
            AllSlots::F32(values) => values.count(),
            AllSlots::Bf16(values) => values.count(),
            AllSlots::I16(values, scales) => {
                assert_eq!(values.count(), scales.count(), "as many pieces of scales as of values");
                values.count()
            }
        }
    }

    unsafe fn piece(&self, index: usize) -> Slots<'a> {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                AllSlots::F32(values) => Slots::F32(values.piece(index)),
                AllSlots::Bf16(values) => Slots::Bf16(values.piece(index)),
                AllSlots::I16(values, scales) => Slots::I16(values.piece(index), scales.piece(index)),
            }
        }
    }
}

/// Pieces of nothing, for work that writes activations alone.
struct Nothing(usize);

// SAFETY: there is nothing to overlap.
unsafe impl Pieces for Nothing {
    type Piece = ();

    fn count(&self) -> usize {
        self.0
    }

    unsafe fn piece(&self, _: usize) {}
}
