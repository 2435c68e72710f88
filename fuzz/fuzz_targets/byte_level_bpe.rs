//! Any text through a small byte-level vocabulary, cut in each way there is.
#![no_main]

use std::sync::OnceLock;

use connote_gguf::Gguf;
use connote_testkit::vocabularies::SmallVocabulary;
use connote_tokenizer::{SpecialTokens, TokenType, Tokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static TOKENIZERS: OnceLock<Vec<Tokenizer>> = OnceLock::new();
    let tokenizers = TOKENIZERS.get_or_init(|| {
        let vocabulary = SmallVocabulary::read("bpe");
        let read = |variant| {
            let file = vocabulary.file(variant, None).to_bytes().expect("a valid file");
            Tokenizer::from_metadata(Gguf::from_bytes(file).expect("a valid file").metadata()).expect("its tokenizer")
        };
        (0..vocabulary.variants().len()).map(read).collect()
    });
    let Some((&choice, text)) = data.split_first() else { return };
    let variant = usize::from(choice) % tokenizers.len();
    let tokenizer = &tokenizers[variant];
    let text = String::from_utf8_lossy(text);
    let parsed = tokenizer.encode(&text, SpecialTokens::Parse);
    assert!(parsed.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    let plain = tokenizer.encode(&text, SpecialTokens::PlainText);
    assert!(plain.iter().all(|&id| tokenizer.token_type(id).is_some_and(|kind| kind != TokenType::Control)));
    // Every byte is in the vocabulary; the first variant changes no text.
    if variant == 0 {
        assert_eq!(tokenizer.decode(&plain), text);
    }
});
