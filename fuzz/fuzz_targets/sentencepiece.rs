//! Any text through a small SentencePiece vocabulary with byte fallback.
#![no_main]

use std::sync::OnceLock;

use connote_gguf::Gguf;
use connote_testkit::tiny::{self, GemmaKind};
use connote_tokenizer::{SpecialTokens, TokenType, Tokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    let tokenizer = TOKENIZER.get_or_init(|| {
        let gguf = Gguf::from_bytes(tiny::gemma(0, GemmaKind::WithHeads)).expect("a valid file");
        Tokenizer::from_metadata(gguf.metadata()).expect("its tokenizer")
    });
    let text = String::from_utf8_lossy(data);
    let _ = tokenizer.encode(&text, SpecialTokens::Parse);
    let plain = tokenizer.encode(&text, SpecialTokens::PlainText);
    assert!(plain.iter().all(|&id| tokenizer.token_type(id).is_some_and(|ty| ty != TokenType::Control)));
    // Every byte is in the vocabulary, so nothing is lost. (A marker in the text reads as a space.)
    assert_eq!(tokenizer.decode(&plain), text.replace('\u{2581}', " "));
});
