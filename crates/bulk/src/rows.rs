//! Rows between a file and the network: what every format is turned into, and what every format is written from.

use std::sync::Arc;

use arrow_array::RecordBatch;
use connote::jsonl::RowError;
use connote::{Embedding, Input};
use serde_json::value::RawValue;

/// One row of the input.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its place among the rows of the whole input, all files together, counted from 0.
    pub number: u64,
    /// As it was written, to the last digit; without one, the row's number.
    pub id: Box<RawValue>,
    /// Where it stands, for messages: `notes.csv, line 17`.
    pub place: Place,
    /// The text, or why there is none; once it is taken, its kind.
    pub input: Result<Input, RowError>,
}

impl Row {
    /// Its text; with `title`, if it has no title of its own.
    ///
    /// # Errors
    /// Why there is none.
    pub fn input_with(&self, title: Option<&str>) -> Result<Input, RowError> {
        self.input.clone().map(|input| with_title(input, title))
    }

    /// Takes the text out, with `title` if it has no title of its own. What stays is what kind of text it is
    /// ([`Input::without_words`]), or why there is none: a text may be large, and is held once.
    ///
    /// # Errors
    /// Why there is none.
    pub fn take_input(&mut self, title: Option<&str>) -> Result<Input, RowError> {
        let input = std::mem::replace(&mut self.input, Ok(Input::default()));
        let input = input.map(|input| with_title(input, title));
        self.input = input.as_ref().map(Input::without_words).map_err(RowError::clone);
        input
    }

    /// What the library says against this row, with its line, where it has one.
    pub fn refused(&self, error: &connote::Error) -> RowError {
        let mut refused = match usize::try_from(self.place.line) {
            Ok(line) if line > 0 => RowError::refused(line, error),
            _ => RowError { kind: error.kind().name(), message: error.message().to_owned() },
        };
        if error.is_of_title() {
            refused.message += "; --no-titles leaves the titles of rows unread";
        }
        refused
    }
}

fn with_title(input: Input, title: Option<&str>) -> Input {
    match title {
        Some(title) => input.title_if_none(title),
        None => input,
    }
}

/// Where a row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<str>,
    /// The line of a text file or the row of a table, counted from 1; 0 for texts of the command line.
    pub line: u64,
}

/// Rows that were read together, in the order of the input.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The rows.
    pub rows: Vec<Row>,
    /// `id`, then the columns that were asked to be carried along, one row each for `rows`; of the
    /// source's schema. Formats of columns are written from it, formats of lines from the ids of `rows`.
    pub carried: RecordBatch,
}

/// A chunk whose rows have their vectors: what sinks write.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The rows.
    pub chunk: &'a Chunk,
    /// A vector or a reason for each row of `chunk`.
    pub results: &'a [Result<Embedding, RowError>],
}
