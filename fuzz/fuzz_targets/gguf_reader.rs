//! Any bytes as a model file: everything that reads one gives an error or a result, never a panic.
#![no_main]

use connote_encoder::{Batch, Encoder, Pooling, Workspace};
use connote_gguf::{Gguf, Value};
use connote_kernels::{Kernels, Level};
use connote_threads::Team;
use connote_tokenizer::{SpecialTokens, Tokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(gguf) = Gguf::from_bytes(data.to_vec()) else { return };
    for (key, value) in gguf.metadata().iter() {
        assert!(gguf.metadata().get(key).is_some(), "a key that is listed is found");
        if let Value::Array(array) = value {
            assert_eq!(array.iter().count(), array.len(), "a list is as long as it says");
        }
        let _ = value.to_string();
    }
    for tensor in gguf.tensors() {
        assert_eq!(gguf.tensor(tensor.name()).map(|found| found.index()), Some(tensor.index()));
        let _ = tensor.bytes().last();
    }
    let tokenizer = Tokenizer::from_metadata(gguf.metadata());
    if let Ok(tokenizer) = &tokenizer {
        let _ = tokenizer.encode("the cat <bos> [SEP] \u{301}日", SpecialTokens::Parse);
    }
    let team = Team::new(1);
    let Some(kernels) = Kernels::of(Level::Scalar) else { return };
    let Ok(encoder) = Encoder::load(&gguf, kernels, &team) else { return };
    // What loads, runs.
    let batch: Batch = [&[0u32, 0][..encoder.config().context_length.min(2)]].into_iter().collect();
    let rows = encoder.forward(&team, &batch, Pooling::Mean, &mut Workspace::new());
    assert_eq!(rows.len(), encoder.output_dim());
});
