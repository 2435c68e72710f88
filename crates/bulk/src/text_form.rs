//! Values of columns as text: what Arrow has no such form of, or another than everybody else, gets it here.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::{can_cast_types, cast};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use crate::uuids;

/// What UTC is called. Other names mean offsets that change with the time, and need a database of zones.
const UTC: [&str; 6] = ["UTC", "Etc/UTC", "Z", "Zulu", "GMT", "Etc/GMT"];

/// Whether values of a type have a form as text, which [`to_text`] gives.
pub fn has_text_form(kind: &DataType) -> bool {
    match written_type(kind) {
        DataType::Timestamp(_, Some(zone)) if !zone.starts_with(['+', '-']) => false,
        kind => can_cast_types(&kind, &DataType::Utf8),
    }
}

/// A column as text; a null where a value has no form as it.
///
/// # Errors
/// If values of its type have none ([`has_text_form`]).
pub fn to_text(column: &ArrayRef, field: &Field) -> Result<StringArray, ArrowError> {
    Ok(cast(&as_written(column, field)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// A column of its [`written_type`].
fn as_written(column: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    match (column.data_type(), written_type(column.data_type())) {
        (kind, written) if *kind == written => Ok(column.clone()),
        (_, DataType::Utf8) => {
            let bytes = cast(column, &uuids::BYTES)?;
            let form = if uuids::are_in(field) { uuids::text } else { digits };
            let texts: StringArray =
                bytes.as_fixed_size_binary().iter().map(|bytes| bytes.map(form)).collect();
            Ok(Arc::new(texts))
        }
        (_, written) => cast(column, &written),
    }
}

/// Bytes of the size of a UUID that do not say that they are one: this is the text of a hash, and all readers of UUIDs take it, too.
fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All columns in the form in which they are written as text.
pub(crate) fn all_as_written(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema_ref();
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_data_type(written_type(field.data_type())));
    let fields = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    let columns =
        batch.columns().iter().zip(schema.fields()).map(|(column, field)| as_written(column, field));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::new(fields), columns)
}

/// The type in which values are written: `+00:00` for a name of UTC, the only form of it that can be, and text for UUIDs and what
/// has their size; all others as they are.
pub(crate) fn written_type(kind: &DataType) -> DataType {
    match kind {
        kind if *kind == uuids::BYTES => DataType::Utf8,
        DataType::Dictionary(_, values) if **values == uuids::BYTES => DataType::Utf8,
        DataType::Timestamp(unit, Some(zone)) if UTC.iter().any(|utc| utc.eq_ignore_ascii_case(zone)) => {
            DataType::Timestamp(*unit, Some("+00:00".into()))
        }
        other => other.clone(),
    }
}
