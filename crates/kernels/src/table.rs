//! The table: what a CPU level offers.

use crate::level::Level;

/// Rows of activations a tile takes.
pub const TILE_ROWS: usize = 6;
/// Outputs a tile gives: the width of a weight panel.
pub const TILE_COLUMNS: usize = 16;
/// The sums of one tile, `[row][output]`.
pub type Tile = [[f32; TILE_COLUMNS]; TILE_ROWS];

/// One row of the table: the functions of a CPU level.
///
/// A level lists what it improves and takes the rest from the level below. All functions assert their
/// shapes.
#[derive(Debug)]
pub struct Kernels {
    /// The level this row belongs to.
    pub level: Level,
    /// A tile of the matrix product: `tile(x, stride, rows, panel, out)` gives, for `rows` (1 to
    /// [`TILE_ROWS`]) rows of `x`, the sums with the [`TILE_COLUMNS`] outputs of `panel`. The inputs are
    /// `panel.len() / TILE_COLUMNS`; each 256 of them are one chain.
    pub tile: fn(&[f32], usize, usize, &[f32], &mut Tile),
    /// `layer_norm(x, weight, bias, eps)` on one row, in place; `bias` may be empty.
    pub layer_norm: fn(&mut [f32], &[f32], &[f32], f32),
    /// `rms_norm(x, weight, eps)` on one row, in place.
    pub rms_norm: fn(&mut [f32], &[f32], f32),
    /// Softmax of one row, in place.
    pub softmax: fn(&mut [f32]),
    /// Exact GELU, in place.
    pub gelu_erf: fn(&mut [f32]),
    /// `up *= gelu_tanh(gate)`.
    pub gated_gelu_tanh: fn(&[f32], &mut [f32]),
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
        match level {
            Level::Scalar => Some(&crate::table_scalar::SCALAR),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Some(&crate::table_avx2::AVX2),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 => None,
        }
    }
}
