//! The searches of K-quants for processors with wider vectors: the same operations in the same order, and so the same bits.
#![allow(unsafe_code)] // a named room: calls of what was compiled for AVX2

use super::k_quants;

macro_rules! compiled {
    ($($name:ident),+) => {$(
        pub(super) fn $name(values: &[f32], out: &mut [u8]) {
            #[target_feature(enable = "avx2")]
            fn here(values: &[f32], out: &mut [u8]) {
                k_quants::$name(values, out);
            }
            // SAFETY: `encoder` hands it out only where AVX2 was detected.
            unsafe { here(values, out) }
        }
    )+};
}

compiled!(q2_k, q3_k, q4_k, q5_k, q6_k);
