//! Rows of activations in the form that a product reads: turned once, for all the weights they meet.

use std::ops::Range;

use threads::{Chunks, Pieces, Team};

use crate::layout::Layout;
use crate::rows::Rows;
use crate::store::{Slots, Store, Values};
use crate::table::{DEPTH, Kernels};

/// Rows of activations in a [`Layout`]. Grows to what it has held, and keeps its memory.
#[derive(Debug, Default)]
pub struct Activations {
    store: Store,
    count: usize,
    inputs: usize,
    /// Those that may be other than 0.
    filled: Range<usize>,
}

/// Where a row of activations goes; see [`Activations::fill`].
pub struct RowSlots<'a> {
    kernels: &'a Kernels,
    inputs: usize,
    stride: usize,
    blocks: usize,
    slots: Slots<'a>,
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
            Slots::Float16(_) => unreachable!("only weights are kept so"),
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
        self.store.layout()
    }

    /// Inputs outside of these are 0 in every row, and a product may skip them; in steps of the layout.
    pub(crate) fn filled(&self) -> Range<usize> {
        self.filled.clone()
    }

    pub(crate) fn values(&self) -> Values<'_> {
        self.store.all()
    }

    /// Values from one row to the next. Rows a whole number of KiB apart would share few lines of the near
    /// cache, so these are moved apart.
    pub(crate) fn stride(&self) -> usize {
        let size = self.layout().size();
        let padded = self.inputs.next_multiple_of(self.layout().step().max(64 / size));
        if (padded * size).is_multiple_of(1024) { padded + 64 / size } else { padded }
    }

    /// Scales a row.
    pub(crate) fn blocks(&self) -> usize {
        self.inputs.next_multiple_of(self.layout().step()).div_ceil(DEPTH)
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
        self.reset(layout, count, inputs);
        let rows = team.rows_a_part(count);
        let (stride, blocks) = (self.stride(), self.blocks());
        let slots = self.store.every(rows * stride, rows * blocks);
        team.for_each((slots, extra), |part, (slots, extra)| {
            work(part * rows, &mut RowSlots { kernels, inputs, stride, blocks, slots }, extra);
        });
    }

    /// As [`set`](Self::set), of rows that are 0 outside of the inputs `filled`, which products of f32 and of integers skip:
    /// what is there all the same may be left out.
    ///
    /// # Panics
    /// If the rows are narrower.
    pub fn set_filled(&mut self, kernels: &Kernels, layout: Layout, rows: Rows<'_>, filled: Range<usize>) {
        assert!(
            filled.start <= filled.end && filled.end <= rows.width(),
            "inputs {filled:?} of {}",
            rows.width()
        );
        self.set(kernels, layout, rows);
        let step = layout.step();
        self.filled = filled.start - filled.start % step..filled.end.next_multiple_of(step);
    }

    /// Sets rows that are there, on this thread.
    pub fn set(&mut self, kernels: &Kernels, layout: Layout, rows: Rows<'_>) {
        self.reset(layout, rows.count(), rows.width());
        let (inputs, stride, blocks) = (self.inputs, self.stride(), self.blocks());
        let mut slots = RowSlots { kernels, inputs, stride, blocks, slots: self.store.slots() };
        for index in 0..rows.count() {
            slots.set(index, rows.row(index));
        }
    }

    fn reset(&mut self, layout: Layout, count: usize, inputs: usize) {
        (self.count, self.inputs) = (count, inputs);
        self.filled = 0..inputs.next_multiple_of(layout.step());
        // The layout first: the stride depends on it.
        self.store.reset(layout, 0, 0);
        self.store.reset(layout, count * self.stride(), count * self.blocks());
    }

    /// As [`fill`](Self::fill), from rows that are there.
    pub fn fill_from(&mut self, kernels: &Kernels, team: &Team, layout: Layout, x: &[f32], inputs: usize) {
        let count = x.len() / inputs;
        assert_eq!(x.len(), count * inputs, "activations are rows of {inputs}");
        let rows = team.rows_a_part(count);
        // As many pieces of nothing as there are of rows.
        let mut nothing = vec![(); count];
        let none = Chunks::new(&mut nothing, rows);
        self.fill(kernels, team, (layout, count, inputs), none, |first, slots, _| {
            for (index, row) in x[first * inputs..].chunks_exact(inputs).take(rows).enumerate() {
                slots.set(index, row);
            }
        });
    }
}
