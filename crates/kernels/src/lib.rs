//! Arithmetic on slices, one row of functions per CPU level.
//!
//! The house has three kinds of rooms:
//!
//! - [`decode`]: one plain function per GGUF tensor type, blocks of bytes to `f32`. The oracle for packing;
//!   [`encode`] is its inverse, for making files.
//! - bodies (activations, norms, softmax, RoPE, quantising activations): safe Rust written once over fixed
//!   lanes, so that the compiler vectorises them for whatever level they are compiled at. Their results are
//!   the same bits at every level.
//! - rows ([`Kernels`]): a table per CPU level that lists only what it improves over the level below. A level may have
//!   several for different makers' cores.
//!
//! Every sum has one fixed order that depends on the row alone, never on how many rows are computed
//! together or by how many threads: a text gets the same bits in any batch.
//!
//! Functions assert their shapes and return nothing; what can fail (a type without decoder, a level the
//! machine lacks) is asked before.

mod activation;
mod activations;
mod aligned;
#[cfg(target_arch = "x86_64")]
mod amx;
mod bf16;
mod block_sums;
mod bytes;
pub mod decode;
pub mod encode;
mod gating;
mod lanes;
mod large_pages;
mod layout;
mod level;
mod norm;
mod outliers;
mod panels;
mod peak;
mod product;
mod quantize;
mod rope;
mod rows;
mod scan;
mod shelf;
mod softmax;
mod store;
mod table;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[macro_use]
mod compiled;
mod cuts;
#[cfg(target_arch = "x86_64")]
mod table_amx;
#[cfg(target_arch = "x86_64")]
mod table_avx2;
#[cfg(target_arch = "x86_64")]
mod table_avx512;
#[cfg(target_arch = "x86_64")]
mod table_avx_vnni;
#[cfg(target_arch = "aarch64")]
mod table_neon;
mod table_scalar;
mod tile_bf16;
#[cfg(target_arch = "x86_64")]
mod tile_bytes_avx2;
#[cfg(target_arch = "x86_64")]
mod tile_fields;
#[cfg(target_arch = "x86_64")]
mod tile_i16_256;
#[cfg(target_arch = "x86_64")]
#[macro_use]
mod tile_i16_avx512;
#[cfg(target_arch = "aarch64")]
mod halves_neon;
#[cfg(target_arch = "x86_64")]
mod tile_bytes_avx512;
#[cfg(target_arch = "aarch64")]
mod tile_bytes_neon;
#[cfg(target_arch = "aarch64")]
mod tile_dotprod;
#[cfg(target_arch = "aarch64")]
mod tile_i16_neon;
#[cfg(target_arch = "aarch64")]
mod tile_i8mm;
mod weights;

pub use activations::{Activations, RowSlots};
pub use aligned::Aligned;
pub use layout::Layout;
pub use level::{Level, LevelError};
pub use outliers::Outliers;
pub use panels::{PanelSlots, PanelStore, Panels};
pub use peak::Peak;
pub use product::{Ending, first_input_step, linear, linear_part, matmul};
pub use quantize::BlockScale;
pub use rope::{RopeTable, frequencies};
pub use rows::{Rows, RowsMut};
pub use shelf::Shelf;
pub use table::{DEPTH, Floats, Kernels, PANEL, Sums, TileF32, TileI16};
pub use weights::{Bits, Integers, Kept, Order, Part, Stored, Weights};
