//! Small vocabularies of each kind, trained and tokenized by the authors' package (scripts/tokenizer_small_vocabularies.py).

mod tables;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use connote_tokenizer::{Kind, SpecialTokens, TokenType, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;
use tables::Keys;

/// A vocabulary with the texts, and how it was read.
struct Trained {
    content: Value,
}

impl Trained {
    fn read(name: &str) -> Trained {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tokenizer").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Trained { content: serde_json::from_str(&text).expect("JSON") }
    }

    fn variants(&self) -> &[Value] {
        self.content["variants"].as_array().expect("variants")
    }

    fn texts(&self) -> Vec<&str> {
        let texts = self.content["texts"].as_array().expect("texts");
        texts.iter().map(|text| text.as_str().expect("a text")).collect()
    }

    /// The tokenizer of a variant.
    fn tokenizer(&self, variant: &Value) -> Tokenizer {
        let content = &self.content;
        let strings = |name: &str| -> Option<Vec<&str>> {
            let values = content[name].as_array()?;
            Some(values.iter().map(|value| value.as_str().expect("a string")).collect())
        };
        let model = content["model"].as_str().expect("model");
        let types = content["token_type"].as_array().expect("types").iter();
        let types: Vec<i32> = types.map(|value| value.as_i64().expect("a type") as i32).collect();
        let mut keys =
            Keys::of(model).strings("tokens", &strings("tokens").expect("tokens")).i32s("token_type", &types);
        if let Some(merges) = strings("merges") {
            keys = keys.strings("merges", &merges);
        }
        if let Some(scores) = content["scores"].as_array() {
            let scores: Vec<f32> =
                scores.iter().map(|score| score.as_f64().expect("a score") as f32).collect();
            keys = keys.f32s("scores", &scores);
        }
        if let Some(map) = content["precompiled_charsmap"].as_array() {
            let map: Vec<u8> = map.iter().map(|byte| byte.as_u64().expect("a byte") as u8).collect();
            keys = keys.u8s("precompiled_charsmap", &map);
        }
        for (key, id) in content["ids"].as_object().expect("ids") {
            keys = keys.u32(key, id.as_u64().expect("an id") as u32);
        }
        for (key, value) in variant["keys"].as_object().expect("keys") {
            keys = match value {
                Value::Bool(value) => keys.bool(key, *value),
                value => keys.str(key, value.as_str().expect("a string")),
            };
        }
        keys.load().unwrap_or_else(|error| panic!("{}: {error}", variant["keys"]))
    }

    /// Compares all texts of all variants.
    fn check(&self, kind: Kind) {
        let ids = |value: &Value| -> Option<Vec<u32>> {
            Some(value.as_array()?.iter().map(|id| id.as_u64().expect("an id") as u32).collect())
        };
        let texts = self.texts();
        assert!(texts.len() >= 80);
        for variant in self.variants() {
            let tokenizer = self.tokenizer(variant);
            assert_eq!(tokenizer.kind(), kind);
            for (at, text) in texts.iter().enumerate() {
                let at = at.to_string();
                let expected = ids(&variant["ids"][&at]).or_else(|| ids(&self.variants()[0]["ids"][&at]));
                let expected = expected.expect("ids of every text");
                let got = tokenizer.encode(text, SpecialTokens::Parse);
                assert_eq!(got, expected, "{text:?} with {}", variant["keys"]);
                let plain = tokenizer.encode(text, SpecialTokens::PlainText);
                let is_mark = |id: &u32| tokenizer.token_type(*id) == Some(TokenType::Control);
                let expected = ids(&variant["plain"][&at]).unwrap_or(expected);
                // The authors' Unigram takes marks for tokens like any other, so that it makes them of plain text, too.
                if kind == Kind::Unigram && expected.iter().any(is_mark) || text.contains("<unk>") {
                    assert!(!plain.iter().any(is_mark), "{text:?} with {}", variant["keys"]);
                } else {
                    assert_eq!(plain, expected, "{text:?} as plain text with {}", variant["keys"]);
                }
            }
        }
    }

    fn first(&self) -> Tokenizer {
        self.tokenizer(&self.variants()[0])
    }
}

#[test]
fn byte_level_bpe() {
    Trained::read("small_bpe.json").check(Kind::ByteLevelBpe);
}

#[test]
fn unigram() {
    Trained::read("small_unigram.json").check(Kind::Unigram);
    Trained::read("small_unigram_bytes.json").check(Kind::Unigram);
}

#[test]
fn wordpiece() {
    Trained::read("small_wordpiece.json").check(Kind::WordPiece);
}

#[test]
fn decodes_to_readable_text() {
    let text = "Hello, world! 12 caf\u{e9}\n\u{4e2d} \u{1f44d}";
    let tokenizer = Trained::read("small_bpe.json").first();
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
    let tokenizer = Trained::read("small_unigram.json").first();
    let ids = tokenizer.encode("  Hello   world ", SpecialTokens::Parse);
    assert_eq!(tokenizer.decode(&ids), "Hello world");
    let tokenizer = Trained::read("small_unigram_bytes.json").first();
    let ids = tokenizer.encode("Hello \u{1f44d}", SpecialTokens::Parse);
    assert_eq!(tokenizer.decode(&ids), "Hello \u{1f44d}");
}

static SMALL_BPE: LazyLock<Tokenizer> = LazyLock::new(|| Trained::read("small_bpe.json").first());

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
    for name in ["small_bpe.json", "small_unigram.json", "small_unigram_bytes.json"] {
        let trained = Trained::read(name);
        for variant in trained.variants() {
            let tokenizer = trained.tokenizer(variant);
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
