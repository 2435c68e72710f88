//! Any text through the real WordPiece vocabulary of all-MiniLM.
#![no_main]

use std::sync::OnceLock;

use connote_gguf::Gguf;
use connote_tokenizer::{SpecialTokens, TokenType, Tokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    let tokenizer = TOKENIZER.get_or_init(|| {
        let gguf = Gguf::open(connote_testkit::models::builtin()).expect("the committed model");
        Tokenizer::from_metadata(gguf.metadata()).expect("its tokenizer")
    });
    let text = String::from_utf8_lossy(data);
    let parsed = tokenizer.encode(&text, SpecialTokens::Parse);
    assert!(parsed.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    let _ = tokenizer.decode(&parsed);
    for id in tokenizer.encode(&text, SpecialTokens::PlainText) {
        // [UNK] is what a word becomes that has no pieces, and is of a control type in this file.
        assert!(tokenizer.token_type(id) != Some(TokenType::Control) || Some(id) == tokenizer.unk());
    }
});
