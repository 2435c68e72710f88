//! The ids of rows of a table.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field};
use serde_json::value::RawValue;

use super::tables::plain;
use crate::rows::Row;
use crate::text_form::to_text;

/// Integers of 2^53 and more stand beside others that a float takes for the same.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Ids; null where a row has none.
pub(super) enum Ids {
    Integers(Int64Array),
    /// Of numbers that are not all integers of 64 bits: as numbers in lines, as text in columns.
    Numbers(StringArray),
    Text(StringArray),
}

impl Ids {
    /// The type of the column that ids of this type become.
    pub(super) fn kind(kind: &DataType) -> DataType {
        match kind {
            kind if kind.is_integer() && *kind != DataType::UInt64 => DataType::Int64,
            _ => DataType::Utf8,
        }
    }

    pub(super) fn of(column: &ArrayRef, field: &Field) -> Result<Self, ArrowError> {
        let kind = plain(column.data_type());
        if Self::kind(kind) == DataType::Int64 {
            return Ok(Self::Integers(cast(column, &DataType::Int64)?.as_primitive().clone()));
        }
        let text = to_text(column, field)?;
        Ok(match kind {
            DataType::UInt64 => Self::Numbers(text),
            kind if kind.is_floating() => {
                let values = cast(column, &DataType::Float64)?;
                Self::Numbers(of_floats(values.as_primitive::<Float64Type>().iter(), &text))
            }
            _ => Self::Text(text),
        })
    }

    pub(super) fn has_nulls(&self) -> bool {
        match self {
            Self::Integers(ids) => ids.null_count() > 0,
            Self::Numbers(ids) | Self::Text(ids) => ids.null_count() > 0,
        }
    }

    /// The id of a row as JSON, if it has one.
    pub(super) fn written(&self, index: usize) -> Option<Box<RawValue>> {
        let as_text = |ids: &StringArray| {
            ids.is_valid(index).then(|| serde_json::to_string(ids.value(index)).ok()).flatten()
        };
        let written = match self {
            Self::Integers(ids) => ids.is_valid(index).then(|| ids.value(index).to_string()),
            // The infinities are no numbers of JSON.
            Self::Numbers(ids)
                if ids.is_valid(index) && ids.value(index).ends_with(|c: char| c.is_ascii_digit()) =>
            {
                Some(ids.value(index).to_owned())
            }
            Self::Numbers(ids) | Self::Text(ids) => as_text(ids),
        };
        RawValue::from_string(written?).ok()
    }

    /// As a column, for `rows`. A row without an id has its number.
    pub(super) fn column(self, rows: &[Row]) -> ArrayRef {
        let numbers = rows.iter().map(|row| row.id.get());
        match self {
            Self::Integers(ids) if ids.null_count() == 0 => Arc::new(ids),
            Self::Integers(_) => {
                Arc::new(numbers.map(|number| number.parse::<i64>().ok()).collect::<Int64Array>())
            }
            Self::Numbers(ids) | Self::Text(ids) => {
                let written = ids.iter().zip(numbers);
                Arc::new(written.map(|(id, number)| Some(id.unwrap_or(number))).collect::<StringArray>())
            }
        }
    }
}

/// pandas makes floats of integers among which one is missing: whole numbers are written as what they were, and NaN, which
/// stands for the missing one, is no id.
fn of_floats(values: impl Iterator<Item = Option<f64>>, text: &StringArray) -> StringArray {
    let written = values.zip(text).map(|(value, text)| match value {
        Some(value) if value.is_nan() => None,
        Some(value) if value.fract() == 0.0 && value.abs() < EXACT => Some((value as i64).to_string()),
        _ => text.map(str::to_owned),
    });
    written.collect()
}
