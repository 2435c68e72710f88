//! Panels: how the matrix products read what they multiply activations with.

use threads::{Chunks, Team};

use crate::layout::Layout;
use crate::quantize::BlockScale;
use crate::rows::{Rows, first_columns};
use crate::store::{Slots, Store, Values};
use crate::table::{DEPTH, Kernels, PANEL};
use crate::weights::Kept;

/// A matrix in panels of [`PANEL`] outputs; see [`crate::Weights`] for what is in one.
#[derive(Debug, Clone, Copy)]
pub struct Panels<'a> {
    outputs: usize,
    inputs: usize,
    pub(crate) values: Values<'a>,
    /// In what form, if not as the layout's values.
    pub(crate) kept: Option<Kept>,
    input_scales: &'a [f32],
}

impl<'a> Panels<'a> {
    pub(crate) fn new(outputs: usize, inputs: usize, kept: Option<Kept>, values: Values<'a>) -> Self {
        let panels = Self { outputs, inputs, values, kept, input_scales: &[] };
        let (needed, scales) = Self::sizes(panels.layout(), kept, outputs, inputs);
        let fits = match values {
            Values::F32(values) => values.len() == needed,
            Values::I16(values, all) => values.len() == needed && all.len() == scales,
            Values::Bf16(values) | Values::Float16(values) => values.len() == needed,
        };
        assert!(fits, "panels of {outputs} outputs and {inputs} inputs");
        panels
    }

    /// Values the product gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Values the product reads.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// What each input was divided by when columns became integers, a power of two or 0: what it is multiplied with must be
    /// multiplied with that first. 1 for rows; empty for other layouts.
    pub fn input_scales(&self) -> &'a [f32] {
        self.input_scales
    }

    /// The layout of the values.
    pub fn layout(&self) -> Layout {
        match self.values {
            Values::F32(_) | Values::Float16(_) => Layout::F32,
            Values::I16(..) => Layout::I16,
            Values::Bf16(_) => Layout::Bf16,
        }
    }

    /// Values and scales that so many outputs take; whole panels have a multiple of [`PANEL`], and so have those that
    /// are kept as bytes.
    pub(crate) fn sizes(layout: Layout, kept: Option<Kept>, outputs: usize, inputs: usize) -> (usize, usize) {
        let padded = inputs.next_multiple_of(layout.step());
        let blocks = if layout == Layout::I16 { padded.div_ceil(DEPTH) } else { 0 };
        let values = match kept.and_then(Kept::grain) {
            Some(grain) => outputs / PANEL * grain.words(inputs),
            None => outputs * padded,
        };
        (values, outputs * blocks)
    }
}

/// Matrices that are weights for a moment, as keys and values of attention are. Keeps its memory.
#[derive(Debug, Default)]
pub struct PanelStore {
    store: Store,
    /// Outputs and inputs of each.
    shapes: Vec<(usize, usize)>,
    value_ends: Vec<usize>,
    scale_ends: Vec<usize>,
    /// See [`Panels::input_scales`].
    input_scales: Vec<f32>,
    input_ends: Vec<usize>,
}

/// The panels of one matrix, to fill.
pub struct PanelSlots<'a> {
    kernels: &'a Kernels,
    outputs: usize,
    inputs: usize,
    slots: Slots<'a>,
    /// See [`Panels::input_scales`].
    input_scales: &'a mut [f32],
}

impl PanelStore {
    /// Packs matrices of these shapes (outputs, inputs), on the team: `fill` is called once for each and must
    /// fill it by one of [`PanelSlots`]' functions.
    pub fn pack(
        &mut self,
        kernels: &Kernels,
        team: &Team,
        layout: Layout,
        shapes: impl IntoIterator<Item = (usize, usize)>,
        fill: impl Fn(usize, PanelSlots<'_>) + Sync,
    ) {
        let (mut values, mut scales, mut scaled_inputs) = (0, 0, 0);
        self.shapes.clear();
        self.value_ends.clear();
        self.scale_ends.clear();
        self.input_ends.clear();
        for (outputs, inputs) in shapes {
            let (more_values, more_scales) =
                Panels::sizes(layout, None, outputs.next_multiple_of(PANEL), inputs);
            values += more_values;
            scales += more_scales;
            scaled_inputs += if layout == Layout::I16 { inputs } else { 0 };
            self.shapes.push((outputs, inputs));
            self.value_ends.push(values);
            self.scale_ends.push(scales);
            self.input_ends.push(scaled_inputs);
        }
        self.store.reset(layout, values, scales);
        self.input_scales.resize(scaled_inputs, 1.0);
        let shapes = &self.shapes;
        let slots = self.store.ending_at(&self.value_ends, &self.scale_ends);
        let input_scales = Chunks::ending_at(&mut self.input_scales, &self.input_ends);
        team.for_each((slots, input_scales), |index, (slots, input_scales)| {
            let (outputs, inputs) = shapes[index];
            fill(index, PanelSlots { input_scales, ..PanelSlots::new(kernels, outputs, inputs, slots) });
        });
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Panels<'_> {
        let (outputs, inputs) = self.shapes[index];
        let start = |ends: &[usize]| index.checked_sub(1).map_or(0, |before| ends[before]);
        let values = start(&self.value_ends)..self.value_ends[index];
        let scales = start(&self.scale_ends)..self.scale_ends[index];
        let panels =
            Panels::new(outputs.next_multiple_of(PANEL), inputs, None, self.store.values(values, scales));
        let input_scales = &self.input_scales[start(&self.input_ends)..self.input_ends[index]];
        Panels { input_scales, ..panels }
    }
}

impl<'a> PanelSlots<'a> {
    pub(crate) fn new(kernels: &'a Kernels, outputs: usize, inputs: usize, slots: Slots<'a>) -> Self {
        Self { kernels, outputs, inputs, slots, input_scales: &mut [] }
    }

    /// Rows that are the outputs (keys: the product gives queries times keys).
    pub fn pack_rows(self, rows: Rows<'_>) {
        assert_eq!((rows.count(), rows.width()), (self.outputs, self.inputs), "rows to pack");
        self.input_scales.fill(1.0);
        self.pack(|output, values| values.copy_from_slice(rows.row(output)));
    }

    /// Rows that are the inputs (values: the product gives weights times values).
    pub fn pack_columns(self, rows: Rows<'_>) {
        assert_eq!((rows.count(), rows.width()), (self.inputs, self.outputs), "columns to pack");
        let count = self.outputs.div_ceil(PANEL);
        let kernels = self.kernels;
        match self.slots {
            // Row by row, as they lie.
            Slots::F32(panels) => {
                for index in 0..count {
                    let panel = piece(panels, index, count);
                    for (input, values) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                        *values = columns_of(rows, input, index);
                    }
                }
            }
            Slots::Float16(_) => unreachable!("only a file has them"),
            Slots::Bf16(panels) => {
                let mut pair = [[0; PANEL]; 2];
                for index in 0..count {
                    let panel = piece(panels, index, count);
                    for (at, pairs) in panel.as_chunks_mut::<{ 2 * PANEL }>().0.iter_mut().enumerate() {
                        for (half, values) in pair.iter_mut().enumerate() {
                            (kernels.to_bf16)(&columns_of(rows, 2 * at + half, index), values);
                        }
                        for (column, pair_out) in pairs.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                            *pair_out = [pair[0][column], pair[1][column]];
                        }
                    }
                }
            }
            // Block by block: each has its scales.
            Slots::I16(panels, scales) => {
                let input_scales = self.input_scales;
                (kernels.row_scales)(rows, input_scales);
                for index in 0..count {
                    let columns = index * PANEL..((index + 1) * PANEL).min(self.outputs);
                    let blocks = piece(panels, index, count).chunks_mut(DEPTH * PANEL);
                    let scales = piece(scales, index, count).as_chunks_mut::<PANEL>().0;
                    for (block, (values, scales)) in blocks.zip(scales).enumerate() {
                        let inputs = block * DEPTH..((block + 1) * DEPTH).min(self.inputs);
                        let rows = rows.part(inputs.clone(), columns.clone());
                        (kernels.quantize_columns)(rows, &input_scales[inputs], values, scales);
                    }
                }
            }
        }
    }

    /// `fill(o, values)` writes what output `o` multiplies the inputs with.
    pub(crate) fn pack(self, fill: impl Fn(usize, &mut [f32])) {
        let kernels = self.kernels;
        let count = self.outputs.div_ceil(PANEL);
        let (integers, scales) = Panels::sizes(Layout::I16, None, 1, self.inputs);
        let (mut integers, mut row_scales) = (vec![0; integers], vec![BlockScale::default(); scales]);
        let mut halves = vec![0; Panels::sizes(Layout::Bf16, None, 1, self.inputs).0];
        let mut values = vec![0.0; self.inputs];
        let mut slots = self.slots;
        if !self.outputs.is_multiple_of(PANEL) {
            // Columns of the last panel that are no outputs.
            match &mut slots {
                Slots::F32(panels) => piece(panels, count - 1, count).fill(0.0),
                Slots::I16(panels, scales) => {
                    piece(panels, count - 1, count).fill(0);
                    piece(scales, count - 1, count).fill(BlockScale::default());
                }
                Slots::Bf16(panels) | Slots::Float16(panels) => piece(panels, count - 1, count).fill(0),
            }
        }
        for output in 0..self.outputs {
            fill(output, &mut values);
            let (index, column) = (output / PANEL, output % PANEL);
            match &mut slots {
                Slots::F32(panels) => set_values(piece(panels, index, count), column, &values),
                Slots::I16(panels, scales) => {
                    (kernels.quantize)(&values, &mut integers, &mut row_scales);
                    set_pairs(piece(panels, index, count), column, &integers);
                    set_values(piece(scales, index, count), column, &row_scales);
                }
                Slots::Float16(_) => unreachable!("only a file has them"),
                Slots::Bf16(panels) => {
                    (kernels.to_bf16)(&values, &mut halves);
                    set_pairs(piece(panels, index, count), column, &halves);
                }
            }
        }
    }
}

/// One of `count` equal pieces.
fn piece<T>(all: &mut [T], index: usize, count: usize) -> &mut [T] {
    let size = all.len() / count;
    &mut all[index * size..][..size]
}

/// The columns of a panel in one row; zeros where there are none.
fn columns_of(rows: Rows<'_>, row: usize, panel: usize) -> [f32; PANEL] {
    if row < rows.count() { first_columns(&rows.row(row)[panel * PANEL..]) } else { [0.0; PANEL] }
}

/// Writes one output's values into its column of a panel.
pub(crate) fn set_values<T: Copy>(panel: &mut [T], column: usize, values: &[T]) {
    for (row, &value) in panel.as_chunks_mut::<PANEL>().0.iter_mut().zip(values) {
        row[column] = value;
    }
}

/// As [`set_values`], in pairs.
fn set_pairs<T: Copy>(panel: &mut [T], column: usize, values: &[T]) {
    let pairs = panel.as_chunks_mut::<2>().0.as_chunks_mut::<PANEL>().0;
    for (pairs, &pair) in pairs.iter_mut().zip(values.as_chunks::<2>().0) {
        pairs[column] = pair;
    }
}
