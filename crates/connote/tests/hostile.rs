//! Damaged model files all the way through: an error or a vector, never a panic, never a hang.

use connote::{Embedder, ErrorKind, Pooling};
use proptest::prelude::*;
use testkit::edit::Edit;
use testkit::tiny::{self, GemmaKind};

fn files() -> [Vec<u8>; 3] {
    [tiny::bert(2), tiny::gemma(2, GemmaKind::WithHeads), tiny::gemma(2, GemmaKind::Causal)]
}

/// Opens and runs a damaged file. A panic inside the engine would show as an internal error.
fn run(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let model = match connote::Model::from_bytes(bytes) {
        Ok(model) => model,
        Err(error) => return check(&error),
    };
    let embedder = match Embedder::builder().threads(1).pooling(Pooling::Mean).load(model) {
        Ok(embedder) => embedder,
        Err(error) => return check(&error),
    };
    match embedder.embed_each(["the cat", "", "\u{1F600} [SEP] <eos>"]) {
        Ok(results) => results.into_iter().filter_map(Result::err).try_for_each(|error| check(&error)),
        Err(error) => check(&error),
    }
}

fn check(error: &connote::Error) -> Result<(), TestCaseError> {
    prop_assert!(error.kind() != ErrorKind::Internal, "{}", error);
    prop_assert!(!error.to_string().is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn flipped_bytes(file in 0usize..3, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = files()[file].clone();
        for (place, value) in flips {
            // Keys and the table come first; most flips go there, where they can do something.
            let end = bytes.len().min(16_384);
            let at = place.index(end);
            bytes[at] ^= value;
        }
        run(bytes)?;
    }

    #[test]
    fn numbers_that_lie(file in 0usize..3, key in any::<prop::sample::Index>(), value in prop_oneof![
        Just(0u32), Just(1), Just(2), Just(3), Just(255), Just(65_536), Just(u32::MAX), any::<u32>()
    ]) {
        let gguf = connote::gguf::Gguf::from_bytes(files()[file].clone()).expect("a valid file");
        let numbers: Vec<String> = gguf.metadata().iter().filter(|(_, v)| matches!(v, connote::gguf::Value::U32(_))).map(|(k, _)| k.to_owned()).collect();
        let lied = &numbers[key.index(numbers.len())];
        run(Edit::of(&files()[file]).key(lied, value).bytes())?;
    }
}
