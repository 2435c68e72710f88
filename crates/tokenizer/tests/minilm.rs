//! WordPiece on the model in the repository, against the authors' tokenizer.

mod reference;

use std::sync::LazyLock;

use connote_tokenizer::{Kind, SpecialTokens, TokenType, Tokenizer};
use proptest::prelude::*;

static MINILM: LazyLock<Tokenizer> =
    LazyLock::new(|| reference::open(&reference::repository("models/all-MiniLM-L6-v2-Q8_0.gguf")));

#[test]
fn golden_ids() {
    reference::check_golden(&MINILM, "testdata/golden/dev.minilm.jsonl", 256);
}

#[test]
fn difficult_strings() {
    reference::check_difficult(&MINILM, "minilm");
}

#[test]
fn megabytes_in_linear_time() {
    reference::check_scaling(&MINILM);
}

#[test]
fn tables() {
    assert_eq!(MINILM.kind(), Kind::WordPiece);
    assert_eq!(MINILM.kind().to_string(), "WordPiece");
    assert_eq!(MINILM.vocab_size(), 30_522);
    assert_eq!((MINILM.prefix(), MINILM.suffix()), (&[101][..], &[102][..]));
    let ids = [MINILM.bos(), MINILM.sep(), MINILM.unk(), MINILM.pad(), MINILM.mask()];
    assert_eq!(ids, [Some(101), Some(102), Some(100), Some(0), Some(103)]);
    assert_eq!(MINILM.piece(101).as_deref(), Some("[CLS]"));
    assert_eq!(MINILM.piece(7592).as_deref(), Some("hello"));
    assert_eq!(MINILM.piece(2075).as_deref(), Some("##ing"));
    assert_eq!(MINILM.piece(30_522), None);
    let bytes = [101, 7592, 2075].map(|id| MINILM.bytes(id).expect("a token"));
    assert_eq!(bytes, [&b"[CLS]"[..], b" hello", b"ing"]);
    assert_eq!(MINILM.bytes(30_522), None);
    assert_eq!(MINILM.token_type(101), Some(TokenType::Control));
    assert_eq!(MINILM.token_type(30_522), None);
}

#[test]
fn marks_in_plain_text() {
    assert_eq!(MINILM.encode("a [SEP] b", SpecialTokens::Parse), [1037, 102, 1038]);
    // What the authors' tokenizer gives with `encode_special_tokens` set.
    assert_eq!(MINILM.encode("a [SEP] b", SpecialTokens::PlainText), [1037, 1031, 19802, 1033, 1038]);
}

#[test]
fn words_of_a_hundred_characters() {
    for (letters, unknown) in [(99, false), (100, false), (101, true)] {
        let ids = MINILM.encode(&"a".repeat(letters), SpecialTokens::Parse);
        assert_eq!(ids == [100], unknown, "{letters} letters gave {ids:?}");
    }
    // Characters are counted after decomposition: 50 syllables of 3 letters each are too many.
    assert_eq!(MINILM.encode(&"\u{ac01}".repeat(50), SpecialTokens::Parse), [100]);
}

#[test]
fn decodes_to_readable_text() {
    let ids = MINILM.encode("Hello, world! It's tokenization.", SpecialTokens::Parse);
    assert_eq!(MINILM.decode(&ids), "hello, world! it ' s tokenization.");
    assert_eq!(MINILM.decode(&[101, 7592, 102, 999_999]), "hello");
    assert_eq!(MINILM.decode(&[]), "");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        for special in [SpecialTokens::Parse, SpecialTokens::PlainText] {
            let ids = MINILM.encode(&text, special);
            reference::check_range(&MINILM, &ids);
            // Decoding gives the normal form of a text, which has the same ids (unless a word is unknown).
            if !ids.contains(&100) && special == SpecialTokens::PlainText {
                prop_assert_eq!(MINILM.encode(&MINILM.decode(&ids), special), ids);
            }
        }
    }

    #[test]
    fn plain_text_makes_no_marks(text in r"(\[CLS\]|\[SEP\]|\[MASK\]|\[PAD\]|\[|\]|sep|[a-z ]){0,12}") {
        let ids = MINILM.encode(&text, SpecialTokens::PlainText);
        prop_assert!(ids.iter().all(|&id| MINILM.token_type(id) == Some(TokenType::Normal)), "{ids:?}");
    }

    #[test]
    fn words_are_independent(texts in prop::collection::vec("[a-z\u{e9}\u{4e2d}.]{0,9}", 0..6)) {
        let apart: Vec<u32> = texts.iter().flat_map(|t| MINILM.encode(t, SpecialTokens::Parse)).collect();
        prop_assert_eq!(MINILM.encode(&texts.join(" "), SpecialTokens::Parse), apart);
    }
}
