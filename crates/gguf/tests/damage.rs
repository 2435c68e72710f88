//! Damaged files: each truncation, random changes, random bytes. Never a panic, and what opens can be read.

mod raw;

use connote_gguf::{ErrorKind, Gguf, Writer};
use proptest::prelude::*;

fn small() -> Vec<u8> {
    raw::small().to_bytes().expect("valid")
}

#[test]
fn every_truncation_is_an_error() {
    let keys_only = Writer::new().metadata("a", 1u8).metadata("b", vec!["c", "d"]).to_bytes().expect("valid");
    for file in [small(), keys_only] {
        raw::touch(&Gguf::from_bytes(file.clone()).expect("whole"));
        for length in 0..file.len() {
            let error = Gguf::from_bytes(file[..length].to_vec()).expect_err("truncated");
            let kind = if length < 4 { ErrorKind::NotGguf } else { ErrorKind::Truncated };
            assert_eq!(error.kind(), kind, "{length} bytes: {error}");
        }
    }
}

/// Other writers leave the padding behind the last tensor out.
#[test]
fn padding_at_the_end_may_be_missing() {
    let writer = Writer::new().tensor("a", connote_gguf::TensorType::I8, &[1], vec![7]);
    let file = writer.to_bytes().expect("valid");
    assert_eq!(file.len() % 32, 0);
    let gguf = Gguf::from_bytes(file[..file.len() - 31].to_vec()).expect("whole but for padding");
    assert_eq!(gguf.tensor_at(0).bytes(), [7]);
    assert!(Gguf::from_bytes(file[..file.len() - 32].to_vec()).is_err());
}

#[test]
fn every_byte_set_to_extremes() {
    let file = small();
    for at in 0..file.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff, file[at].wrapping_add(1), file[at].wrapping_sub(1)] {
            let mut file = file.clone();
            file[at] = byte;
            if let Ok(gguf) = Gguf::from_bytes(file) {
                raw::touch(&gguf);
            }
        }
    }
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn changed_bytes(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut file = small();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(gguf) = Gguf::from_bytes(file) {
            raw::touch(&gguf);
        }
    }

    #[test]
    fn changed_words(at in any::<prop::sample::Index>(), word in any::<u64>(), shift in 0u32..64) {
        let mut file = small();
        let at = at.index(file.len() - 8);
        file[at..at + 8].copy_from_slice(&(word >> shift).to_le_bytes());
        if let Ok(gguf) = Gguf::from_bytes(file) {
            raw::touch(&gguf);
        }
    }

    #[test]
    fn removed_and_repeated(from in any::<prop::sample::Index>(), length in 0usize..200, again in any::<bool>()) {
        let mut file = small();
        let from = from.index(file.len());
        let to = file.len().min(from + length);
        if again {
            let piece = file[from..to].to_vec();
            file.splice(to..to, piece);
        } else {
            file.drain(from..to);
        }
        if let Ok(gguf) = Gguf::from_bytes(file) {
            raw::touch(&gguf);
        }
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Gguf::from_bytes(bytes).is_err());
    }

    /// Behind a valid start, with counts that random bytes would never have.
    #[test]
    fn random_tables(tensors in 0u64..4, keys in 0u64..4, bytes in prop::collection::vec(0u8..14, 0..400)) {
        let file = [b"GGUF\x03\0\0\0", &tensors.to_le_bytes()[..], &keys.to_le_bytes(), &bytes].concat();
        if let Ok(gguf) = Gguf::from_bytes(file) {
            raw::touch(&gguf);
        }
    }
}
