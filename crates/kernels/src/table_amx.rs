//! The AMX level: AVX-512, and tile registers that multiply bf16.

use crate::amx;
use crate::layout::Layout;
use crate::level::Level;
use crate::peak::Peak;
use crate::table::Kernels;
use crate::table_avx512::AVX512;

/// What AMX improves over AVX-512: products of quantised weights, which it turns to bf16.
pub(crate) const AMX: Kernels = Kernels {
    level: Level::Amx,
    quantised: Layout::Bf16,
    bf16_rows: amx::ROWS,
    panel_bf16: amx::panel_bf16,
    release: amx::release,
    peaks: &[
        AVX512.peaks[0],
        AVX512.peaks[1],
        Peak { name: "tdpbf16ps", layout: Layout::Bf16, run: amx::peak, macs: amx::PEAK_MACS },
    ],
    ..AVX512
};
