//! Rows by the value of a column.

use std::ops::Range;
use std::str::FromStr;

use crate::columns::{Column, Value, extent};

/// Rows by a column of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The column's name.
    pub column: String,
    /// What is asked of its values.
    pub test: Test,
}

/// What is asked of a value. It is written as text: of integers and floats as a number, of booleans as `true` or `false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is this one. Missing values equal nothing.
    Equals(String),
    /// It is another, or missing.
    Differs(String),
    /// There is one.
    Present,
    /// There is none.
    Missing,
}

impl FromStr for Filter {
    type Err = String;

    /// `column=value`, `column!=value`, `column` or `!column`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (column, test) = match text.split_once('=') {
            Some((column, value)) => match column.strip_suffix('!') {
                Some(column) => (column, Test::Differs(value.to_owned())),
                None => (column, Test::Equals(value.to_owned())),
            },
            None => match text.strip_prefix('!') {
                Some(column) => (column, Test::Missing),
                None => (text, Test::Present),
            },
        };
        if column.is_empty() {
            return Err(format!(
                "`{text}` is no filter; write COLUMN=VALUE, COLUMN!=VALUE, COLUMN (has a value) or !COLUMN (has none)"
            ));
        }
        Ok(Self { column: column.to_owned(), test })
    }
}

/// A filter on a column of the file.
pub(crate) struct Sieve<'a> {
    pub(crate) column: Column<'a>,
    pub(crate) wanted: Wanted<'a>,
    /// The rows that are not wanted are meant.
    pub(crate) inverted: bool,
}

/// Values that are wanted.
pub(crate) enum Wanted<'a> {
    Any,
    Value(Value<'a>),
}

impl Sieve<'_> {
    /// Takes out of `selected`, which are those of `rows`, those that it does not let through.
    pub(crate) fn apply(&self, rows: Range<usize>, selected: &mut [bool]) {
        for (row, selected) in rows.zip(selected) {
            *selected = *selected && self.is_wanted(row) != self.inverted;
        }
    }

    /// What is damaged is nothing that anybody wants.
    fn is_wanted(&self, row: usize) -> bool {
        match (&self.wanted, self.column) {
            (Wanted::Any, column) => column.is_present(row) == Some(true),
            // Bytes are compared, which takes no look at whether they are UTF-8.
            (Wanted::Value(Value::Text(wanted)), column @ Column::Texts { ends, text, .. }) => {
                let value = || text.get(extent(ends, row)?);
                column.is_present(row) == Some(true) && value() == Some(wanted.as_bytes())
            }
            (Wanted::Value(wanted), column) => column.value(row).as_ref() == Some(wanted),
        }
    }
}
