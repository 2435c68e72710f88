//! What stands beside a vector: its id, and what was carried along.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What a column holds; any of its values may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// 64-bit integers.
    Integer,
    /// 64-bit floats.
    Float,
    /// True or false.
    Boolean,
    /// Text.
    Text,
}

/// A value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    /// None.
    Missing,
    /// Of a [`ColumnKind::Integer`].
    Integer(i64),
    /// Of a [`ColumnKind::Float`].
    Float(f64),
    /// Of a [`ColumnKind::Boolean`].
    Boolean(bool),
    /// Of a [`ColumnKind::Text`].
    Text(&'a str),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => Ok(()),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::Text(value) => f.pad(value),
        }
    }
}

/// A column in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column<'a> {
    Integers { present: &'a [u8], values: &'a [i64] },
    Floats { present: &'a [u8], values: &'a [f64] },
    Booleans { present: &'a [u8], values: &'a [u8] },
    Texts { present: &'a [u8], ends: &'a [u64], text: &'a [u8] },
}

impl<'a> Column<'a> {
    /// Whether the row has a value; `None` if the file is damaged here.
    pub(crate) fn is_present(&self, row: usize) -> Option<bool> {
        let (Self::Integers { present, .. }
        | Self::Floats { present, .. }
        | Self::Booleans { present, .. }
        | Self::Texts { present, .. }) = self;
        truth(*present.get(row)?)
    }

    /// The value of a row, which is there; `None` if the file is damaged here.
    pub(crate) fn value(&self, row: usize) -> Option<Value<'a>> {
        if !self.is_present(row)? {
            return Some(Value::Missing);
        }
        match self {
            Self::Integers { values, .. } => values.get(row).copied().map(Value::Integer),
            Self::Floats { values, .. } => values.get(row).copied().map(Value::Float),
            Self::Booleans { values, .. } => truth(*values.get(row)?).map(Value::Boolean),
            Self::Texts { ends, text, .. } => {
                let bytes = text.get(extent(ends, row)?)?;
                std::str::from_utf8(bytes).ok().map(Value::Text)
            }
        }
    }
}

/// A byte that is 0 or 1.
fn truth(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Where the text of a row is; nowhere if its end is past what numbers hold.
pub(crate) fn extent(ends: &[u64], row: usize) -> Option<Range<usize>> {
    let begin = match row.checked_sub(1) {
        Some(before) => usize::try_from(*ends.get(before)?).ok()?,
        None => 0,
    };
    Some(begin..usize::try_from(*ends.get(row)?).ok()?)
}
