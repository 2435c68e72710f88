//! Values of carried columns as JSON, for formats of lines.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, new_empty_array};
use arrow_json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow_schema::{ArrowError, DataType, Field};

use crate::text_form::written_type;

/// A column of any type, a value at a time.
pub(super) enum Column<'a> {
    /// Text that is JSON already, by Arrow's extension type `arrow.json`.
    Json(&'a dyn Array),
    Other(NullableEncoder<'a>),
}

/// The columns after `id`, [as they are written](crate::text_form::all_as_written). Nulls within lists and structs stay.
pub(super) fn columns<'a>(
    carried: &'a RecordBatch,
    options: &'a EncoderOptions,
) -> Result<Vec<Column<'a>>, ArrowError> {
    let fields = carried.schema_ref().fields();
    let columns = fields.iter().zip(carried.columns()).skip(1);
    columns
        .map(|(field, array)| match is_json(field) {
            true => Ok(Column::Json(array)),
            false => make_encoder(field, array, options).map(Column::Other),
        })
        .collect()
}

/// Whether the values of a column have a form in JSON.
pub(super) fn can_hold(field: &Field) -> bool {
    let field = field.clone().with_data_type(written_type(field.data_type()));
    let none = new_empty_array(field.data_type());
    make_encoder(&Arc::new(field), &none, &encoding()).is_ok()
}

/// How [`columns`] are written.
pub(super) fn encoding() -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true)
}

impl Column<'_> {
    /// Appends the value of `row` to `out`.
    pub(super) fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Json(array) => out.extend_from_slice(json_text(*array, row).unwrap_or("null").as_bytes()),
            Self::Other(encoder) if encoder.is_null(row) => out.extend_from_slice(b"null"),
            Self::Other(encoder) => encoder.encode(row, out),
        }
    }
}

/// Whether a column holds JSON text.
fn is_json(field: &Field) -> bool {
    field.extension_type_name() == Some("arrow.json")
        && matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn json_text(array: &dyn Array, row: usize) -> Option<&str> {
    use arrow_array::cast::AsArray;
    if array.is_null(row) {
        return None;
    }
    let text = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row),
        _ => array.as_string_view().value(row),
    };
    // Only what is JSON on one line may stand in a line of JSON.
    serde_json::from_str::<&serde_json::value::RawValue>(text).ok()?;
    (!text.contains(['\n', '\r'])).then_some(text)
}
