//! Any text through small Unigram vocabularies, with the file's character map, and any bytes as a character map.
#![no_main]

use std::sync::OnceLock;

use connote_gguf::Gguf;
use connote_testkit::vocabularies::SmallVocabulary;
use connote_tokenizer::{SpecialTokens, TokenType, Tokenizer};
use libfuzzer_sys::fuzz_target;

fn read(vocabulary: &SmallVocabulary, variant: usize, map: Option<&[u8]>) -> Result<Tokenizer, connote_tokenizer::Error> {
    let file = vocabulary.file(variant, map).to_bytes().expect("a valid file");
    Tokenizer::from_metadata(Gguf::from_bytes(file).expect("a valid file").metadata())
}

fn check(tokenizer: &Tokenizer, text: &str) {
    let parsed = tokenizer.encode(text, SpecialTokens::Parse);
    assert!(parsed.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    let _ = tokenizer.decode(&parsed);
    let plain = tokenizer.encode(text, SpecialTokens::PlainText);
    assert!(plain.iter().all(|&id| tokenizer.token_type(id).is_some_and(|kind| kind != TokenType::Control)));
}

fuzz_target!(|data: &[u8]| {
    static TOKENIZERS: OnceLock<(SmallVocabulary, Vec<Tokenizer>)> = OnceLock::new();
    let (vocabulary, tokenizers) = TOKENIZERS.get_or_init(|| {
        let (plain, bytes) = (SmallVocabulary::read("unigram"), SmallVocabulary::read("unigram_bytes"));
        let all = [(&plain, 0), (&plain, 1), (&bytes, 0)];
        let all = all.map(|(vocabulary, variant)| read(vocabulary, variant, None).expect("its tokenizer"));
        (plain, all.into())
    });
    let Some((&choice, rest)) = data.split_first() else { return };
    if let Some(tokenizer) = tokenizers.get(usize::from(choice) % 8) {
        return check(tokenizer, &String::from_utf8_lossy(rest));
    }
    if let Ok(tokenizer) = read(vocabulary, 0, Some(rest)) {
        check(&tokenizer, "a\u{ff48}\u{301} \r\n\u{ffff}\u{10ffff}<s>");
        check(&tokenizer, &String::from_utf8_lossy(rest));
    }
});
