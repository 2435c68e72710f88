//! What is said of the vectors in a file, so that they are never compared with those of another space.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use index::{Precision, Space};
use serde::{Deserialize, Serialize};

use crate::FileSum;
use crate::error::{Error, ErrorKind};

/// The key of a [`Description`] among the metadata of a Parquet or Arrow schema.
pub const DESCRIPTION_KEY: &str = "connote";

/// The key beside it of [`Description::other_spaces`], which is known when all rows are written and the schema long is; absent where
/// it is 0.
pub const OTHER_SPACES_KEY: &str = "connote.other_spaces";

/// A space, and how the values of its vectors are written in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The space.
    #[serde(flatten)]
    pub space: Space,
    /// The program and its version: `connote 0.1.0`.
    pub created_by: String,
    /// What a value is written as.
    pub precision: Precision,
    /// With [`Precision::Int8`], where a row's scale is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Where it lies beside a file: what that file holds. Of any other nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSum>,
    /// Rows with a task of their own, whose vectors are of another space than `space`. Parquet and Arrow files have it under
    /// [`OTHER_SPACES_KEY`] instead.
    #[serde(default, skip_serializing_if = "is_none")]
    pub other_spaces: u64,
}

pub(crate) fn is_none(count: &u64) -> bool {
    *count == 0
}

/// The number under [`OTHER_SPACES_KEY`] in `file`.
pub(crate) fn read_other_spaces(value: Option<&str>, file: &Path) -> Result<u64, Error> {
    value.map_or(Ok(0), |value| {
        value.parse().map_err(|_| {
            let file = file.display();
            let message = format_args!("{file}: what it says of its vectors cannot be used: {OTHER_SPACES_KEY} is {value:?}, no number");
            Error::new(ErrorKind::Input, message)
        })
    })
}

/// What makes a row's integers its values again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// The column `scale`: a value is its integer times it.
    Column,
    /// The length of the row of integers: a value is its integer divided by it, as vectors have length 1.
    Length,
}

impl Description {
    /// As JSON on one line.
    pub fn to_json(&self) -> String {
        // Strings, numbers and booleans: nothing in it can fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `file` is for messages.
    ///
    /// # Errors
    /// If it is not such a description, or one that contradicts itself.
    pub fn from_json(json: &str, file: &Path) -> Result<Self, Error> {
        let wrong = |what: &dyn std::fmt::Display| {
            let file = file.display();
            let message = format_args!("{file}: what it says of its vectors cannot be used: {what}");
            Error::new(ErrorKind::Input, message)
        };
        let description: Self = serde_json::from_str(json).map_err(|error| wrong(&error))?;
        if description.space.dimensions == 0 {
            return Err(wrong(&"`dimensions` is 0"));
        }
        match (description.precision, description.scale) {
            (Precision::Int8, None) => Err(wrong(&"int8 without `scale`")),
            (Precision::Int8, Some(Scale::Length)) if !description.space.normalized => {
                Err(wrong(&"int8 by length, of vectors that are not of length 1"))
            }
            (_, _) => Ok(description),
        }
    }
}

/// The file that describes the vectors of `output`, for formats that cannot do so themselves:
/// `vectors.npy.meta.json`.
pub fn description_path(output: &Path) -> PathBuf {
    with_ending(output, ".meta.json")
}

/// The file that names the rows of an npy file, where some rows of the input have no vector:
/// `vectors.npy.rows.npy`.
pub fn row_numbers_path(output: &Path) -> PathBuf {
    with_ending(output, ".rows.npy")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
