//! Values of columns as text: what Arrow has no such form of, or another than everybody else, gets it here.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::{can_cast_types, cast};
use arrow_schema::{ArrowError, DataType, Schema};

/// What UTC is called. Other names mean offsets that change with the time, and need a database of zones.
const UTC: [&str; 6] = ["UTC", "Etc/UTC", "Z", "Zulu", "GMT", "Etc/GMT"];

/// UUIDs as Arrow and Parquet have them. Whether a column says so (`arrow.uuid`, Parquet's logical type) does not matter: not all
/// exports do.
const UUID: DataType = DataType::FixedSizeBinary(16);

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
pub fn to_text(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(&as_written(column)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// A column of its [`written_type`].
fn as_written(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match (column.data_type(), written_type(column.data_type())) {
        (kind, written) if *kind == written => Ok(column.clone()),
        (kind, DataType::Utf8) if *kind == UUID => {
            let uuids: StringArray = column.as_fixed_size_binary().iter().map(|id| id.map(uuid)).collect();
            Ok(Arc::new(uuids))
        }
        (_, DataType::Utf8) => as_written(&cast(column, &UUID)?),
        (_, written) => cast(column, &written),
    }
}

/// The canonical form of RFC 9562.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        text += &format!("{byte:02x}");
    }
    text
}

/// All columns in the form in which they are written as text.
pub(crate) fn all_as_written(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema_ref();
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_data_type(written_type(field.data_type())));
    let fields = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    let columns = batch.columns().iter().map(as_written).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::new(fields), columns)
}

/// The type in which values are written: `+00:00` for a name of UTC, the only form of it that can be, and text for UUIDs; all
/// others as they are.
pub(crate) fn written_type(kind: &DataType) -> DataType {
    match kind {
        kind if *kind == UUID => DataType::Utf8,
        DataType::Dictionary(_, values) if **values == UUID => DataType::Utf8,
        DataType::Timestamp(unit, Some(zone)) if UTC.iter().any(|utc| utc.eq_ignore_ascii_case(zone)) => {
            DataType::Timestamp(*unit, Some("+00:00".into()))
        }
        other => other.clone(),
    }
}
