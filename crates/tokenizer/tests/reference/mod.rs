//! Reference ids: the golden files, and the difficult strings of scripts/tokenizer_oracle.py.

use std::fs;
use std::path::{Path, PathBuf};

use connote_tokenizer::{SpecialTokens, Tokenizer};
use serde_json::Value;

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

pub(crate) fn open(path: &Path) -> Tokenizer {
    let file = gguf::Gguf::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Tokenizer::from_metadata(file.metadata()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows(path: &str) -> Vec<Value> {
    let path = repository(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().expect("an array of ids");
    ids.iter().map(|id| u32::try_from(id.as_u64().expect("an id")).expect("32 bits")).collect()
}

/// Checks all rows of a golden file, special tokens included; `limit` is the token limit it was made with.
pub(crate) fn check_golden(tokenizer: &Tokenizer, path: &str, limit: usize) {
    let rows = rows(path);
    assert!(rows.len() >= 50, "{path} has only {} rows", rows.len());
    for row in &rows {
        let text =
            format!("{}{}", row["prompt"].as_str().expect("prompt"), row["text"].as_str().expect("text"));
        let (prefix, suffix) = (tokenizer.prefix(), tokenizer.suffix());
        let mut got = prefix.to_vec();
        got.extend(tokenizer.encode(&text, SpecialTokens::Parse));
        got.truncate(limit - suffix.len());
        got.extend(suffix);
        assert_eq!(got, ids(&row["ids"]), "{text:?}");
    }
}

/// Checks all difficult strings for one model (`gemma` or `minilm`).
pub(crate) fn check_difficult(tokenizer: &Tokenizer, model: &str) {
    let rows = rows("testdata/tokenizer/difficult.jsonl");
    assert!(rows.len() >= 500, "only {} rows", rows.len());
    for row in &rows {
        let text = row["text"].as_str().expect("text");
        assert_eq!(tokenizer.encode(text, SpecialTokens::Parse), ids(&row[model]), "{text:?}");
    }
}

/// Texts of megabytes that a quadratic step anywhere would take hours for.
pub(crate) fn check_scaling(tokenizer: &Tokenizer) {
    const CHARS: usize = 1_000_000;
    let scrambled = (0..CHARS as u64).map(|i| char::from(b'a' + (i * i * 31 % 10_007 % 26) as u8));
    let ideographs =
        (0..CHARS as u32).map(|i| char::from_u32(0x4E00 + i % 4096 * 7919 % 4096).expect("a character"));
    let texts = [
        "a".repeat(CHARS),
        " ".repeat(CHARS),
        "\n".repeat(CHARS),
        "\u{2581}".repeat(CHARS),
        "<unused".repeat(CHARS / 7),
        "[SEP".repeat(CHARS / 4),
        "e\u{301}\u{302e}".repeat(CHARS / 3),
        "\u{302e}\u{16ff0}".repeat(CHARS / 2),
        "\u{e000}".repeat(CHARS),
        scrambled.collect(),
        ideographs.collect(),
    ];
    for text in &texts {
        let ids = tokenizer.encode(text, SpecialTokens::Parse);
        assert!(ids.len() <= text.len(), "{} ids", ids.len());
        check_range(tokenizer, &ids);
    }
}

pub(crate) fn check_range(tokenizer: &Tokenizer, ids: &[u32]) {
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()), "an id beyond the vocabulary");
}
