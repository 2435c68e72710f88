//! Weights as the matrix products read them.

use gguf::TensorType;

use crate::matmul::DEPTH;
use crate::quantize::{WEIGHT_LIMIT, quantize_to};
use crate::rows::Rows;
use crate::table::PANEL;

/// A packed weight matrix, in the layout that its source asks for.
#[derive(Debug, Clone)]
pub enum Weights {
    /// Exact: for files of floats.
    F32(PanelsF32),
    /// 13 bits, a scale an output and 256 inputs: for quantised files.
    I16(PanelsI16),
}

impl Weights {
    /// Whether a matrix of this type is packed as f32.
    pub fn wants_f32(ty: TensorType) -> bool {
        matches!(ty, TensorType::F32 | TensorType::F16 | TensorType::BF16)
    }

    /// Packs `outputs` rows of `inputs` values. `fill(o, row)` writes the weights of output `o`.
    pub fn pack(exact: bool, outputs: usize, inputs: usize, fill: impl FnMut(usize, &mut [f32])) -> Self {
        match exact {
            true => Weights::F32(PanelsF32::pack(outputs, inputs, fill)),
            false => Weights::I16(PanelsI16::pack(outputs, inputs, fill)),
        }
    }

    /// Values the product gives.
    pub fn outputs(&self) -> usize {
        match self {
            Weights::F32(panels) => panels.outputs,
            Weights::I16(panels) => panels.outputs,
        }
    }

    /// Values the product reads.
    pub fn inputs(&self) -> usize {
        match self {
            Weights::F32(panels) => panels.inputs,
            Weights::I16(panels) => panels.inputs,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Weights::F32(panels) => size_of_val(panels.data.as_slice()),
            Weights::I16(panels) => {
                size_of_val(panels.data.as_slice()) + size_of_val(panels.scales.as_slice())
            }
        }
    }
}

/// A weight matrix of `outputs x inputs` in f32 panels.
///
/// A panel holds [`PANEL`] outputs; in it, the values of those outputs for input 0, then for input 1, and
/// so on. The last panel is filled up with zeros. So a tile of the product reads one panel from its first
/// value to its last.
#[derive(Debug, Clone, Default)]
pub struct PanelsF32 {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) data: Vec<f32>,
}

impl PanelsF32 {
    fn pack(outputs: usize, inputs: usize, mut fill: impl FnMut(usize, &mut [f32])) -> Self {
        let mut panels = Self::default();
        panels.reset(outputs, inputs);
        let mut rows = vec![0.0; PANEL * inputs];
        for (index, panel) in panels.data.chunks_exact_mut((PANEL * inputs).max(1)).enumerate() {
            let first = index * PANEL;
            let count = PANEL.min(outputs - first);
            for (column, row) in rows.chunks_exact_mut(inputs).take(count).enumerate() {
                fill(first + column, row);
            }
            for (column, row) in rows.chunks_exact(inputs).take(count).enumerate() {
                for (values, &value) in panel.chunks_exact_mut(PANEL).zip(row) {
                    values[column] = value;
                }
            }
        }
        panels
    }

    /// Packs rows that are the outputs (keys: the product gives queries times keys), using the memory that
    /// is there.
    pub fn pack_rows(&mut self, rows: Rows<'_>) {
        let (outputs, inputs) = (rows.count(), rows.width());
        self.reset(outputs, inputs);
        for output in 0..outputs {
            let panel = self.panel_mut(output / PANEL);
            let column = output % PANEL;
            for (values, &value) in panel.chunks_exact_mut(PANEL).zip(rows.row(output)) {
                values[column] = value;
            }
        }
    }

    /// Packs rows that are the inputs (values: the product gives weights times values).
    pub fn pack_columns(&mut self, rows: Rows<'_>) {
        let (inputs, outputs) = (rows.count(), rows.width());
        self.reset(outputs, inputs);
        for input in 0..inputs {
            let row = rows.row(input);
            for (index, values) in row.chunks(PANEL).enumerate() {
                let at = input * PANEL;
                self.panel_mut(index)[at..at + values.len()].copy_from_slice(values);
            }
        }
    }

    fn reset(&mut self, outputs: usize, inputs: usize) {
        (self.outputs, self.inputs) = (outputs, inputs);
        self.data.clear();
        self.data.resize(outputs.div_ceil(PANEL) * PANEL * inputs, 0.0);
    }

    fn panel_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.data[index * PANEL * self.inputs..][..PANEL * self.inputs]
    }
}

/// A weight matrix of `outputs x inputs` in i16 panels.
///
/// As [`PanelsF32`], but inputs come in pairs (an odd one is filled up with zero), an output's two values
/// side by side, as `pmaddwd` and `vpdpwssd` read them. Scales: a panel's, block by block of inputs.
#[derive(Debug, Clone, Default)]
pub struct PanelsI16 {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) data: Vec<i16>,
    pub(crate) scales: Vec<f32>,
}

impl PanelsI16 {
    fn pack(outputs: usize, inputs: usize, mut fill: impl FnMut(usize, &mut [f32])) -> Self {
        let padded = inputs.next_multiple_of(2);
        let blocks = padded.div_ceil(DEPTH);
        let panels = outputs.div_ceil(PANEL);
        let mut data = vec![0; panels * PANEL * padded];
        let mut scales = vec![0.0; panels * PANEL * blocks];
        let mut row = vec![0.0; inputs];
        let mut integers = vec![0; padded];
        let mut row_scales = vec![0.0; blocks];
        let each = data
            .chunks_exact_mut((PANEL * padded).max(1))
            .zip(scales.chunks_exact_mut((PANEL * blocks).max(1)));
        for (index, (panel, panel_scales)) in each.enumerate() {
            let first = index * PANEL;
            for column in 0..PANEL.min(outputs - first) {
                fill(first + column, &mut row);
                quantize_to(WEIGHT_LIMIT, &row, &mut integers, &mut row_scales);
                for (pairs, pair) in panel.chunks_exact_mut(2 * PANEL).zip(integers.chunks_exact(2)) {
                    pairs[2 * column..2 * column + 2].copy_from_slice(pair);
                }
                for (values, &scale) in panel_scales.chunks_exact_mut(PANEL).zip(&row_scales) {
                    values[column] = scale;
                }
            }
        }
        Self { outputs, inputs, data, scales }
    }
}
