//! Encoding against ggml's own quantisers, whose results lie in `fixtures/encode` (written by
//! scripts/make_encode_fixtures.py).

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use connote_kernels::decode::{DECODABLE, decoder};
use connote_kernels::encode::{ENCODABLE, encoder, overflows};
use gguf::TensorType;
use proptest::prelude::*;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encode").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn values() -> Vec<f32> {
    fixture("values.f32").as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn encoded(ty: TensorType, values: &[f32]) -> Vec<u8> {
    let mut out = vec![0xa5; values.len() / ty.block_elements() * ty.block_bytes()];
    encoder(ty).expect("an encoder")(values, &mut out);
    out
}

fn decoded(ty: TensorType, bytes: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; bytes.len() / ty.block_bytes() * ty.block_elements()];
    decoder(ty).expect("a decoder")(bytes, &mut out);
    out
}

fn squared_error(values: &[f32], decoded: &[f32]) -> f64 {
    values.iter().zip(decoded).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
}

#[test]
fn plain_types_and_types_of_32_values_have_ggmls_bits() {
    for &ty in ENCODABLE.iter().filter(|ty| ty.block_elements() < 256 && **ty != TensorType::F32) {
        let wanted = fixture(&format!("{}.blocks", ty.name().to_lowercase()));
        let got = encoded(ty, &values());
        assert_eq!(got.len(), wanted.len(), "{ty}");
        let size = ty.block_bytes();
        for (i, (got, wanted)) in got.chunks(size).zip(wanted.chunks(size)).enumerate() {
            assert_eq!(got, wanted, "{ty}: block {i}");
        }
    }
}

/// The search may become faster, but what it finds stays: files of one model are the same bytes in every version.
#[test]
fn k_quants_have_the_bits_that_they_had() {
    let wanted = [
        (TensorType::Q2_K, 0xa355_888c_55aa_3eb3),
        (TensorType::Q3_K, 0x5fa6_6456_2e84_197a),
        (TensorType::Q4_K, 0x4a80_049e_bab7_26d6),
        (TensorType::Q5_K, 0xb3b2_9426_58fd_e531),
        (TensorType::Q6_K, 0x9cd7_f907_b8e5_26fa),
    ];
    for (ty, wanted) in wanted {
        // FNV-1a.
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        let hash = encoded(ty, &values()).iter().fold(0xcbf2_9ce4_8422_2325, fold);
        assert_eq!(hash, wanted, "{ty}: {hash:#x}");
    }
}

/// Sub-blocks far smaller than their neighbours keep what the type can hold of them.
#[test]
fn small_weights_beside_large_ones_are_not_zeros() {
    for ty in [TensorType::Q3_K, TensorType::Q6_K] {
        // One sub-block of 0.02, fifteen of 0.001, a twentieth of it.
        let sign = |i: usize| if (i * 7 + i / 3).is_multiple_of(2) { 1.0 } else { -1.0 };
        let size = |i: usize| if i / 16 == 5 { 0.02 } else { 0.001 };
        let values: Vec<f32> = (0..256).map(|i| sign(i) * size(i) * (0.5 + (i % 11) as f32 / 11.0)).collect();
        let read = decoded(ty, &encoded(ty, &values));
        for s in 0..16 {
            let (values, read) = (&values[16 * s..][..16], &read[16 * s..][..16]);
            let share = squared_error(values, read) / squared_error(values, &[0.0; 16]);
            assert!(
                share < 0.1,
                "{ty}: sub-block {s} loses {share} of its square: {values:?} became {read:?}"
            );
        }
    }
}

/// On every block of 256 values, not only in sum.
#[test]
fn k_quants_err_no_more_than_ggmls() {
    for &ty in ENCODABLE.iter().filter(|ty| ty.block_elements() == 256) {
        let values = values();
        let theirs = decoded(ty, &fixture(&format!("{}.blocks", ty.name().to_lowercase())));
        let ours = decoded(ty, &encoded(ty, &values));
        let (mut sum, mut their_sum, mut worse) = (0.0, 0.0, Vec::new());
        for (i, values) in values.chunks(256).enumerate() {
            let of = |decoded: &[f32]| squared_error(values, &decoded[i * 256..][..256]);
            let (ours, theirs) = (of(&ours), of(&theirs));
            let square: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
            // Where both are far below what matters, rounding of f16 decides.
            if ours > theirs * 1.02 + square * 1e-7 {
                worse.push((i, ours, theirs));
            }
            if square > 0.0 {
                sum += ours / square;
                their_sum += theirs / square;
            }
        }
        println!("{ty}: {:.4} of their error", sum / their_sum);
        assert!(worse.is_empty(), "{ty}: blocks, our error, theirs: {worse:?}");
        assert!(sum < their_sum, "{ty}: {sum} is not below {their_sum}");
    }
}

#[test]
fn writing_again_costs_little() {
    for &ty in ENCODABLE {
        let once = decoded(ty, &encoded(ty, &values()));
        let square: f64 = once.iter().map(|x| f64::from(*x).powi(2)).sum();
        let again = decoded(ty, &encoded(ty, &once));
        let error = squared_error(&once, &again);
        // A block that was written can be written again: types with one scale nearly so, K-quants
        // up to a few hundredths of what the first writing cost.
        let bound = if ty.block_elements() == 256 { 4e-3 } else { 1e-4 };
        assert!(error <= square * bound, "{ty}: {}", error / square);
    }
}

#[test]
fn every_type_that_is_written_is_read() {
    assert!(ENCODABLE.iter().all(|ty| DECODABLE.contains(ty)));
    let readable_only: Vec<_> = DECODABLE.iter().filter(|ty| encoder(**ty).is_none()).collect();
    assert_eq!(readable_only, [&TensorType::IQ4_NL, &TensorType::IQ4_XS]);
}

#[test]
fn lengths_are_checked() {
    for &ty in ENCODABLE {
        let encode = encoder(ty).expect("an encoder");
        let values = vec![0.5; ty.block_elements()];
        let short = catch_unwind(|| encode(&values, &mut vec![0; ty.block_bytes() - 1]));
        assert!(short.is_err(), "{ty}");
        let more = catch_unwind(|| encode(&values, &mut vec![0; 2 * ty.block_bytes()]));
        assert!(more.is_err(), "{ty}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any finite values, of any size and mixture of sizes: what is read back is finite, unless it was said to overflow.
    #[test]
    fn any_finite_values_are_written(bits in proptest::collection::vec(any::<u32>(), 256), shrink in 0..200i32) {
        let scale = 2f32.powi(-shrink);
        let finite = |bits| Some(f32::from_bits(bits)).filter(|x| x.is_finite()).unwrap_or(1.0) * scale;
        let values: Vec<f32> = bits.into_iter().map(finite).collect();
        let largest = values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        for &ty in ENCODABLE.iter().filter(|ty| !overflows(**ty, largest)) {
            let got = decoded(ty, &encoded(ty, &values));
            prop_assert!(got.iter().all(|x| x.is_finite()), "{ty}: {largest:e}");
            let square: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
            // Never worse than writing nothing but zeros, up to what f16 cannot hold.
            let zeros = 256.0 * 1e-12;
            prop_assert!(squared_error(&values, &got) <= square * 1.001 + zeros, "{ty}");
        }
    }
}
