//! The tiny models in `testdata/architectures`, with what their authors' own classes compute with them.
//!
//! `scripts/oracle/make.sh` makes them. Of each: a GGUF file, its texts with their ids, and the vectors and rows.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::golden;

/// A model, or a base model with an adapter, and its reference.
#[derive(Debug, Clone, Deserialize)]
pub struct Golden {
    /// The name of its files.
    #[serde(skip)]
    pub name: String,
    /// The model's GGUF file.
    pub file: String,
    /// A GGUF file of low-rank changes to that model.
    pub adapter: Option<String>,
    /// What the adapter is for.
    pub task: Option<String>,
    /// `general.architecture`.
    pub architecture: String,
    /// Whose arithmetic the reference is.
    pub proven_by: String,
    /// Values of a vector.
    dim: usize,
    /// Values of a row.
    row_dim: usize,
    /// Thirty of them, of 1 to 600 tokens.
    pub texts: Vec<Text>,
}

/// A text and what the authors make of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Text {
    /// What is embedded.
    pub text: String,
    /// The authors' ids, special tokens included.
    pub ids: Vec<u32>,
    /// Their vector, of unit length.
    #[serde(skip)]
    pub vector: Vec<f32>,
    /// Places of tokens, with the last layer's row of each, as it is (after the dense heads, where a file has them).
    #[serde(skip)]
    pub rows: Vec<(usize, Vec<f32>)>,
    #[serde(rename = "rows")]
    places: Vec<usize>,
}

/// A file of the folder.
pub fn path(file: &str) -> PathBuf {
    golden::path("architectures").join(file)
}

/// The names of the folder's files with this extension, without it, in order.
///
/// # Panics
/// If the folder cannot be read: the checkout is broken.
pub fn names(extension: &str) -> Vec<String> {
    let folder = path("");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = files.map(|file| file.expect("an entry").file_name().into_string().expect("an ASCII name"));
    let ending = format!(".{extension}");
    let mut found: Vec<String> =
        files.filter_map(|file| file.strip_suffix(&ending).map(str::to_owned)).collect();
    found.sort();
    found
}

/// Every model of the folder.
///
/// # Panics
/// If a file is not as the script writes it.
pub fn all() -> Vec<Golden> {
    names("json").into_iter().map(read).collect()
}

fn read(name: String) -> Golden {
    let about = fs::read_to_string(path(&format!("{name}.json"))).expect("a file that was listed");
    let mut golden: Golden =
        serde_json::from_str(&about).unwrap_or_else(|error| panic!("{name}.json: {error}"));
    let bytes = fs::read(path(&format!("{name}.bin"))).unwrap_or_else(|error| panic!("{name}.bin: {error}"));
    let mut values = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four")));
    let mut take = |count: usize| {
        let taken: Vec<f32> = values.by_ref().take(count).collect();
        assert_eq!(taken.len(), count, "{name}.bin ends early");
        taken
    };
    for text in &mut golden.texts {
        text.vector = take(golden.dim);
    }
    for text in &mut golden.texts {
        text.rows = text.places.iter().map(|&place| (place, take(golden.row_dim))).collect();
    }
    assert_eq!(values.next(), None, "{name}.bin has more than its texts");
    golden.name = name;
    golden
}
