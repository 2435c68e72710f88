//! What a caller gets.

use crate::error::{Error, ErrorKind};
use crate::request::Options;

/// The vector of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The vector; with pooling `none`, the vectors of all tokens, one after the other.
    pub vector: Vec<f32>,
    /// Values a vector.
    pub dimensions: usize,
    /// Tokens the network read, special tokens and prompt included.
    pub tokens: usize,
    /// Whether the text was cut to fit.
    pub truncated: bool,
}

impl Embedding {
    /// The vectors: one, or with pooling `none` one a token.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.vector.chunks_exact(self.dimensions)
    }
}

/// Turns what the network gave into what is handed out: checked, cut, normalised.
///
/// `rows` holds vectors of `width` values; they are cut to `dimensions`.
pub(crate) fn finish(
    rows: &[f32],
    width: usize,
    dimensions: usize,
    options: &Options,
) -> Result<Vec<f32>, Error> {
    let mut vectors = Vec::with_capacity(rows.len() / width * dimensions);
    for row in rows.chunks_exact(width) {
        if row.iter().any(|value| !value.is_finite()) {
            return Err(bad("is not finite"));
        }
        let row = &row[..dimensions];
        // In f64: a sum of squares in f32 overflows before the values do.
        let norm = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Err(bad("is zero"));
        }
        match options.normalize {
            true => vectors.extend(row.iter().map(|&value| (f64::from(value) / norm) as f32)),
            false => vectors.extend_from_slice(row),
        }
    }
    Ok(vectors)
}

fn bad(what: &str) -> Error {
    let message =
        format!("the vector {what}, so it was withheld: the file is damaged or not the model it says it is");
    Error::new(ErrorKind::BadVector, message)
}
