//! Writing values as every tensor type that connote makes: the inverse of [`crate::decode`].
//!
//! F16, BF16 and the types of 32 values are the same bits as ggml's reference quantisers. K-quants are searched for
//! here: each block ends with the smallest squared error that a bounded search finds, which is below that of
//! `llama-quantize` without an importance matrix (`crates/convert/tests`, docs/MODELS.md).
//!
//! Values must be finite; who reads a model checks that once for a whole tensor ([`overflows`] says it for a type).

mod asymmetric;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod blocks;
mod half;
mod k_quants;
mod legacy;
mod plain;
mod symmetric;

pub use half::f32_to_f16;

use gguf::TensorType;

use crate::decode::{of_type, types};

/// Encodes whole blocks: `values` in the file's order, `out` little-endian as in the file.
///
/// # Panics
/// If `values` are no whole blocks, or `out` is not exactly their bytes:
/// `values.len() / block_elements * block_bytes == out.len()`.
pub type Encode = fn(values: &[f32], out: &mut [u8]);

/// All of them.
const ENCODERS: [(TensorType, Encode); 13] = [
    (TensorType::F32, plain::f32),
    (TensorType::F16, plain::f16),
    (TensorType::BF16, plain::bf16),
    (TensorType::Q4_0, legacy::q4_0),
    (TensorType::Q4_1, legacy::q4_1),
    (TensorType::Q5_0, legacy::q5_0),
    (TensorType::Q5_1, legacy::q5_1),
    (TensorType::Q8_0, legacy::q8_0),
    (TensorType::Q2_K, k_quants::q2_k),
    (TensorType::Q3_K, k_quants::q3_k),
    (TensorType::Q4_K, k_quants::q4_k),
    (TensorType::Q5_K, k_quants::q5_k),
    (TensorType::Q6_K, k_quants::q6_k),
];

/// Types with an encoder.
pub const ENCODABLE: &[TensorType] = &types(&ENCODERS);

/// Those that search, for processors that have it.
#[cfg(target_arch = "x86_64")]
const WITH_AVX2: [(TensorType, Encode); 5] = [
    (TensorType::Q2_K, avx2::q2_k),
    (TensorType::Q3_K, avx2::q3_k),
    (TensorType::Q4_K, avx2::q4_k),
    (TensorType::Q5_K, avx2::q5_k),
    (TensorType::Q6_K, avx2::q6_k),
];

/// The encode function of a tensor type, or `None` if connote does not write it. Its bits are the same on every
/// processor.
pub fn encoder(ty: TensorType) -> Option<Encode> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && let Some(encode) = of_type(&WITH_AVX2, ty)
    {
        return Some(encode);
    }
    of_type(&ENCODERS, ty)
}

/// Whether a finite value of this magnitude would become infinite in `ty`: beyond what f16 holds, as a value or as the
/// scale of a block.
pub fn overflows(ty: TensorType, largest: f32) -> bool {
    /// What rounds to infinity: half a step above 65504.
    const F16: f32 = 65_520.0;
    match ty {
        TensorType::F32 => false,
        TensorType::BF16 => largest >= f32::from_bits(0x7f7f_8000),
        // Scales are a fraction of the values, but minima are the values themselves.
        _ => largest >= F16,
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn bits_do_not_depend_on_the_processor() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        // Normal values, values of one size, tiny ones, outliers, zeros.
        let mut state = 7u64;
        let values: Vec<f32> = (0..256 * 200)
            .map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let x = (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
                match (i / 256) % 5 {
                    0 => x,
                    1 => x.signum(),
                    2 => x * 1e-6,
                    3 if i % 97 == 0 => x * 300.0,
                    4 if i % 3 == 0 => 0.0,
                    _ => x * x * x,
                }
            })
            .collect();
        for (ty, wide) in WITH_AVX2 {
            let plain = of_type(&ENCODERS, ty).expect("an encoder");
            let of = |encode: Encode| {
                let mut out = vec![0; values.len() / 256 * ty.block_bytes()];
                encode(&values, &mut out);
                out
            };
            assert!(of(plain) == of(wide), "{ty}");
        }
    }
}
