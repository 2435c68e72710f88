//! The tiny rerankers in `testdata/rerankers`, with what their authors' own classes score with them.
//!
//! `scripts/oracle/rerankers.sh` makes them. Of each: a GGUF file, and pairs of texts with their ids and the head's outputs.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::golden;

/// A reranker and its reference.
#[derive(Debug, Clone, Deserialize)]
pub struct Golden {
    /// The name of its files.
    #[serde(skip)]
    pub name: String,
    /// `general.architecture`.
    pub architecture: String,
    /// Whose arithmetic the reference is.
    pub proven_by: String,
    /// What the outputs are called, where the file says.
    pub labels: Option<Vec<String>>,
    /// Every query with every document: the documents of the first query, then those of the next.
    pub pairs: Vec<Pair>,
}

/// A pair and what the authors make of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Pair {
    /// What is asked.
    pub query: String,
    /// What is scored.
    pub document: String,
    /// What the network reads.
    pub ids: Vec<u32>,
    /// Whether the document was cut.
    pub truncated: bool,
    /// What the head gives.
    pub outputs: Vec<f32>,
}

impl Golden {
    /// The bytes of the model's file.
    ///
    /// # Panics
    /// If it cannot be read: the checkout is broken.
    pub fn file(&self) -> Vec<u8> {
        let path = path(&format!("{}.gguf", self.name));
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The pairs of each query.
    pub fn by_query(&self) -> impl Iterator<Item = &[Pair]> {
        self.pairs.chunk_by(|one, other| one.query == other.query)
    }
}

/// A file of the folder.
pub fn path(file: &str) -> PathBuf {
    golden::path("rerankers").join(file)
}

/// Every model of the folder.
///
/// # Panics
/// If the folder is not as the script writes it.
pub fn all() -> Vec<Golden> {
    let files = fs::read_dir(path("")).expect("testdata/rerankers");
    let names = files.map(|file| file.expect("an entry").file_name().into_string().expect("an ASCII name"));
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    names.sort();
    names.iter().map(|name| named(name)).collect()
}

/// One of them.
///
/// # Panics
/// As [`all`].
pub fn named(name: &str) -> Golden {
    let text = fs::read_to_string(path(&format!("{name}.json"))).expect("a file of the folder");
    let golden: Golden = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}.json: {error}"));
    Golden { name: name.to_owned(), ..golden }
}
