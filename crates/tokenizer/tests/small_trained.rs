//! Small vocabularies of each kind, trained and tokenized by the authors' package (scripts/tokenizer_small_vocabularies.py).

use std::sync::LazyLock;

use connote_tokenizer::{Kind, SpecialTokens, TokenType, Tokenizer};
use proptest::prelude::*;
use testkit::vocabularies::SmallVocabulary;

fn tokenizer(vocabulary: &SmallVocabulary, variant: usize) -> Tokenizer {
    let file = vocabulary.file(variant, None).to_bytes().expect("a valid file");
    let file = gguf::Gguf::from_bytes(file).expect("a valid file");
    Tokenizer::from_metadata(file.metadata()).unwrap_or_else(|error| panic!("variant {variant}: {error}"))
}

fn first(name: &str) -> Tokenizer {
    tokenizer(&SmallVocabulary::read(name), 0)
}

/// Compares all texts in all variants.
fn check(name: &str, kind: Kind, variants: usize) {
    let vocabulary = SmallVocabulary::read(name);
    let texts = vocabulary.texts();
    assert!(texts.len() >= 80 && vocabulary.variants().len() == variants);
    for variant in 0..variants {
        let tokenizer = tokenizer(&vocabulary, variant);
        assert_eq!(tokenizer.kind(), kind);
        let keys = &vocabulary.variants()[variant]["keys"];
        for (at, text) in texts.iter().enumerate() {
            let (parsed, plain) = vocabulary.expected(variant, at);
            assert_eq!(tokenizer.encode(text, SpecialTokens::Parse), parsed, "{text:?} with {keys}");
            let ours = tokenizer.encode(text, SpecialTokens::PlainText);
            let is_mark = |id: &u32| tokenizer.token_type(*id) == Some(TokenType::Control);
            // The authors' Unigram takes marks for tokens like any other, so that it makes them of plain text, too.
            if kind == Kind::Unigram && (plain.iter().any(is_mark) || text.contains("<unk>")) {
                assert!(!ours.iter().any(is_mark), "{text:?} with {keys}");
            } else {
                assert_eq!(ours, plain, "{text:?} as plain text with {keys}");
            }
        }
    }
}

#[test]
fn byte_level_bpe() {
    check("bpe", Kind::Bpe, 10);
}

/// jina-embeddings-v2-base-zh's and mmBERT's: characters, in words or from space to space.
#[test]
fn bpe_of_characters() {
    check("whitespace", Kind::Bpe, 2);
    check("metaspace", Kind::Bpe, 1);
}

/// A text between the ids of a pair is cut as one that stands alone, its line breaks too.
#[test]
fn line_breaks_in_a_form() {
    let tokenizer = first("metaspace");
    let form = tokenizer.form([]);
    for text in ["a\nb", "\n", "two\n\nlines\n", "no break"] {
        let alone = tokenizer.encode(text, SpecialTokens::PlainText);
        assert_eq!(tokenizer.encode_in(&form, text), alone, "{text:?}");
        let broken = text.contains('\n');
        let piece = |id: &u32| tokenizer.bytes(*id).is_some_and(|bytes| bytes.starts_with(b"\n"));
        assert_eq!(alone.iter().any(piece), broken);
    }
}

#[test]
fn unigram() {
    check("unigram", Kind::Unigram, 2);
    check("unigram_bytes", Kind::Unigram, 1);
}

#[test]
fn wordpiece() {
    check("wordpiece", Kind::WordPiece, 5);
}

#[test]
fn decodes_to_readable_text() {
    let text = "Hello, world! 12 caf\u{e9}\n\u{4e2d} \u{1f44d}";
    let tokenizer = first("bpe");
    let ids = tokenizer.encode(text, SpecialTokens::PlainText);
    assert_eq!(tokenizer.decode(&ids), text);
    let marked =
        [&[tokenizer.bos().expect("BOS")], &ids[..], &[tokenizer.eos().expect("EOS"), 9999]].concat();
    assert_eq!(tokenizer.decode(&marked), text);
    let bytes: Vec<u8> =
        ids.iter().flat_map(|&id| tokenizer.bytes(id).expect("a token").into_owned()).collect();
    assert_eq!(bytes, text.as_bytes());
    // Half a character.
    assert_eq!(tokenizer.decode(&tokenizer.encode("\u{1f44d}", SpecialTokens::Parse)[..1]), "\u{fffd}");
    let tokenizer = first("unigram");
    let ids = tokenizer.encode("  Hello   world ", SpecialTokens::Parse);
    assert_eq!(tokenizer.decode(&ids), "Hello world");
    let tokenizer = first("unigram_bytes");
    let ids = tokenizer.encode("Hello \u{1f44d}", SpecialTokens::Parse);
    assert_eq!(tokenizer.decode(&ids), "Hello \u{1f44d}");
}

static SMALL_BPE: LazyLock<Tokenizer> = LazyLock::new(|| first("bpe"));

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_in_bytes(text in any::<String>()) {
        let ids = SMALL_BPE.encode(&text, SpecialTokens::PlainText);
        prop_assert_eq!(SMALL_BPE.decode(&ids), text);
    }
}

#[test]
fn megabytes_in_linear_time() {
    const CHARS: usize = 100_000;
    let scrambled: String =
        (0..CHARS as u64).map(|i| char::from(b'a' + (i * i * 31 % 10_007 % 26) as u8)).collect();
    for name in ["bpe", "unigram", "unigram_bytes"] {
        let vocabulary = SmallVocabulary::read(name);
        for variant in 0..vocabulary.variants().len() {
            let tokenizer = tokenizer(&vocabulary, variant);
            let units = [
                " ", "\n", "a", "A", "1", "!", "\u{301}", "\u{2581}", "e\u{301}", "<s", " <mask>",
                "\u{4e2d}", "\r\n", "'S",
            ];
            for text in units.iter().map(|unit| unit.repeat(CHARS)).chain([scrambled.clone()]) {
                let ids = tokenizer.encode(&text, SpecialTokens::Parse);
                assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
            }
        }
    }
}
