//! A model's weights as the matrix products read them.

use gguf::TensorType;
use threads::Team;

use crate::bytes::ByteRow;
use crate::decode::{Affine, Float16, Grain, integer_decoder};
use crate::layout::Layout;
use crate::panels::{PanelSlots, Panels, set_values};
use crate::quantize::BlockScale;
use crate::shelf::Shelf;
use crate::store::{Form, Slots, Store};
use crate::table::{DEPTH, Kernels, PANEL};

/// Some of the outputs of a weight matrix, row by row as the file has them.
pub struct Part<'a> {
    /// How many.
    pub outputs: usize,
    /// `decode(o, row)` writes the weights of output `o`.
    pub decode: &'a (dyn Fn(usize, &mut [f32]) + Sync),
    /// The same weights as the file has them, where a level may keep them so.
    pub stored: Option<Stored<'a>>,
    /// Added to the outputs; empty for none.
    pub bias: &'a [f32],
}

/// Weights as a file has them, in less than the 32 bits of a value.
#[derive(Clone, Copy)]
pub enum Stored<'a> {
    /// `integers(o, q, of_runs)` writes integers of a byte, and what each [`RUN`](crate::decode::RUN) of them are multiplied
    /// with; with their grain, which must be what they have: of coarse grain no offsets, and the same scale for each two runs.
    Integers(Grain, Integers<'a>),
    /// `bits(o, bits)` writes floats of 16 bits.
    Float16(Float16, Bits<'a>),
}

/// See [`Stored::Integers`].
pub type Integers<'a> = &'a (dyn Fn(usize, &mut [i8], &mut [Affine]) + Sync);
/// See [`Stored::Float16`].
pub type Bits<'a> = &'a (dyn Fn(usize, &mut [u16]) + Sync);

/// In what form weights are kept that take less memory than the values of their layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A product's integers as the bytes that the file has (`bytes.rs`).
    Bytes(Grain),
    /// A product's f32 as the 16 bits that the file has.
    Float16(Float16),
}

impl Kept {
    /// The grain of bytes.
    pub(crate) fn grain(self) -> Option<Grain> {
        match self {
            Self::Bytes(grain) => Some(grain),
            Self::Float16(_) => None,
        }
    }
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
/// so on (f32), or two inputs at a time, an output's two values side by side (i16 and bf16). A level may keep i16 weights
/// as the bytes that a file has (`bytes.rs`), and f32 as its floats of 16 bits. The last panel is filled
/// up with zeros, and so are the inputs. A tile of the product reads one block of a panel from its first
/// value to its last.
#[derive(Debug)]
pub struct Weights {
    pub(crate) order: Order,
    inputs: usize,
    /// If not as the layout's values.
    kept: Option<Kept>,
    /// Values the product gives: with alternating parts, half of what the panels hold.
    outputs: usize,
    store: Store,
    /// In the order of the panels' outputs; empty for none.
    pub(crate) bias: Vec<f32>,
}

impl Weights {
    /// Packs parts of `inputs` inputs each as one matrix, in parallel.
    ///
    /// # Panics
    /// If there is no part, a bias has another length than its part, alternating parts are not two equals, or integers have
    /// not the grain that they are said to have.
    pub fn pack(
        kernels: &Kernels,
        team: &Team,
        layout: Layout,
        order: Order,
        inputs: usize,
        parts: &[Part<'_>],
    ) -> Self {
        let (place, outputs, panels) = Place::new(order, parts);
        let kept = place.kept(kernels, layout, inputs);
        let (values, scales) = Panels::sizes(layout, kept, PANEL, inputs);
        let mut store = Store::of_weights(Form::of(layout, kept), panels * values, panels * scales);
        team.for_each(store.every(values, scales), |index, slots| {
            place.fill(kernels, index, inputs, kept, slots);
        });
        Self { order, inputs, kept, outputs, store, bias: place.bias(panels) }
    }

    /// The same matrix from a file in which it is the next; `None` if it is not there.
    ///
    /// Its first panel is packed and compared, so that a file which another version of this code packed in another way is not
    /// believed.
    ///
    /// # Panics
    /// As [`pack`](Self::pack).
    pub fn take(
        shelf: &Shelf,
        kernels: &Kernels,
        layout: Layout,
        order: Order,
        inputs: usize,
        parts: &[Part<'_>],
    ) -> Option<Self> {
        let (place, outputs, panels) = Place::new(order, parts);
        let kept = place.kept(kernels, layout, inputs);
        let (values, scales) = Panels::sizes(layout, kept, PANEL, inputs);
        let store = shelf.take(Form::of(layout, kept), panels * values, panels * scales)?;
        let mut first = Store::default();
        first.reset(Form::of(layout, kept), values, scales);
        place.fill(kernels, 0, inputs, kept, first.slots());
        let same = store.values(0..values, 0..scales) == first.values(0..values, 0..scales);
        if !same {
            shelf.refuse();
        }
        same.then(|| Self { order, inputs, kept, outputs, store, bias: place.bias(panels) })
    }

    /// About how many bytes so many weights of a type take when they are packed for a level, with [`Part::stored`] where the
    /// type has it or, of integers, without.
    pub fn bytes_of(kernels: &Kernels, ty: TensorType, weights: u64, with_integers: bool) -> u64 {
        let layout = Layout::of(kernels, [ty]);
        let grain = integer_decoder(ty).map(|(grain, _)| grain).filter(|_| with_integers);
        let kept = grain.map(Kept::Bytes).or(Float16::of(ty).map(Kept::Float16));
        let kept = kept.filter(|kept| is_kept(kernels, layout, *kept));
        let (values, scales) = Panels::sizes(layout, kept, PANEL, DEPTH);
        let of_a_block = values * Form::of(layout, kept).size() + scales * size_of::<BlockScale>();
        weights * of_a_block as u64 / (PANEL * DEPTH) as u64
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The layout of the activations that the product reads.
    pub fn layout(&self) -> Layout {
        self.store.layout()
    }

    /// In what form they are kept, if not as the layout's values.
    pub fn kept(&self) -> Option<Kept> {
        self.kept
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
        self.store.bytes() + size_of_val(self.bias.as_slice())
    }

    /// All panels.
    pub(crate) fn panels(&self) -> Panels<'_> {
        let outputs = self.outputs.div_ceil(self.panel_outputs()) * PANEL;
        Panels::new(outputs, self.inputs, self.kept, self.store.all())
    }

    /// Columns of the result that a panel gives.
    pub(crate) fn panel_outputs(&self) -> usize {
        if self.order == Order::Alternating { PANEL / 2 } else { PANEL }
    }
}

/// Whether a level has tiles for weights of a layout in this form.
fn is_kept(kernels: &Kernels, layout: Layout, kept: Kept) -> bool {
    match kept {
        Kept::Bytes(_) => layout == Layout::I16 && kernels.byte_rows > 0,
        Kept::Float16(_) => layout == Layout::F32 && kernels.keeps_float16,
    }
}

/// Which output of which part stands in which column of which panel.
struct Place<'a> {
    order: Order,
    parts: &'a [Part<'a>],
}

impl<'a> Place<'a> {
    /// With the number of values that the product gives, and of panels.
    fn new(order: Order, parts: &'a [Part<'a>]) -> (Self, usize, usize) {
        let total: usize = parts.iter().map(|part| part.outputs).sum();
        let alternating = order == Order::Alternating;
        assert!(!parts.is_empty(), "a matrix without parts");
        assert!(
            !alternating || parts.len() == 2 && parts[0].outputs == parts[1].outputs,
            "alternating parts are two equals"
        );
        let outputs = if alternating { parts[0].outputs } else { total };
        let panels = if alternating { outputs.div_ceil(PANEL / 2) } else { outputs.div_ceil(PANEL) };
        (Self { order, parts }, outputs, panels)
    }

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

    /// The form in which all parts are kept, if not as the layout's values.
    fn kept(&self, kernels: &Kernels, layout: Layout, inputs: usize) -> Option<Kept> {
        let kept = self.grain(inputs).map(Kept::Bytes).or(self.float16().map(Kept::Float16));
        kept.filter(|kept| is_kept(kernels, layout, *kept))
    }

    /// The grain of integers of the product that are made of the file's own: the finest of the parts'. So they are at every
    /// level, whether it keeps them as bytes or not: the same bits. `None` where they are made of decoded weights.
    fn grain(&self, inputs: usize) -> Option<Grain> {
        let grains = self.parts.iter().map(|part| match part.stored? {
            Stored::Integers(grain, _) => Some(grain),
            Stored::Float16(..) => None,
        });
        let finest = grains.reduce(|one, other| Some(one?.max(other?)))??;
        inputs.is_multiple_of(finest.run()).then_some(finest)
    }

    /// The floats of 16 bits that all parts are of.
    fn float16(&self) -> Option<Float16> {
        let kinds = self.parts.iter().map(|part| match part.stored? {
            Stored::Float16(kind, _) => Some(kind),
            Stored::Integers(..) => None,
        });
        kinds.reduce(|one, other| one.filter(|_| one == other))?
    }

    /// Fills a panel, in the form in which it is kept, with zeros where no part has an output.
    fn fill(&self, kernels: &Kernels, index: usize, inputs: usize, kept: Option<Kept>, panel: Slots<'_>) {
        match (panel, self.grain(inputs)) {
            (Slots::I16(panel, scales), Some(grain)) => {
                self.fill_integers(kernels, index, inputs, (grain, kept.is_some()), panel, scales);
            }
            (Slots::Float16(panel), _) => {
                let mut row = vec![0; inputs];
                for column in 0..PANEL {
                    match self.of(index, column) {
                        Some((Part { stored: Some(Stored::Float16(_, bits)), .. }, output)) => {
                            bits(output, &mut row);
                        }
                        Some(_) => unreachable!("a part of other values, among parts of floats of 16 bits"),
                        None => row.fill(0),
                    }
                    set_values(panel, column, &row);
                }
            }
            (panel, _) => {
                PanelSlots::new(kernels, PANEL, inputs, panel).pack(|column, row| {
                    match self.of(index, column) {
                        Some((part, output)) => (part.decode)(output, row),
                        None => row.fill(0.0),
                    }
                });
            }
        }
    }

    /// As [`fill`](Self::fill), of the file's own integers, kept as bytes or not.
    fn fill_integers(
        &self,
        kernels: &Kernels,
        index: usize,
        inputs: usize,
        (grain, are_bytes): (Grain, bool),
        panel: &mut [i16],
        scales: &mut [BlockScale],
    ) {
        let mut own = if are_bytes { Vec::new() } else { vec![0; grain.words(inputs)] };
        let (packed, mut pairs) = if are_bytes { (panel, None) } else { (own.as_mut_slice(), Some(panel)) };
        let scales = scales.as_chunks_mut::<PANEL>().0;
        let mut row = ByteRow::new(inputs);
        for column in 0..PANEL {
            match self.of(index, column) {
                Some((Part { stored: Some(Stored::Integers(_, integers)), .. }, output)) => {
                    integers(output, &mut row.integers, &mut row.of_runs);
                }
                Some(_) => unreachable!("a part without integers, among parts that all have them"),
                None => row.clear(),
            }
            row.set(grain, packed, column, scales);
        }
        let mut scratch = [0; DEPTH * PANEL];
        for (block, scales) in scales.iter_mut().enumerate() {
            let of_block = block * DEPTH..((block + 1) * DEPTH).min(inputs);
            let packed = &packed[grain.words(of_block.start)..grain.words(of_block.end)];
            let integers = match &mut pairs {
                Some(pairs) => &mut pairs[of_block.start * PANEL..of_block.end * PANEL],
                None => &mut scratch[..of_block.len() * PANEL],
            };
            (kernels.unpack)(grain, packed, integers);
            (kernels.cross)(integers, scales);
        }
    }
}
