//! Decoding against the `gguf` Python package, whose results lie in `fixtures/decode`
//! (written by scripts/make_decode_fixtures.py).

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use connote_kernels::decode::{Affine, DECODABLE, Decode, Grain, RUN, decoder, integer_decoder};
use gguf::TensorType;
use proptest::prelude::*;

fn fixture(ty: TensorType, ending: &str) -> Vec<u8> {
    let name = format!("{}.{ending}", ty.name().to_lowercase());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decode").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn known_decoder(ty: TensorType) -> Decode {
    decoder(ty).unwrap_or_else(|| panic!("{ty} is listed as decodable and has no decoder"))
}

fn decoded(ty: TensorType, bytes: &[u8]) -> Vec<f32> {
    // Not zero, so that a value that is not written shows.
    let mut out = vec![-7.25; bytes.len() / ty.block_bytes() * ty.block_elements()];
    known_decoder(ty)(bytes, &mut out);
    out
}

#[test]
fn every_type_has_the_bits_of_the_gguf_package() {
    for &ty in DECODABLE {
        let blocks = fixture(ty, "blocks");
        let wanted = fixture(ty, "f32");
        let wanted: Vec<u32> = wanted.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        let got = decoded(ty, &blocks);
        assert_eq!(got.len(), wanted.len(), "{ty}: number of values");
        assert!(got.len() >= 2000, "{ty}: the fixture holds only {} values", got.len());
        for (i, (got, &wanted)) in got.iter().zip(&wanted).enumerate() {
            assert!(
                got.to_bits() == wanted,
                "{ty}: value {} of block {} is {got:e}, should be {:e}",
                i % ty.block_elements(),
                i / ty.block_elements(),
                f32::from_bits(wanted)
            );
        }
    }
}

#[test]
fn integers_under_their_scales_are_the_decoded_values() {
    let mut found = Vec::new();
    for &ty in DECODABLE {
        let Some((grain, decode)) = integer_decoder(ty) else { continue };
        let blocks = fixture(ty, "blocks");
        let wanted = decoded(ty, &blocks);
        let not_written = Affine { scale: -7.25, offset: 3.5 };
        let (mut integers, mut of_runs) = (vec![77; wanted.len()], vec![not_written; wanted.len() / RUN]);
        decode(&blocks, &mut integers, &mut of_runs);
        let got: Vec<f32> = (0..wanted.len()).map(|i| of_runs[i / RUN].of(integers[i])).collect();
        assert!(same_bits(&got, &wanted), "{ty}");
        if grain == Grain::Coarse {
            for of in of_runs.chunks(grain.run() / RUN) {
                let same = of.iter().all(|other| other.scale.to_bits() == of[0].scale.to_bits());
                assert!(same && of.iter().all(|of| of.offset.to_bits() == (-0.0f32).to_bits()), "{ty}");
            }
        }
        let refused = |blocks: &[u8], integers: usize, runs: usize| {
            catch_unwind(|| decode(blocks, &mut vec![0; integers], &mut vec![not_written; runs])).is_err()
        };
        let (bytes, values, one) = (ty.block_bytes(), ty.block_elements(), &blocks[..ty.block_bytes()]);
        let runs = values / RUN;
        assert!(!refused(one, values, runs) && refused(&blocks[..bytes - 1], values, runs), "{ty}");
        assert!(refused(one, values - 1, runs) && refused(one, values, runs - 1), "{ty}");
        assert!(refused(one, values, runs + 1), "{ty}");
        found.push((ty, grain));
    }
    let coarse = found.iter().filter(|(_, grain)| *grain == Grain::Coarse).map(|(ty, _)| *ty);
    use TensorType::{BF16, F16, F32, IQ4_NL, IQ4_XS, Q4_0, Q5_0, Q8_0};
    assert_eq!(coarse.collect::<Vec<_>>(), [Q4_0, Q5_0, Q8_0, IQ4_NL, IQ4_XS]);
    let floats = DECODABLE.iter().filter(|ty| !found.iter().any(|(found, _)| found == *ty));
    assert_eq!(floats.collect::<Vec<_>>(), [&F32, &F16, &BF16]);
}

#[test]
fn blocks_need_no_alignment() {
    for &ty in DECODABLE {
        let blocks = fixture(ty, "blocks");
        let aligned = decoded(ty, &blocks);
        let mut shifted = vec![0xa5; 3];
        shifted.extend_from_slice(&blocks);
        assert!(same_bits(&decoded(ty, &shifted[3..]), &aligned), "{ty}");
    }
}

#[test]
fn the_list_and_the_decoders_agree() {
    for &ty in TensorType::ALL {
        assert_eq!(decoder(ty).is_some(), DECODABLE.contains(&ty), "{ty}");
    }
}

#[test]
fn nothing_decodes_to_nothing() {
    for &ty in DECODABLE {
        known_decoder(ty)(&[], &mut []);
    }
}

#[test]
fn wrong_lengths_are_named() {
    for &ty in DECODABLE {
        let (bytes, values) = (ty.block_bytes(), ty.block_elements());
        let message = |given: usize, room: usize| {
            let panic = catch_unwind(|| known_decoder(ty)(&vec![0; given], &mut vec![0.0; room]))
                .expect_err("lengths that do not fit");
            *panic.downcast::<String>().expect("a formatted message")
        };
        assert_eq!(
            message(2 * bytes - 1, 2 * values),
            format!("{ty}: {} bytes are no whole blocks of {bytes}", 2 * bytes - 1)
        );
        for room in [0, 2 * values - 1, 2 * values + 1, 3 * values] {
            assert_eq!(
                message(2 * bytes, room),
                format!("{ty}: 2 blocks of {values} values do not fill {room} values")
            );
        }
    }
}

/// Equal in bits, but for the payload of a NaN, which IEEE 754 leaves to the processor.
fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
}

fn type_and_blocks() -> impl Strategy<Value = (TensorType, Vec<u8>)> {
    (prop::sample::select(DECODABLE), 0usize..20).prop_flat_map(|(ty, blocks)| {
        (Just(ty), prop::collection::vec(any::<u8>(), blocks * ty.block_bytes()))
    })
}

proptest! {
    #[test]
    fn a_block_decodes_alike_alone_and_among_others((ty, bytes) in type_and_blocks()) {
        let together = decoded(ty, &bytes);
        let alone: Vec<f32> = bytes.chunks(ty.block_bytes()).flat_map(|block| decoded(ty, block)).collect();
        prop_assert!(same_bits(&together, &alone), "{ty}");
    }

    #[test]
    fn finite_scales_give_finite_values((ty, bytes) in type_and_blocks()) {
        // f16 scales times at most 6-bit scales times at most 8-bit values stay far below f32's largest value:
        // so what is not finite in the output was not finite in the file.
        let scale_bytes: &[usize] = match ty {
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => return Ok(()),
            TensorType::Q4_1 | TensorType::Q5_1 | TensorType::Q4_K | TensorType::Q5_K => &[1, 3],
            TensorType::Q2_K => &[81, 83],
            TensorType::Q3_K => &[109],
            TensorType::Q6_K => &[209],
            _ => &[1],
        };
        let mut bytes = bytes;
        for block in bytes.chunks_mut(ty.block_bytes()) {
            for &at in scale_bytes {
                block[at] &= 0b1011_1111; // an exponent below that of infinity
            }
        }
        prop_assert!(decoded(ty, &bytes).iter().all(|value| value.is_finite()), "{ty}");
    }
}
