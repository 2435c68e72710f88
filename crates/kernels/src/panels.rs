//! Weights as the matrix products read them.

use threads::{Chunks, Team};

use crate::aligned::Aligned;
use crate::layout::Layout;
use crate::rows::Rows;
use crate::table::{DEPTH, Kernels, PANEL};

/// Some of the outputs of a weight matrix, row by row as the file has them.
pub struct Part<'a> {
    /// How many.
    pub outputs: usize,
    /// `decode(o, row)` writes the weights of output `o`.
    pub decode: &'a (dyn Fn(usize, &mut [f32]) + Sync),
    /// Added to the outputs; empty for none.
    pub bias: &'a [f32],
}

/// How the parts of a matrix are laid side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One after the other: Q, K and V.
    Joined,
    /// Two parts of equal size by turns, half a panel each: gate and up, so that a tile of the product has
    /// both and can multiply them before it writes.
    Alternating,
}

/// A packed weight matrix, with its bias.
///
/// A panel holds [`PANEL`] outputs; in it, the values of those outputs for input 0, then for input 1, and
/// so on (f32), or two inputs at a time, an output's two values side by side (i16 and bf16). The last panel is filled
/// up with zeros, and so are the inputs. A tile of the product reads one block of a panel from its first
/// value to its last.
#[derive(Debug)]
pub struct Weights {
    pub(crate) layout: Layout,
    pub(crate) order: Order,
    pub(crate) inputs: usize,
    /// Values the product gives: with alternating parts, half of what the panels hold.
    outputs: usize,
    pub(crate) f32s: Aligned<f32>,
    pub(crate) i16s: Aligned<i16>,
    /// Bits of bf16.
    pub(crate) bf16s: Aligned<u16>,
    /// Of i16 panels: a panel's, block by block of inputs.
    pub(crate) scales: Vec<f32>,
    /// In the order of the panels' outputs; empty for none.
    pub(crate) bias: Vec<f32>,
}

impl Weights {
    /// Packs parts of `inputs` inputs each as one matrix, in parallel.
    ///
    /// # Panics
    /// If there is no part, a bias has another length than its part, or alternating parts are not two equals.
    pub fn pack(
        kernels: &Kernels,
        team: &Team,
        layout: Layout,
        order: Order,
        inputs: usize,
        parts: &[Part<'_>],
    ) -> Self {
        let total: usize = parts.iter().map(|part| part.outputs).sum();
        let alternating = order == Order::Alternating;
        assert!(!parts.is_empty(), "a matrix without parts");
        assert!(
            !alternating || parts.len() == 2 && parts[0].outputs == parts[1].outputs,
            "alternating parts are two equals"
        );
        let outputs = if alternating { parts[0].outputs } else { total };
        let panels = if alternating { outputs.div_ceil(PANEL / 2) } else { outputs.div_ceil(PANEL) };
        let padded = inputs.next_multiple_of(layout.step());
        let place = Place { order, parts };
        let mut weights = Self {
            layout,
            order,
            inputs,
            outputs,
            f32s: Aligned::default(),
            i16s: Aligned::default(),
            bf16s: Aligned::default(),
            scales: Vec::new(),
            bias: place.bias(panels),
        };
        let panel_len = (PANEL * padded).max(1);
        match layout {
            Layout::F32 => {
                weights.f32s = Aligned::zeros(panels * PANEL * padded);
                team.for_each(Chunks::new(&mut weights.f32s, panel_len), |index, panel| {
                    place.fill_f32(index, inputs, panel);
                });
            }
            Layout::I16 => {
                let blocks = padded.div_ceil(DEPTH);
                weights.i16s = Aligned::zeros(panels * PANEL * padded);
                weights.scales = vec![0.0; panels * PANEL * blocks];
                let pieces = (
                    Chunks::new(&mut weights.i16s, panel_len),
                    Chunks::new(&mut weights.scales, (PANEL * blocks).max(1)),
                );
                team.for_each(pieces, |index, (panel, scales)| {
                    place.fill_i16(kernels, index, inputs, panel, scales);
                });
            }
            Layout::Bf16 => {
                weights.bf16s = Aligned::zeros(panels * PANEL * padded);
                team.for_each(Chunks::new(&mut weights.bf16s, panel_len), |index, panel| {
                    place.fill_bf16(kernels, index, inputs, panel);
                });
            }
        }
        weights
    }

    /// The layout of the activations that the product reads.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Values the product gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Values the product reads.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Multiply-adds for a row.
    pub fn macs(&self) -> u64 {
        let halves = if self.order == Order::Alternating { 2 } else { 1 };
        halves * self.outputs as u64 * self.inputs as u64
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.f32s)
            + size_of_val(&*self.i16s)
            + size_of_val(&*self.bf16s)
            + size_of_val(self.scales.as_slice())
            + size_of_val(self.bias.as_slice())
    }

    /// Columns of the result that a panel gives.
    pub(crate) fn panel_outputs(&self) -> usize {
        if self.order == Order::Alternating { PANEL / 2 } else { PANEL }
    }
}

/// Which output of which part stands in which column of which panel.
struct Place<'a> {
    order: Order,
    parts: &'a [Part<'a>],
}

impl<'a> Place<'a> {
    fn of(&self, panel: usize, column: usize) -> Option<(&'a Part<'a>, usize)> {
        match self.order {
            Order::Alternating => {
                let half = PANEL / 2;
                let part = &self.parts[column / half];
                let output = panel * half + column % half;
                (output < part.outputs).then_some((part, output))
            }
            Order::Joined => {
                let mut output = panel * PANEL + column;
                for part in self.parts {
                    if output < part.outputs {
                        return Some((part, output));
                    }
                    output -= part.outputs;
                }
                None
            }
        }
    }

    fn bias(&self, panels: usize) -> Vec<f32> {
        for part in self.parts {
            assert!(part.bias.is_empty() || part.bias.len() == part.outputs, "a bias is as long as its part");
        }
        if self.parts.iter().all(|part| part.bias.is_empty()) {
            return Vec::new();
        }
        let value = |at: usize| {
            let (part, output) = self.of(at / PANEL, at % PANEL)?;
            part.bias.get(output).copied()
        };
        (0..panels * PANEL).map(|at| value(at).unwrap_or(0.0)).collect()
    }

    fn fill_f32(&self, index: usize, inputs: usize, panel: &mut [f32]) {
        let mut row = vec![0.0; inputs];
        for column in 0..PANEL {
            let Some((part, output)) = self.of(index, column) else { continue };
            (part.decode)(output, &mut row);
            for (values, &value) in panel.as_chunks_mut::<PANEL>().0.iter_mut().zip(&row) {
                values[column] = value;
            }
        }
    }

    fn fill_i16(
        &self,
        kernels: &Kernels,
        index: usize,
        inputs: usize,
        panel: &mut [i16],
        scales: &mut [f32],
    ) {
        let padded = panel.len() / PANEL;
        let mut row = vec![0.0; inputs];
        let mut integers = vec![0; padded];
        let mut row_scales = vec![0.0; scales.len() / PANEL];
        for column in 0..PANEL {
            let Some((part, output)) = self.of(index, column) else { continue };
            (part.decode)(output, &mut row);
            (kernels.quantize_weights)(&row, &mut integers, &mut row_scales);
            set_pairs(panel, column, &integers);
            for (values, &scale) in scales.as_chunks_mut::<PANEL>().0.iter_mut().zip(&row_scales) {
                values[column] = scale;
            }
        }
    }

    fn fill_bf16(&self, kernels: &Kernels, index: usize, inputs: usize, panel: &mut [u16]) {
        let mut row = vec![0.0; inputs];
        let mut halves = vec![0; panel.len() / PANEL];
        for column in 0..PANEL {
            let Some((part, output)) = self.of(index, column) else { continue };
            (part.decode)(output, &mut row);
            (kernels.to_bf16)(&row, &mut halves);
            set_pairs(panel, column, &halves);
        }
    }
}

/// Writes one output's values, in pairs, into its column of a panel.
fn set_pairs<T: Copy>(panel: &mut [T], column: usize, values: &[T]) {
    let pairs = panel.as_chunks_mut::<2>().0.as_chunks_mut::<PANEL>().0;
    for (pairs, &pair) in pairs.iter_mut().zip(values.as_chunks::<2>().0) {
        pairs[column] = pair;
    }
}

/// f32 panels in borrowed memory: keys and values of attention, which are weights for a moment.
#[derive(Debug, Clone, Copy)]
pub struct PanelsF32<'a> {
    /// Values the product gives.
    pub outputs: usize,
    /// Values the product reads.
    pub inputs: usize,
    /// [`PanelsF32::len`] values.
    pub data: &'a [f32],
}

impl PanelsF32<'_> {
    /// Values that panels of this size take.
    pub fn len(outputs: usize, inputs: usize) -> usize {
        outputs.next_multiple_of(PANEL) * inputs
    }
}

/// Packs rows that are the outputs (keys: the product gives queries times keys) into f32 panels.
pub fn pack_rows(rows: Rows<'_>, panels: &mut [f32]) {
    let inputs = rows.width();
    assert_eq!(panels.len(), PanelsF32::len(rows.count(), inputs), "room for rows as panels");
    for (index, panel) in panels.chunks_exact_mut((PANEL * inputs).max(1)).enumerate() {
        let first = index * PANEL;
        let count = PANEL.min(rows.count() - first);
        for values in panel.as_chunks_mut::<PANEL>().0 {
            values[count..].fill(0.0);
        }
        for column in 0..count {
            for (values, &value) in panel.as_chunks_mut::<PANEL>().0.iter_mut().zip(rows.row(first + column))
            {
                values[column] = value;
            }
        }
    }
}

/// Packs rows that are the inputs (values: the product gives weights times values) into f32 panels.
pub fn pack_columns(rows: Rows<'_>, panels: &mut [f32]) {
    let (inputs, outputs) = (rows.count(), rows.width());
    assert_eq!(panels.len(), PanelsF32::len(outputs, inputs), "room for columns as panels");
    for (index, panel) in panels.chunks_exact_mut((PANEL * inputs).max(1)).enumerate() {
        let first = index * PANEL;
        let count = PANEL.min(outputs - first);
        for (input, values) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            values[..count].copy_from_slice(&rows.row(input)[first..first + count]);
            values[count..].fill(0.0);
        }
    }
}
