//! The table: what a CPU level offers.

use crate::level::Level;

/// Outputs a weight panel holds.
pub const PANEL: usize = 16;
/// The most rows of activations that any level's tile takes.
pub(crate) const MOST_ROWS: usize = 6;
/// The most panels that any level's tile takes.
pub(crate) const MOST_PANELS: usize = 4;
/// The sums of one tile, `[row][output]`.
pub type Sums = [[f32; PANEL * MOST_PANELS]; MOST_ROWS];

/// What a tile of the f32 product reads: `rows` rows of activations, and panels one after the other.
#[derive(Debug, Clone, Copy)]
pub struct TileF32<'a> {
    /// Row after row, `stride` apart.
    pub x: &'a [f32],
    /// See `x`.
    pub stride: usize,
    /// 1 to the level's most.
    pub rows: usize,
    /// The first panel, from the first input on: [`PANEL`] outputs an input.
    pub panels: &'a [f32],
    /// Values from one panel to the next.
    pub panel_stride: usize,
    /// 1 to the level's most.
    pub panel_count: usize,
    /// Inputs to sum.
    pub inputs: usize,
}

/// What a tile of the i16 product reads. Inputs come in pairs, so their number is even; every
/// [`crate::DEPTH`] inputs have scales of their own.
#[derive(Debug, Clone, Copy)]
pub struct TileI16<'a> {
    /// Row after row of `inputs` values.
    pub x: &'a [i16],
    /// Row after row, a scale a block of inputs.
    pub x_scales: &'a [f32],
    /// 1 to the level's most.
    pub rows: usize,
    /// Panel after panel: for every pair of inputs, [`PANEL`] outputs of two values.
    pub panels: &'a [i16],
    /// Panel after panel: for every block of inputs, [`PANEL`] scales.
    pub scales: &'a [f32],
    /// 1 to the level's most.
    pub panel_count: usize,
    /// Inputs to sum.
    pub inputs: usize,
}

/// A tile's shape: rows of activations and panels of weights that a level takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows at most.
    pub rows: usize,
    /// Panels at most.
    pub panels: usize,
}

type LayerNormTo = fn(&[f32], &[f32], &[f32], f32, &mut [f32]);

/// One row of the table: the functions of a CPU level.
///
/// A level lists what it improves and takes the rest from the level below. All functions assert their
/// shapes.
#[derive(Debug)]
pub struct Kernels {
    /// The level this row belongs to.
    pub level: Level,
    /// Shape of the tiles, of both products.
    pub shape: Shape,
    /// A tile of the f32 product: every [`crate::DEPTH`] inputs are one chain, the chains added in order.
    pub tile_f32: fn(&TileF32<'_>, &mut Sums),
    /// A tile of the i16 product: every [`crate::DEPTH`] inputs are summed exactly in i32, scaled, and
    /// added in order. The same bits at every level.
    pub tile_i16: fn(&TileI16<'_>, &mut Sums),
    /// `quantize(x, q, scales)`: one row of activations to 12 bits, a scale every [`crate::DEPTH`] inputs.
    /// `q` may be one longer than `x` (inputs come in pairs) and is filled with zero there.
    pub quantize: fn(&[f32], &mut [i16], &mut [f32]),
    /// `layer_norm(x, weight, bias, eps)` on one row, in place; `bias` may be empty.
    pub layer_norm: fn(&mut [f32], &[f32], &[f32], f32),
    /// `rms_norm(x, weight, eps)` on one row, in place.
    pub rms_norm: fn(&mut [f32], &[f32], f32),
    /// `layer_norm_to(x, weight, bias, eps, out)`: the same bits as `layer_norm`, into another row.
    pub layer_norm_to: LayerNormTo,
    /// `rms_norm_to(x, weight, eps, out)`: the same bits as `rms_norm`, into another row.
    pub rms_norm_to: fn(&[f32], &[f32], f32, &mut [f32]),
    /// Softmax of one row, in place.
    pub softmax: fn(&mut [f32]),
    /// Exact GELU, in place.
    pub gelu_erf: fn(&mut [f32]),
    /// SiLU, in place.
    pub silu: fn(&mut [f32]),
    /// `up *= gelu_erf(gate)`.
    pub gated_gelu_erf: fn(&[f32], &mut [f32]),
    /// `up *= gelu_tanh(gate)`.
    pub gated_gelu_tanh: fn(&[f32], &mut [f32]),
    /// `up *= silu(gate)`.
    pub gated_silu: fn(&[f32], &mut [f32]),
    /// `rope(head, cos, sin)`: turns one head, in place.
    pub rope: fn(&mut [f32], &[f32], &[f32]),
    /// `x += y`.
    pub add: fn(&mut [f32], &[f32]),
    /// `x *= factor`.
    pub scale: fn(&mut [f32], f32),
}

impl Kernels {
    /// The row of a level, or `None` if this machine lacks it.
    pub fn of(level: Level) -> Option<&'static Kernels> {
        if !level.is_available() {
            return None;
        }
        Some(match level {
            Level::Scalar => &crate::table_scalar::SCALAR,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &crate::table_avx2::AVX2,
            #[cfg(target_arch = "x86_64")]
            Level::AvxVnni => &crate::table_avx_vnni::AVX_VNNI,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &crate::table_avx512::AVX512,
            #[cfg(not(target_arch = "x86_64"))]
            _ => return None,
        })
    }
}

/// Whether a slice of `len` values holds `count` runs (at least one) of `width` values, each `stride` after
/// the one before. What overflows fits nowhere: the tiles read unchecked, so no sum here may wrap.
fn holds(len: usize, count: usize, stride: usize, width: Option<usize>) -> bool {
    let end = || (count - 1).checked_mul(stride)?.checked_add(width?);
    end().is_some_and(|end| end <= len)
}

impl TileF32<'_> {
    /// Asserts that everything lies inside its slice.
    pub(crate) fn check(&self, shape: Shape) {
        assert!((1..=shape.rows).contains(&self.rows), "a tile of {} rows", self.rows);
        assert!((1..=shape.panels).contains(&self.panel_count), "a tile of {} panels", self.panel_count);
        let inputs = Some(self.inputs);
        assert!(holds(self.x.len(), self.rows, self.stride, inputs), "a tile past its activations");
        let panel = self.inputs.checked_mul(PANEL);
        assert!(
            holds(self.panels.len(), self.panel_count, self.panel_stride, panel),
            "a tile past its weights"
        );
    }
}

impl TileI16<'_> {
    /// Blocks of inputs, each with a scale.
    pub(crate) fn blocks(&self) -> usize {
        self.inputs.div_ceil(crate::DEPTH)
    }

    /// Asserts that everything lies inside its slice.
    pub(crate) fn check(&self, shape: Shape) {
        assert!((1..=shape.rows).contains(&self.rows), "a tile of {} rows", self.rows);
        assert!((1..=shape.panels).contains(&self.panel_count), "a tile of {} panels", self.panel_count);
        assert!(self.inputs.is_multiple_of(2), "inputs come in pairs");
        let (inputs, blocks) = (self.inputs, self.blocks());
        let packed = |len: usize, count: usize, width: Option<usize>| {
            width.is_some_and(|stride| holds(len, count, stride, width))
        };
        assert!(packed(self.x.len(), self.rows, Some(inputs)), "a tile past its activations");
        assert!(packed(self.x_scales.len(), self.rows, Some(blocks)), "a tile past its activations' scales");
        let (panel, scales) = (inputs.checked_mul(PANEL), blocks.checked_mul(PANEL));
        assert!(packed(self.panels.len(), self.panel_count, panel), "a tile past its weights");
        assert!(packed(self.scales.len(), self.panel_count, scales), "a tile past its weights' scales");
    }
}
