//! What a collection is of.

use serde::{Deserialize, Serialize};

use crate::columns::ColumnKind;
use crate::error::Error;
use crate::precision::Precision;

/// The most values a vector has: products of int8 are summed in 32 bits.
pub const MAX_DIMENSIONS: usize = 1 << 16;

/// Where the vectors come from. Only `dimensions` has a meaning here; the rest is kept for whoever makes queries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The model's name.
    pub model: String,
    /// The fingerprint of the vector space; empty where nobody knows it.
    pub fingerprint: String,
    /// Values a vector.
    pub dimensions: usize,
    /// Whether every vector has length 1, so that scores are cosines.
    pub normalized: bool,
    /// The task of the texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The prompt before every text, where it is not the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// What a collection holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheme {
    /// Where the vectors come from.
    pub space: Space,
    /// What the vectors are kept as, once each, the finest first.
    pub precisions: Vec<Precision>,
    /// Names and kinds of the columns; the first is the rows' id.
    pub columns: Vec<(String, ColumnKind)>,
}

impl Scheme {
    /// Refuses what no collection can be.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let dimensions = self.space.dimensions;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(Error::usage(format_args!(
                "vectors of {dimensions} values cannot be searched; they have 1 to {MAX_DIMENSIONS}"
            )));
        }
        if self.precisions.is_empty() || !self.precisions.is_sorted_by(|a, b| a < b) {
            return Err(Error::usage("the precisions must be named once each, the finest first"));
        }
        if self.columns.is_empty() || self.columns.len() > 1000 {
            return Err(Error::usage("a collection has an id and at most 999 other columns"));
        }
        for (place, (name, _)) in self.columns.iter().enumerate() {
            if self.columns[..place].iter().any(|(other, _)| other == name) {
                return Err(Error::usage(format_args!("the column `{name}` is there twice; keep it once")));
            }
        }
        Ok(())
    }
}
