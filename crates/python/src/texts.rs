//! Texts, in whatever Python has them.

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{Array, ArrayRef, DictionaryArray, downcast_dictionary_array};
use arrow_schema::DataType;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::capsule;

/// Reads texts from a list, anything with Arrow's PyCapsule interface (pyarrow, polars, pandas), or anything that can be
/// iterated. `None` stands for a null.
pub(crate) fn read(object: &Bound<'_, PyAny>) -> PyResult<Vec<Option<String>>> {
    if object.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("a single str where several texts are wanted; put it in a list"));
    }
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().enumerate().map(|(index, item)| text(index, &item)).collect();
    }
    if let Some(arrays) = capsule::arrays(object)? {
        let mut texts = Vec::with_capacity(arrays.iter().map(|array| array.len()).sum());
        arrays.iter().try_for_each(|array| strings(array, &mut texts))?;
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

fn text(index: usize, item: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if item.is_none() {
        return Ok(None);
    }
    if let Ok(text) = item.cast::<PyString>() {
        // Refuses lone surrogates, which no tokenizer was trained on, with Python's own words.
        return Ok(Some(text.to_str()?.to_owned()));
    }
    Err(PyTypeError::new_err(format!("input {index}: a text is a str or None, not {}", kind(item))))
}

fn kind(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "that".to_owned(), |name| name.to_string())
}

/// Appends the texts of an array of strings, in any of Arrow's ways to hold them.
fn strings(array: &ArrayRef, texts: &mut Vec<Option<String>>) -> PyResult<()> {
    match array.data_type() {
        DataType::Utf8 => texts.extend(array.as_string::<i32>().iter().map(|text| text.map(str::to_owned))),
        DataType::LargeUtf8 => {
            texts.extend(array.as_string::<i64>().iter().map(|text| text.map(str::to_owned)))
        }
        DataType::Utf8View => texts.extend(array.as_string_view().iter().map(|text| text.map(str::to_owned))),
        DataType::Null => texts.resize(texts.len() + array.len(), None),
        DataType::Dictionary(..) => {
            let array = array.as_ref();
            downcast_dictionary_array!(
                array => categories(array, texts)?,
                other => unreachable!("a dictionary is one, not {other}")
            );
        }
        other => return Err(PyTypeError::new_err(format!("a column of strings is wanted, not of {other}"))),
    }
    Ok(())
}

fn categories<K: ArrowDictionaryKeyType>(
    array: &DictionaryArray<K>,
    texts: &mut Vec<Option<String>>,
) -> PyResult<()> {
    let mut words = Vec::with_capacity(array.values().len());
    strings(array.values(), &mut words)?;
    texts.extend(array.keys_iter().map(|key| key.and_then(|key| words[key].clone())));
    Ok(())
}
