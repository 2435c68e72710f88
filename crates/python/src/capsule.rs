//! Arrays between libraries without a copy: Arrow's PyCapsule interface, where none of them knows another, and numpy's.
//!
//! Both hand over pointers, so this file is the one with `unsafe`.
#![allow(unsafe_code)] // a named room: C structures of Arrow in capsules, memory of numpy's

use std::ffi::{CStr, c_void};
use std::ptr;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::NullBuffer;
use numpy::{Element, PY_ARRAY_API, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, npyffi};
use pyo3::exceptions::{PyImportError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// A chunk of a column.
pub(crate) struct Chunk {
    pub(crate) values: ArrayRef,
    /// Rows that are null because the structure around them is, whatever the values say; `None` if there are none.
    pub(crate) nulls: Option<NullBuffer>,
}

/// The arrays that an object offers; `None` if it offers none.
pub(crate) fn arrays(object: &Bound<'_, PyAny>) -> PyResult<Option<Vec<Chunk>>> {
    // Polars gives addresses of its objects out as bytes; they can be iterated.
    if object
        .getattr_opt("dtype")?
        .is_some_and(|kind| kind.get_type().name().is_ok_and(|name| name == "Object"))
    {
        return Ok(None);
    }
    // Streams first: a chunked array has both, and its array would be a copy.
    if let Some(method) = object.getattr_opt("__arrow_c_stream__")? {
        return match method.call0() {
            // A column of pandas where pyarrow is not, or where it meets a row that is no Unicode: it can be iterated. (A frame would
            // give its names.)
            Err(error)
                if (error.is_instance_of::<PyImportError>(object.py())
                    || error.is_instance_of::<PyUnicodeEncodeError>(object.py()))
                    && !object.hasattr("columns")? =>
            {
                Ok(None)
            }
            found => stream(&found?).map(Some),
        };
    }
    let Some(method) = object.getattr_opt("__arrow_c_array__")? else { return Ok(None) };
    let pair = method.call0()?;
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) = pair.extract()?;
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: capsules of these names hold these structures, which whoever takes them moves out; the capsule sees
    // that they are gone. We hold both capsules, and the interpreter, until they are moved.
    let (schema, array) =
        unsafe { (FFI_ArrowSchema::from_raw(schema.as_ptr()), FFI_ArrowArray::from_raw(array.as_ptr())) };
    // Whoever took one of them before has left nothing but that behind: every other field may point anywhere.
    if schema.release().is_none() || array.is_released() {
        return Err(PyValueError::new_err("Arrow: an array that was read already"));
    }
    // SAFETY: the interface promises an array of that schema.
    Ok(Some(vec![column(unsafe { imported(array, &schema) }?)?]))
}

/// An array that was handed over.
///
/// # Safety
/// It has to be of that schema.
unsafe fn imported(mut array: FFI_ArrowArray, schema: &FFI_ArrowSchema) -> PyResult<ArrayRef> {
    // SAFETY: the array is ours, its children are with it, and the fields of both are where the interface has them.
    unsafe { without_buffers_of_nulls(ptr::from_mut(&mut array).cast(), schema) };
    // SAFETY: an array of that schema has buffers as long as the interface says. Nothing is believed of what is in them: `texts`
    // looks at offsets, keys and bytes row by row, and never makes a `str` unchecked.
    let data = unsafe { from_ffi(array, schema) }.map_err(unreadable)?;
    Ok(make_array(data))
}

/// The beginning of Arrow's C structure of an array, which the crate that reads it keeps to itself.
#[repr(C)]
struct RawArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut RawArray,
    dictionary: *mut RawArray,
}

/// Takes the place of a buffer from columns of nothing but nulls, which have none by the interface. Polars gives them one, as
/// everybody did once, and the crate that reads arrays refuses it.
///
/// # Safety
/// The array has to be of that schema, with nobody else to look at it.
unsafe fn without_buffers_of_nulls(array: *mut RawArray, schema: &FFI_ArrowSchema) {
    // SAFETY: the interface promises that an array lives until it is released, and its children and its dictionary as long.
    let array = unsafe { &mut *array };
    if schema.format() == "n" {
        array.n_buffers = 0;
    }
    let children = usize::try_from(array.n_children).unwrap_or(0);
    for (index, schema) in schema.children().enumerate().take(children) {
        // SAFETY: there are so many pointers to children.
        unsafe { without_buffers_of_nulls(*array.children.add(index), schema) };
    }
    if let Some(schema) = schema.dictionary().filter(|_| !array.dictionary.is_null()) {
        // SAFETY: it is one.
        unsafe { without_buffers_of_nulls(array.dictionary, schema) };
    }
}

fn stream(capsule: &Bound<'_, PyAny>) -> PyResult<Vec<Chunk>> {
    let capsule = capsule.cast::<PyCapsule>()?;
    let stream = capsule.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: as for arrays: a capsule of this name holds a stream, which is moved out; its arrays are believed no further.
    let mut stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
    // That alone says it, as for arrays: pyarrow leaves the functions behind, to crash whoever calls them.
    let (Some(_), Some(get_schema), Some(get_next)) =
        (stream.release(), stream.get_schema(), stream.get_next())
    else {
        return Err(PyValueError::new_err("Arrow: a stream that was read already"));
    };
    let mut schema = FFI_ArrowSchema::empty();
    // SAFETY: functions of a stream that is not released are called with it, and with a place for what they give.
    let code = unsafe { get_schema(&raw mut stream, &raw mut schema) };
    went_well(&mut stream, code)?;
    let mut chunks = Vec::new();
    loop {
        let mut array = FFI_ArrowArray::empty();
        // SAFETY: as before.
        let code = unsafe { get_next(&raw mut stream, &raw mut array) };
        went_well(&mut stream, code)?;
        // The end.
        if array.is_released() {
            return Ok(chunks);
        }
        // SAFETY: the interface promises arrays of the stream's schema.
        chunks.push(column(unsafe { imported(array, &schema) }?)?);
    }
}

/// # Errors
/// Where a stream says by its code that it did not.
fn went_well(stream: &mut FFI_ArrowArrayStream, code: i32) -> PyResult<()> {
    if code == 0 {
        return Ok(());
    }
    let why = stream.get_last_error().and_then(|last_error| {
        // SAFETY: the stream's own function, behind a call that failed: a text that lives until the next one, or none.
        unsafe {
            let said = last_error(stream);
            (!said.is_null()).then(|| CStr::from_ptr(said).to_string_lossy().into_owned())
        }
    });
    let why = why.unwrap_or_else(|| std::io::Error::from_raw_os_error(code).to_string());
    Err(PyValueError::new_err(format!("Arrow: {why}")))
}

/// A chunk of a column, or of a table or a structure that has one, however deep.
fn column(mut values: ArrayRef) -> PyResult<Chunk> {
    let mut nulls: Option<NullBuffer> = None;
    while let Some(around) = values.as_struct_opt() {
        let [column] = around.columns() else {
            let count = around.num_columns();
            return Err(PyValueError::new_err(format!(
                "a table of {count} columns; give the column of the texts"
            )));
        };
        nulls = NullBuffer::union(nulls.as_ref(), around.nulls());
        values = column.clone();
    }
    Ok(Chunk { values, nulls })
}

/// An array as its pair of capsules. Whoever takes it moves the structures out; else they are released with the capsules.
pub(crate) fn offer<'py>(py: Python<'py>, array: &dyn Array) -> PyResult<Bound<'py, PyTuple>> {
    let (array, schema) = to_ffi(&array.to_data()).map_err(unreadable)?;
    let schema = PyCapsule::new_with_value(py, schema, SCHEMA)?;
    let array = PyCapsule::new_with_value(py, array, ARRAY)?;
    PyTuple::new(py, [schema, array])
}

fn unreadable(error: arrow_schema::ArrowError) -> PyErr {
    PyValueError::new_err(format!("Arrow: {error}"))
}

/// A new array of numpy, whose values `write` puts where they are zeros yet. numpy has to be there.
///
/// # Errors
/// `MemoryError`, if there is no room for it; what `write` says.
pub(crate) fn array<'py, T: Element>(
    py: Python<'py>,
    shape: &[usize],
    write: impl FnOnce(&mut [T]) -> PyResult<()>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut lengths: Vec<npyffi::npy_intp> = Vec::with_capacity(shape.len());
    for &length in shape {
        lengths.push(length.try_into()?);
    }
    let axes = shape.len().try_into()?;
    // SAFETY: as many lengths as axes; numpy takes the reference to the type over, and gives one to the array, or an exception.
    // `PyArray::zeros` is the same, but panics where there is no memory.
    let array = unsafe {
        let array =
            PY_ARRAY_API.PyArray_Zeros(py, axes, lengths.as_mut_ptr(), T::get_dtype(py).into_dtype_ptr(), 0);
        Bound::from_owned_ptr_or_err(py, array)?
    };
    let array = array.cast_into::<PyArrayDyn<T>>()?;
    // SAFETY: numpy has just made it, of our type, and nobody else knows it (it is none of the objects that the collector of garbage
    // shows), also while `write` lets other threads have the interpreter: its values are ours alone until it is returned.
    let values = unsafe { array.as_slice_mut() }.map_err(|error| PyValueError::new_err(error.to_string()))?;
    write(values)?;
    Ok(array.into_any())
}
