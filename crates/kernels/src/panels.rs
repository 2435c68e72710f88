//! Weights as the matrix product reads them.

use crate::table::TILE_COLUMNS;

/// A weight matrix of `outputs x inputs` in f32 panels.
///
/// A panel holds [`TILE_COLUMNS`] outputs; in it, the values of those outputs for input 0, then for
/// input 1, and so on. The last panel is filled up with zeros. So a tile of the product reads one panel
/// from its first value to its last.
#[derive(Debug, Clone, Default)]
pub struct Panels {
    outputs: usize,
    inputs: usize,
    data: Vec<f32>,
}

impl Panels {
    /// Packs `outputs` rows of `inputs` values. `fill(o, row)` writes the weights of output `o`.
    pub fn pack(outputs: usize, inputs: usize, mut fill: impl FnMut(usize, &mut [f32])) -> Self {
        let mut panels = Self::default();
        panels.reset(outputs, inputs);
        let mut rows = vec![0.0; TILE_COLUMNS * inputs];
        for (index, panel) in panels.data.chunks_exact_mut((TILE_COLUMNS * inputs).max(1)).enumerate() {
            let first = index * TILE_COLUMNS;
            let count = TILE_COLUMNS.min(outputs - first);
            for (column, row) in rows.chunks_exact_mut(inputs).take(count).enumerate() {
                fill(first + column, row);
            }
            for (column, row) in rows.chunks_exact(inputs).take(count).enumerate() {
                for (values, &value) in panel.chunks_exact_mut(TILE_COLUMNS).zip(row) {
                    values[column] = value;
                }
            }
        }
        panels
    }

    /// Packs rows that are the outputs (`pack_rows(keys)`: the product gives queries times keys), using
    /// the memory that is there.
    pub fn pack_rows(&mut self, rows: crate::Rows<'_>) {
        let (outputs, inputs) = (rows.count(), rows.width());
        self.reset(outputs, inputs);
        for output in 0..outputs {
            let panel = self.panel_mut(output / TILE_COLUMNS);
            let column = output % TILE_COLUMNS;
            for (values, &value) in panel.chunks_exact_mut(TILE_COLUMNS).zip(rows.row(output)) {
                values[column] = value;
            }
        }
    }

    /// Packs rows that are the inputs (`pack_columns(values)`: the product gives weights times values).
    pub fn pack_columns(&mut self, rows: crate::Rows<'_>) {
        let (inputs, outputs) = (rows.count(), rows.width());
        self.reset(outputs, inputs);
        for input in 0..inputs {
            let row = rows.row(input);
            for (index, values) in row.chunks(TILE_COLUMNS).enumerate() {
                let at = input * TILE_COLUMNS;
                self.panel_mut(index)[at..at + values.len()].copy_from_slice(values);
            }
        }
    }

    fn reset(&mut self, outputs: usize, inputs: usize) {
        (self.outputs, self.inputs) = (outputs, inputs);
        self.data.clear();
        self.data.resize(outputs.div_ceil(TILE_COLUMNS) * TILE_COLUMNS * inputs, 0.0);
    }

    /// Rows of the weight matrix: values the product gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of the weight matrix: values the product reads.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.capacity() * size_of::<f32>()
    }

    pub(crate) fn panel(&self, index: usize) -> &[f32] {
        &self.data[index * TILE_COLUMNS * self.inputs..][..TILE_COLUMNS * self.inputs]
    }

    fn panel_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.data[index * TILE_COLUMNS * self.inputs..][..TILE_COLUMNS * self.inputs]
    }
}
