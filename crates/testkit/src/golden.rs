//! The golden files in `testdata/`: what the model authors' own stack gives.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

/// A text with its reference.
#[derive(Debug, Clone, Deserialize)]
pub struct Golden {
    /// Goes before the text, verbatim.
    pub prompt: String,
    /// The text.
    pub text: String,
    /// The authors' token ids, special tokens included.
    pub ids: Vec<u32>,
    /// The authors' vector, L2-normalised.
    pub embedding: Vec<f32>,
}

impl Golden {
    /// What the model reads.
    pub fn input(&self) -> String {
        format!("{}{}", self.prompt, self.text)
    }
}

/// A file below `testdata/`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata")).join(name)
}

/// The golden texts of one model: `minilm`, `embeddinggemma` or `embeddinggemma-nodense`.
///
/// # Panics
/// If the file is not there or not as expected: the checkout is broken.
pub fn texts(model: &str) -> Vec<Golden> {
    let path = path(&format!("golden/dev.{model}.jsonl"));
    let file = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.lines().map(|line| serde_json::from_str(line).expect("a golden line")).collect()
}

/// A text with the vectors of its chunks.
#[derive(Debug, Clone, Deserialize)]
pub struct LateText {
    /// The text.
    pub text: String,
    /// The authors' token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Its chunks.
    pub chunks: Vec<LateChunk>,
}

/// A chunk of a text, and the mean of its rows in the authors' stack.
#[derive(Debug, Clone, Deserialize)]
pub struct LateChunk {
    /// Where it begins and ends in the text.
    pub bytes: [usize; 2],
    /// Rows in it.
    pub tokens: usize,
    /// L2-normalised; without tokens there is none.
    pub embedding: Option<Vec<f32>>,
}

/// The golden texts of one model (`minilm`) that are pooled chunk by chunk.
///
/// # Panics
/// If the file is not there or not as expected: the checkout is broken.
pub fn late_texts(model: &str) -> Vec<LateText> {
    let path = path(&format!("golden/late.{model}.jsonl"));
    let file = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.lines().map(|line| serde_json::from_str(line).expect("a golden line")).collect()
}

/// A sentence pair with the score people gave it.
#[derive(Debug, Clone)]
pub struct StsPair {
    /// 0 (unrelated) to 5 (equivalent).
    pub score: f64,
    /// One sentence.
    pub first: String,
    /// The other.
    pub second: String,
}

/// The parts of STS 2015 we hold.
pub const STS_PARTS: [&str; 3] = ["images", "headlines", "answers-students"];

/// One part of SemEval STS 2015.
///
/// # Panics
/// If the file is not there or not as expected.
pub fn sts(part: &str) -> Vec<StsPair> {
    let path = path(&format!("sts/sts15-{part}.tsv"));
    let file = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let pair = |line: &str| {
        let mut fields = line.split('\t');
        let score = fields.next()?.parse().ok()?;
        Some(StsPair { score, first: fields.next()?.to_owned(), second: fields.next()?.to_owned() })
    };
    file.lines().map(|line| pair(line).unwrap_or_else(|| panic!("{}: {line}", path.display()))).collect()
}
