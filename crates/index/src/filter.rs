//! Rows by the value of a column.

use std::ops::Range;
use std::str::FromStr;

use crate::columns::{Column, extent};

/// Rows whose column has a value, or has another one. Missing values equal nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The column's name.
    pub column: String,
    /// The value; of integers, their digits.
    pub value: String,
    /// Whether the rows with other values, or none, are meant.
    pub differs: bool,
}

impl FromStr for Filter {
    type Err = String;

    /// `column=value` or `column!=value`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no filter; write COLUMN=VALUE or COLUMN!=VALUE");
        let (column, value) = text.split_once('=').ok_or_else(wrong)?;
        let (column, differs) = match column.strip_suffix('!') {
            Some(column) => (column, true),
            None => (column, false),
        };
        if column.is_empty() {
            return Err(wrong());
        }
        Ok(Self { column: column.to_owned(), value: value.to_owned(), differs })
    }
}

/// A filter on a column of the file.
pub(crate) struct Sieve<'a> {
    pub(crate) column: Column<'a>,
    pub(crate) wanted: Wanted,
    pub(crate) differs: bool,
}

pub(crate) enum Wanted {
    Integer(i64),
    Text(Vec<u8>),
}

impl Sieve<'_> {
    /// Takes out of `selected`, which are those of `rows`, those that it does not let through.
    pub(crate) fn apply(&self, rows: Range<usize>, selected: &mut [bool]) {
        for (row, selected) in rows.zip(selected) {
            *selected = *selected && self.equals(row) != self.differs;
        }
    }

    fn equals(&self, row: usize) -> bool {
        match (self.column, &self.wanted) {
            (Column::Integers { present, values }, Wanted::Integer(wanted)) => {
                present.get(row) == Some(&1) && values.get(row) == Some(wanted)
            }
            (Column::Texts { present, ends, text }, Wanted::Text(wanted)) => {
                let value = || text.get(extent(ends, row)?);
                present.get(row) == Some(&1) && value() == Some(wanted)
            }
            _ => false,
        }
    }
}
