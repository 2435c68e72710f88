//! Texts, in whatever Python has them.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, GenericStringType};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, GenericByteArray, OffsetSizeTrait, StringViewArray,
    downcast_dictionary_array,
};
use arrow_schema::DataType;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList, PyString};

use crate::capsule;

/// A row: a text, a null, or why it is no text, which concerns that row alone.
pub(crate) type Row = Result<Option<String>, Box<str>>;

/// Reads texts from a list, anything with Arrow's PyCapsule interface (pyarrow, polars, pandas), or anything that can be
/// iterated. `None` stands for a null, and so does what pandas has in its place.
pub(crate) fn read(object: &Bound<'_, PyAny>) -> PyResult<Vec<Row>> {
    if object.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("a single str where several texts are wanted; put it in a list"));
    }
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().enumerate().map(|(index, item)| text(index, &item)).collect();
    }
    if let Some(chunks) = capsule::arrays(object)? {
        let mut texts = Vec::with_capacity(chunks.iter().map(|chunk| chunk.values.len()).sum());
        for chunk in chunks {
            let first = texts.len();
            strings(&chunk.values, &mut texts)?;
            for (row, valid) in texts[first..].iter_mut().zip(chunk.nulls.iter().flatten()) {
                if !valid {
                    *row = Ok(None);
                }
            }
        }
        return Ok(texts);
    }
    let items = object.try_iter().map_err(|_| {
        PyTypeError::new_err(format!(
            "texts come as a list of str, an Arrow, polars or pandas column, or something to iterate, not as {}",
            kind(object)
        ))
    })?;
    items.enumerate().map(|(index, item)| text(index, &item?)).collect()
}

fn text(index: usize, item: &Bound<'_, PyAny>) -> PyResult<Row> {
    if let Ok(text) = item.cast::<PyString>() {
        return Ok(unicode(text).map(Some));
    }
    if is_null(item) {
        return Ok(Ok(None));
    }
    Err(PyTypeError::new_err(format!("input {index}: a text is a str or None, not {}", kind(item))))
}

/// The text of a `str`, unless it holds lone surrogates, which no tokenizer was trained on.
pub(crate) fn unicode(text: &Bound<'_, PyString>) -> Result<String, Box<str>> {
    text.to_str().map(str::to_owned).map_err(|error| {
        let place = error.value(text.py()).getattr("start").and_then(|start| start.extract::<usize>());
        let place = place.map_or_else(|_| String::new(), |place| format!(" (at character {place})"));
        format!(
            "is no Unicode text: it holds a lone surrogate{place}; replace those, as \
             text.encode(\"utf-16\", \"surrogatepass\").decode(\"utf-16\", \"replace\") does"
        )
        .into()
    })
}

/// `None`, and what columns of objects hold in its place: NaN, and pandas' `NA` and `NaT`.
fn is_null(item: &Bound<'_, PyAny>) -> bool {
    let is_nan = || item.cast::<PyFloat>().is_ok_and(|number| number.value().is_nan());
    item.is_none() || is_nan() || matches!(kind(item).as_str(), "NAType" | "NaTType")
}

fn kind(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "that".to_owned(), |name| name.to_string())
}

/// Appends the texts of an array of strings, in any of Arrow's ways to hold them. Whoever made it promised UTF-8 and offsets
/// that are in order, which is believed of no row: what is not so is a failure of that row.
fn strings(array: &ArrayRef, texts: &mut Vec<Row>) -> PyResult<()> {
    match array.data_type() {
        DataType::Utf8 => texts.extend(side_by_side(array.as_string::<i32>())),
        DataType::LargeUtf8 => texts.extend(side_by_side(array.as_string::<i64>())),
        DataType::Utf8View => {
            let array = array.as_string_view();
            let rows =
                (0..array.len()).map(|row| if array.is_null(row) { Ok(None) } else { viewed(array, row) });
            texts.extend(rows);
        }
        DataType::Null => texts.extend((0..array.len()).map(|_| Ok(None))),
        DataType::Dictionary(..) => {
            let array = array.as_ref();
            downcast_dictionary_array!(
                array => categories(array, texts)?,
                other => unreachable!("a dictionary is one, not {other}")
            );
        }
        DataType::RunEndEncoded(..) => {
            let decoded = "a run-end-encoded column: decode it before (pyarrow.compute.run_end_decode)";
            return Err(PyTypeError::new_err(decoded));
        }
        other => return Err(PyTypeError::new_err(format!("a column of strings is wanted, not of {other}"))),
    }
    Ok(())
}

/// Strings that lie side by side, each from its offset to the next one's.
fn side_by_side<O: OffsetSizeTrait>(
    array: &GenericByteArray<GenericStringType<O>>,
) -> impl Iterator<Item = Row> {
    let offsets = array.value_offsets();
    // The last offset is the length of the bytes, and no memory is as long as a number below zero says.
    let ends_somewhere = offsets.last().is_some_and(|last| last.to_usize().is_some());
    let bytes: &[u8] = if ends_somewhere { array.values() } else { &[] };
    (0..array.len()).map(move |row| {
        if array.is_null(row) {
            return Ok(None);
        }
        let ends = offsets[row].to_usize().zip(offsets[row + 1].to_usize());
        utf8(ends.and_then(|(begin, end)| bytes.get(begin..end)))
    })
}

/// A string that its view holds, or says the place of.
fn viewed(array: &StringViewArray, row: usize) -> Row {
    const INSIDE: usize = 12;
    let view = array.views()[row].to_le_bytes();
    let number =
        |at: usize| u32::from_le_bytes([view[at], view[at + 1], view[at + 2], view[at + 3]]) as usize;
    let len = number(0);
    if len <= INSIDE {
        return utf8(view.get(4..4 + len));
    }
    let buffer = array.data_buffers().get(number(8));
    utf8(buffer.and_then(|buffer| buffer.get(number(12)..number(12) + len)))
}

/// A text of these bytes, if they are where the column says.
fn utf8(bytes: Option<&[u8]>) -> Row {
    let Some(bytes) = bytes else {
        return Err("the column's offsets lead out of its bytes; whoever made the column is at fault".into());
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(error) => Err(format!(
            "is not UTF-8 (at byte {}), as Arrow's strings have to be; decode the bytes before, or leave the row out",
            error.valid_up_to()
        )
        .into()),
    }
}

fn categories<K: ArrowDictionaryKeyType>(array: &DictionaryArray<K>, texts: &mut Vec<Row>) -> PyResult<()> {
    let mut words = Vec::with_capacity(array.values().len());
    strings(array.values(), &mut words)?;
    texts.extend(array.keys_iter().map(|key| match key {
        None => Ok(None),
        Some(key) => words.get(key).cloned().unwrap_or_else(|| {
            Err(format!("its key {key} is none of the column's {} words", words.len()).into())
        }),
    }));
    Ok(())
}
