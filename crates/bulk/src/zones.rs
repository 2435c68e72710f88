//! Times and their zones, as text.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::{can_cast_types, cast};
use arrow_schema::{ArrowError, DataType, Schema};

/// What UTC is called. Other names mean offsets that change with the time, and need a database of zones.
const UTC: [&str; 6] = ["UTC", "Etc/UTC", "Z", "Zulu", "GMT", "Etc/GMT"];

/// Whether values of a type have a form as text, which [`to_text`] gives.
pub fn has_text_form(kind: &DataType) -> bool {
    match with_offset(kind) {
        DataType::Timestamp(_, Some(zone)) if !zone.starts_with(['+', '-']) => false,
        kind => can_cast_types(&kind, &DataType::Utf8),
    }
}

/// A column as text; a null where a value has no form as it.
///
/// # Errors
/// If values of its type have none ([`has_text_form`]).
pub fn to_text(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(&utc_as_offset(column)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// A column of times in UTC with the zone `+00:00`, the only form of it that can be written as text; all others as they are.
fn utc_as_offset(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match with_offset(column.data_type()) {
        kind if kind == *column.data_type() => Ok(column.clone()),
        kind => cast(column, &kind),
    }
}

/// As [`utc_as_offset`], of all columns.
pub(crate) fn all_as_offsets(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema_ref();
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_data_type(with_offset(field.data_type())));
    let fields = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    let columns = batch.columns().iter().map(utc_as_offset).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::new(fields), columns)
}

/// The type with `+00:00` for a name of UTC.
pub(crate) fn with_offset(kind: &DataType) -> DataType {
    match kind {
        DataType::Timestamp(unit, Some(zone)) if UTC.iter().any(|utc| utc.eq_ignore_ascii_case(zone)) => {
            DataType::Timestamp(*unit, Some("+00:00".into()))
        }
        other => other.clone(),
    }
}
