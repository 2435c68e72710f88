//! The table: what a CPU level offers.

use std::ops::Range;

use crate::decode::{Float16, Grain};
use crate::layout::Layout;
use crate::level::Level;
use crate::outliers::Outlier;
use crate::peak::Peak;
use crate::quantize::BlockScale;
use crate::rows::{PanelCells, Rows};
use crate::tile_bf16::PanelBf16;

/// Outputs a weight panel holds.
pub const PANEL: usize = 32;
/// Inputs summed in one chain. Each block of this many inputs has its own chain, and the blocks' sums are
/// added in order: a fixed order whatever the number of rows, and a shorter chain rounds less.
pub const DEPTH: usize = 256;
/// How far ahead an f32 tile prefetches weights, in bytes: as many as a block of i16 or of floats of 16 bits, into the second cache, where they arrive
/// while these are multiplied. (Prefetched into the first cache, products of 11 rows lost a third.)
/// What lies there is the next block or the next panel; past the end it is nothing, and a prefetch of nothing does
/// nothing.
#[cfg(target_arch = "x86_64")]
pub(crate) const AHEAD: usize = DEPTH * PANEL * size_of::<i16>();
/// From this many rows on a tile of 256-bit vectors prefetches weights, and from one more an f32 tile of 512-bit ones.
/// With fewer, memory is the limit and the hardware's own prefetching does better alone; but not for tiles of bytes and of floats of
/// 16 bits, which always prefetch (docs/KERNELS.md).
#[cfg(target_arch = "x86_64")]
pub(crate) const PREFETCH_ROWS: usize = 3;

/// What a tile of the f32 product reads: rows of activations, and one panel of weights, over at most
/// [`DEPTH`] inputs.
#[derive(Debug, Clone, Copy)]
pub struct TileF32<'a> {
    /// Row after row, `stride` apart.
    pub x: &'a [f32],
    /// See `x`.
    pub stride: usize,
    /// 1 to the level's most.
    pub rows: usize,
    /// [`PANEL`] outputs an input.
    pub panel: Floats<'a>,
    /// Inputs to sum.
    pub inputs: usize,
}

/// Values of an f32 product's weights.
#[derive(Debug, Clone, Copy)]
pub enum Floats<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// As they are, in a near cache: there is nothing to prefetch.
    Near(&'a [f32]),
    /// As bits of floats of 16 bits, which are widened exactly.
    Float16(Float16, &'a [u16]),
}

impl Floats<'_> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Floats::F32(values) | Floats::Near(values) => values.len(),
            Floats::Float16(_, bits) => bits.len(),
        }
    }

    /// Where the first is.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(crate) fn as_ptr(&self) -> *const u8 {
        match self {
            Floats::F32(values) | Floats::Near(values) => values.as_ptr().cast(),
            Floats::Float16(_, bits) => bits.as_ptr().cast(),
        }
    }
}

/// What a tile of the i16 product reads: one block of inputs, which has scales of its own. Inputs come in
/// pairs, so their number is even, and at most [`DEPTH`].
#[derive(Debug, Clone, Copy)]
pub struct TileI16<'a> {
    /// Row after row, `stride` apart; at most 2895 on either side of 0, as `quantize` gives them.
    pub x: &'a [i16],
    /// See `x`.
    pub stride: usize,
    /// What `quantize` gave beside each row's block of these inputs, `scale_stride` apart.
    pub x_scales: &'a [BlockScale],
    /// See `x_scales`.
    pub scale_stride: usize,
    /// 1 to the level's most.
    pub rows: usize,
    /// For every pair of inputs, [`PANEL`] outputs of two values; as large as `x`. Or what is kept of them as bytes.
    pub panel: &'a [i16],
    /// The grain of weights that are kept as bytes: those are for [`Kernels::tile_bytes`].
    pub grain: Option<Grain>,
    /// What `quantize` gave beside each output's block of these inputs.
    pub scales: &'a [BlockScale; PANEL],
    /// Inputs to sum.
    pub inputs: usize,
    /// Whether they are all of the block, so that what stands beside it is of them ([`BlockScale::crossed`]).
    pub is_whole: bool,
    /// Whether no other tile meets these weights now, so that they may come from memory while they are multiplied.
    pub is_alone: bool,
    /// Weights that are read after these, to be prefetched.
    pub ahead: &'a [i16],
}

/// Sums of a tile, a row each.
pub type Sums = [[f32; PANEL]];

type PanelProduct = fn(&PanelBf16<'_>, &mut Sums, &mut PanelCells<'_>, &mut dyn FnMut());
type QuantizeColumns = fn(Rows<'_>, &[f32], &mut [i16], &mut [BlockScale; PANEL]);
type TakeOutliers = fn(&mut [f32], Range<usize>, &[f32], &mut Vec<Outlier>);
type TileWidening = fn(&TileF32<'_>, &mut Sums, &mut [f32]);
type LayerNormTo = fn(&[f32], &[f32], &[f32], f32, &mut [f32]);

/// One row of the table: the functions of a CPU level.
///
/// A level lists what it improves and takes the rest from the level below. All functions assert their
/// shapes.
#[derive(Debug, Clone, Copy)]
pub struct Kernels {
    /// The level this row belongs to.
    pub level: Level,
    /// The layout that quantised weights are packed in.
    pub quantised: Layout,
    /// Rows that a tile of the f32 and of the i16 product takes at most.
    pub tile_rows: usize,
    /// `i16_rows(rows, are_bytes)`: rows that a tile of the i16 product should have at most.
    pub(crate) i16_rows: fn(usize, bool) -> usize,
    /// A tile of the f32 product: the inputs' products are one chain, which is added to the sums.
    pub tile_f32: fn(&TileF32<'_>, &mut Sums),
    /// `tile_widening(tile, sums, room)`: as `tile_f32`, of floats of 16 bits, whose values are left in the room for the tiles
    /// that follow. None where each tile had better widen them for itself.
    pub(crate) tile_widening: Option<TileWidening>,
    /// Whether the level keeps weights of floats of 16 bits as such. Its tiles take them in any case.
    pub keeps_float16: bool,
    /// A tile of the i16 product: the inputs' products are summed exactly in i32, scaled, and added to the
    /// sums. The same bits at every level.
    pub tile_i16: fn(&TileI16<'_>, &mut Sums),
    /// Rows that a tile of the bf16 product takes: blocks of rows are some of those.
    pub(crate) bf16_rows: usize,
    /// `tile_bytes(tile, sums, room)`: as `tile_i16`, of weights that are kept as bytes. Where more tiles meet them, `room`
    /// is for as many integers, and what the others want of them is left there.
    pub tile_bytes: fn(&TileI16<'_>, &mut Sums, &mut [i16]),
    /// As `tile_i16`, of what `tile_bytes` left in its room: the level knows in which form.
    pub tile_left: fn(&TileI16<'_>, &mut Sums),
    /// Whether those prefetch the block after the next one, each a share of it, and not the next one once more.
    pub(crate) shares_ahead: bool,
    /// Rows that such a tile takes at most without room. 0 at a level that keeps no weights as bytes.
    pub byte_rows: usize,
    /// `unpack(grain, panel, out)`: whole runs of a panel of bytes as pairs of i16. The same bits at every level.
    pub(crate) unpack: fn(Grain, &[i16], &mut [i16]),
    /// `cross(panel, scales)`: [`BlockScale::crossed`] of the outputs of a panel's block.
    pub(crate) cross: fn(&[i16], &mut [BlockScale; PANEL]),
    /// The bf16 product of a panel and some rows, in the order of [`TileBf16`](crate::tile_bf16::TileBf16). The same
    /// bits at every level, but for denormal values, which AMX takes for zero. The last argument may be called now
    /// and then, for work that other units of the core can do meanwhile; what is left of it is the caller's.
    pub(crate) panel_bf16: PanelProduct,
    /// What a thread calls after its part of a product: gives the tile unit back, where there is one.
    pub(crate) release: fn(),
    /// `to_bf16(x, out)`: rounded to nearest even; `out` may be longer and is zero there.
    pub to_bf16: fn(&[f32], &mut [u16]),
    /// `quantize(x, q, scales)`: one row of activations, or one output's weights, to integers, a scale every
    /// [`DEPTH`] inputs.
    /// `q` may be one longer than `x` (inputs come in pairs) and is filled with zero there.
    pub quantize: fn(&[f32], &mut [i16], &mut [BlockScale]),
    /// `row_scales(rows, out)`: the power of two at or below every row's largest value, without the sign (at most
    /// 2^126); 0 where that power is below 1e-30, and 1 where one is not finite, so that it shows in its column alone.
    pub(crate) row_scales: fn(Rows<'_>, &mut [f32]),
    /// `quantize_columns(rows, row_scales, q, scales)`: up to [`PANEL`] columns of a block of rows, each row divided by its
    /// scale, to what a panel of an i16 product has of it; zeros where there are no columns.
    pub(crate) quantize_columns: QuantizeColumns,
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
    /// `take_outliers(weights, shown, scales, outliers)`: multiplies one row of softmax, of which only `shown` is not 0, with
    /// the scales of what it weighs, and appends what stands out instead. The same bits at every level.
    pub(crate) take_outliers: TakeOutliers,
    /// `add_outliers(out, values, outliers)`: adds what those weights give of the values, a row each. The same bits at
    /// every level.
    pub(crate) add_outliers: fn(&mut [f32], Rows<'_>, &[Outlier]),
    /// Exact GELU, in place.
    pub gelu_erf: fn(&mut [f32]),
    /// SiLU, in place.
    pub silu: fn(&mut [f32]),
    /// ReLU, in place.
    pub relu: fn(&mut [f32]),
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
    /// `add_to_rows(sums, bias)`: the bias of a panel's outputs to every row of sums.
    pub add_to_rows: fn(&mut Sums, &[f32]),
    /// `x *= factor`.
    pub scale: fn(&mut [f32], f32),
    /// `dot_f32(query, rows, out)`: the dot product of every row with the query. The same bits at every level.
    pub dot_f32: fn(&[f32], &[f32], &mut [f32]),
    /// `dot_f16(query, rows, out)`: as `dot_f32`, of rows of finite halves.
    pub dot_f16: fn(&[f32], &[u16], &mut [f32]),
    /// `dot_i8(query, rows, out)`: as `dot_f32`, exactly, of at most 65,536 values a row.
    pub dot_i8: fn(&[i8], &[i8], &mut [i32]),
    /// `differing_bits(query, rows, out)`: in how many bits every row differs from the query.
    pub differing_bits: fn(&[u8], &[u8], &mut [u32]),
    /// `read_words(words, sums)`: adds words up in eight chains, in whole registers: the least that can be done with what
    /// memory gives, for measuring it.
    pub read_words: fn(&[u64], &mut [u64; 8]),
    /// Loops over registers alone that show what the level's multiplications could reach.
    pub peaks: &'static [Peak],
}

impl Kernels {
    /// The same functions, but quantised weights in another layout: every level multiplies every layout, so that
    /// what AMX's arithmetic gives can be seen without AMX.
    #[must_use]
    pub fn quantised_as(&self, layout: Layout) -> Self {
        Self { quantised: layout, ..*self }
    }

    /// The best row of a level for this machine, or `None` if it lacks the level.
    pub fn of(level: Level) -> Option<&'static Kernels> {
        Self::all_of(level).first().copied()
    }

    /// All rows of a level, the best for this machine first; none if it lacks the level. They give the same bits.
    pub fn all_of(level: Level) -> &'static [&'static Kernels] {
        if !level.is_available() {
            return &[];
        }
        match level {
            Level::Scalar => &[&crate::table_scalar::SCALAR],
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => crate::table_avx2::rows(),
            #[cfg(target_arch = "x86_64")]
            Level::AvxVnni => &[&crate::table_avx_vnni::AVX_VNNI],
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => crate::table_avx512::rows(),
            #[cfg(target_arch = "x86_64")]
            Level::Amx => &[&crate::table_amx::AMX],
            #[cfg(target_arch = "aarch64")]
            Level::Neon => crate::table_neon::rows(),
            // Levels of other architectures: never available.
            _ => &[],
        }
    }
}

/// Whether a slice of `len` values holds `count` runs (at least one) of `width` values, each `stride` after
/// the one before. What overflows fits nowhere: the tiles read unchecked, so no sum here may wrap.
pub(crate) fn holds(len: usize, count: usize, stride: usize, width: Option<usize>) -> bool {
    let end = || (count - 1).checked_mul(stride)?.checked_add(width?);
    end().is_some_and(|end| end <= len)
}

/// Asserts what all tiles have in common: a number of rows that the level takes, a sum for each.
pub(crate) fn check_rows(rows: usize, most: usize, sums: usize) {
    assert!((1..=most).contains(&rows), "a tile of {rows} rows");
    assert!(rows <= sums, "a tile of {rows} rows into {sums} sums");
}

impl TileF32<'_> {
    /// Asserts that everything lies inside its slice.
    pub(crate) fn check(&self, most_rows: usize, sums: &Sums) {
        check_rows(self.rows, most_rows, sums.len());
        let inputs = Some(self.inputs);
        assert!(holds(self.x.len(), self.rows, self.stride, inputs), "a tile past its activations");
        assert!(holds(self.panel.len(), 1, 0, self.inputs.checked_mul(PANEL)), "a tile past its weights");
    }
}

/// Which [`Floats`] a function is for.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) mod held {
    pub(crate) const F32: u8 = 0;
    pub(crate) const F16: u8 = 1;
    pub(crate) const BF16: u8 = 2;
    pub(crate) const NEAR: u8 = 3;
}

/// Calls `$of::<HELD>` for what the tile's panel holds.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! by_held {
    ($of:ident, $tile:expr, $sums:expr) => {
        match $tile.panel {
            $crate::table::Floats::F32(_) => $of::<{ $crate::table::held::F32 }>($tile, $sums),
            $crate::table::Floats::Near(_) => $of::<{ $crate::table::held::NEAR }>($tile, $sums),
            $crate::table::Floats::Float16($crate::decode::Float16::F16, _) => {
                $of::<{ $crate::table::held::F16 }>($tile, $sums)
            }
            $crate::table::Floats::Float16($crate::decode::Float16::Bf16, _) => {
                $of::<{ $crate::table::held::BF16 }>($tile, $sums)
            }
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use by_held;

impl TileI16<'_> {
    /// As [`check`](Self::check), of weights that are bytes.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(crate) fn check_bytes(&self, most_rows: usize, sums: &Sums) {
        assert!(self.grain.is_some(), "weights that are not bytes");
        self.check(most_rows, sums);
    }

    /// As [`check`](Self::check), of weights that are not bytes.
    pub(crate) fn check_pairs(&self, most_rows: usize, sums: &Sums) {
        assert!(self.grain.is_none(), "weights that are bytes");
        self.check(most_rows, sums);
    }

    /// Asserts that everything lies inside its slice, and that the sums cannot overflow.
    pub(crate) fn check(&self, most_rows: usize, sums: &Sums) {
        check_rows(self.rows, most_rows, sums.len());
        assert!(self.inputs.is_multiple_of(2), "inputs come in pairs");
        let inputs = Some(self.inputs);
        assert!(holds(self.x.len(), self.rows, self.stride, inputs), "a tile past its activations");
        let scales = holds(self.x_scales.len(), self.rows, self.scale_stride, Some(1));
        assert!(scales, "a tile past its activations' scales");
        assert!(self.inputs <= DEPTH, "{} inputs under one scale", self.inputs);
        let weights = if let Some(grain) = self.grain {
            assert!(self.inputs.is_multiple_of(grain.run()), "bytes come in whole runs");
            Some(grain.words(self.inputs))
        } else {
            self.inputs.checked_mul(PANEL)
        };
        assert!(holds(self.panel.len(), 1, 0, weights), "a tile past its weights");
    }
}
