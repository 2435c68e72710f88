//! Files of texts with the vectors that they should become.

mod lines;
mod tables;

use std::path::Path;

use bulk::{Precision, Space};
use connote::Input;

use crate::failure::Failure;

/// A text and what it should become.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The line of JSONL, or the row of a table, counted from 1.
    pub(super) place: usize,
    pub(super) input: Input,
    pub(super) ids: Option<Vec<u32>>,
    /// As values, whatever they are stored as.
    pub(super) embedding: Vec<f32>,
}

/// A file of them.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) file: String,
    /// What a row is called: `line` or `row`.
    pub(super) unit: &'static str,
    /// What connote said of the vectors when it wrote them.
    pub(super) space: Option<Space>,
    pub(super) precision: Precision,
    pub(super) wanted: Vec<Wanted>,
    /// Rows that have an error instead of a vector.
    pub(super) left_out: usize,
}

impl Reference {
    /// Reads a file of lines of JSON, or one that connote wrote in another format. What is wrong with what stands in it is wrong
    /// use; that it cannot be read is not.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        if path.is_dir() {
            return Err(Failure::nothing(format!("{file}: is a folder; name a file of texts and vectors")));
        }
        let reference = match &*ending {
            "csv" | "parquet" | "arrow" | "feather" => tables::read(path)?,
            "npy" => {
                return Err(Failure::usage(format!(
                    "{file}: npy holds no texts; write the reference as JSONL or Parquet, with the column `text`"
                )));
            }
            _ => lines::read(path)?,
        };
        if reference.wanted.is_empty() {
            return Err(Failure::usage(format!("{file}: has no rows with a vector; {}", lines::FORM)));
        }
        let width = reference.wanted[0].embedding.len();
        if let Some(other) = reference.wanted.iter().find(|wanted| wanted.embedding.len() != width) {
            return Err(Failure::usage(format!(
                "{file}, {} {}: a vector of {} values, and those before have {width}",
                reference.unit,
                other.place,
                other.embedding.len()
            )));
        }
        Ok(reference)
    }
}

/// The input of a row. `prompt` goes before the text as it is; connote itself writes none, so that a column of that name that it
/// carried along means nothing.
fn input(
    text: &str,
    prompt: Option<&str>,
    task: Option<&str>,
    title: Option<&str>,
    space: Option<&Space>,
) -> Result<Input, String> {
    let prompt = prompt.filter(|_| space.is_none()).unwrap_or_default();
    let input = Input::new(format!("{prompt}{text}")).task_named(task.unwrap_or_default())?;
    Ok(match title {
        Some(title) => input.title(title),
        None => input,
    })
}

/// Whether a vector can have a cosine.
fn check(vector: &[f32]) -> Result<(), &'static str> {
    match vector.iter().all(|value| value.is_finite()) && vector.iter().any(|value| *value != 0.0) {
        true => Ok(()),
        false => Err("the vector is zero or has a value that is no number of 32 bits"),
    }
}
