//! The metadata keys of a file.

use std::fmt;
use std::sync::Arc;

use crate::array::Array;
use crate::bytes::Bytes;
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Quoted};
use crate::names::Names;
use crate::value::{Value, ValueType};

/// The metadata of a file: keys in file order, each with a typed value. Of a split model, that of its first
/// part.
pub struct Metadata {
    bytes: Arc<Bytes>,
    keys: Keys,
}

/// Names and places of values that were read once and found whole.
#[derive(Default)]
pub(crate) struct Keys {
    names: Names,
    places: Vec<Place>,
}

/// Where a value starts, and its type. The rest is read again from the bytes: this takes 16 bytes a key
/// whatever the file says.
struct Place {
    start: usize,
    value_type: ValueType,
}

/// The key with the alignment of the tensor data.
pub(crate) const ALIGNMENT: &str = "general.alignment";

/// The format's own limit for the length of a key, in bytes.
const LONGEST_KEY: usize = 65535;

impl Keys {
    /// Reads the next key and its value.
    pub(crate) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        let index = self.places.len();
        let at = cursor.position();
        let malformed = |what: String| Error::new(ErrorKind::Key, what);
        let name = cursor.string(&format_args!("the name of key {index}"))?;
        if name.is_empty() {
            return Err(malformed(format!("key {index} at byte {at} has no name; the file is damaged")));
        }
        if name.len() > LONGEST_KEY {
            let length = name.len();
            return Err(malformed(format!(
                "the name of key {index} at byte {at} is {length} bytes long; the format allows {LONGEST_KEY}"
            )));
        }
        let Ok(text) = std::str::from_utf8(name) else {
            let name = Quoted(name);
            return Err(malformed(format!("the name of key {index} at byte {at} is not UTF-8: {name}")));
        };
        let key = Quoted(name);
        let what = format_args!("key {key}");
        let value_type = ValueType::read(cursor, &what)?;
        let start = cursor.position();
        Value::read(cursor, value_type, &what)?;
        let kept = self.names.push(text);
        kept.ok_or_else(|| malformed(format!("the names of the keys exceed 4 GB at byte {at}")))?;
        self.places.push(Place { start, value_type });
        Ok(())
    }

    /// After the last key: makes them findable, and refuses duplicates.
    pub(crate) fn index(&mut self) -> Result<(), Error> {
        self.names.index().map_err(|(first, second)| {
            let key = Quoted(self.names.get(first).as_bytes());
            let (a, b) = (self.places[first].start, self.places[second].start);
            let message =
                format!("key {key} is there twice, with values at byte {a} and {b}; the file is damaged");
            Error::new(ErrorKind::Key, message)
        })
    }

    pub(crate) fn value<'a>(&self, key: &str, bytes: &'a [u8]) -> Option<Value<'a>> {
        self.value_at(self.names.find(key)?, bytes)
    }

    /// `None` only if a mapped file was changed since it was opened.
    fn value_at<'a>(&self, index: usize, bytes: &'a [u8]) -> Option<Value<'a>> {
        let Place { start, value_type } = self.places[index];
        Value::read(&mut Cursor::at(bytes, start), value_type, &"a value").ok()
    }
}

impl Metadata {
    pub(crate) fn new(bytes: Arc<Bytes>, keys: Keys) -> Self {
        Self { bytes, keys }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.places.is_empty()
    }

    /// Keys and values in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        let pair = |index| Some((self.keys.names.get(index), self.keys.value_at(index, &self.bytes)?));
        (0..self.len()).filter_map(pair)
    }

    /// The value of a key.
    ///
    /// Walks over the strings of a string array once: ask for a vocabulary once, not once a token.
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        self.keys.value(key, &self.bytes)
    }

    /// A whole number of any width that fits `u64`; `None` if the key is absent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the value is no whole number or does not fit.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, Error> {
        self.integer(key, "u64")
    }

    /// A whole number of any width that fits `u32`; `None` if the key is absent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the value is no whole number or does not fit.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, Error> {
        self.integer(key, "u32")
    }

    /// A whole number of any width that fits `usize`; `None` if the key is absent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the value is no whole number or does not fit.
    pub fn usize(&self, key: &str) -> Result<Option<usize>, Error> {
        self.integer(key, "usize")
    }

    /// A whole number of any width that fits `i64`; `None` if the key is absent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the value is no whole number or does not fit.
    pub fn i64(&self, key: &str) -> Result<Option<i64>, Error> {
        self.integer(key, "i64")
    }

    /// An f32, or an f64 rounded to one; `None` if the key is absent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the value is neither, or a finite f64 out of range.
    pub fn f32(&self, key: &str) -> Result<Option<f32>, Error> {
        self.get(key)
            .map(|value| match value {
                Value::F32(v) => Ok(v),
                Value::F64(v) if v.is_finite() && !(v as f32).is_finite() => {
                    Err(out_of_range(key, value, "f32"))
                }
                Value::F64(v) => Ok(v as f32),
                other => Err(wrong_type(key, other, "f32")),
            })
            .transpose()
    }

    /// A flag; `None` if the key is absent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the value is not a flag.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key)
            .map(|value| match value {
                Value::Bool(v) => Ok(v),
                other => Err(wrong_type(key, other, "bool")),
            })
            .transpose()
    }

    /// A text; `None` if the key is absent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the value is not a string, or not UTF-8 ([`get`](Self::get) gives its
    /// bytes).
    pub fn str(&self, key: &str) -> Result<Option<&str>, Error> {
        self.get(key)
            .map(|value| match value {
                Value::String(bytes) => std::str::from_utf8(bytes).map_err(|error| {
                    let (key, at) = (Quoted(key.as_bytes()), error.valid_up_to());
                    let message = format!("key {key} is a string that is not UTF-8 from its byte {at} on");
                    Error::new(ErrorKind::WrongType, message)
                }),
                other => Err(wrong_type(key, other, "string")),
            })
            .transpose()
    }

    /// An array of any element type; `None` if the key is absent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the value is not an array.
    pub fn array(&self, key: &str) -> Result<Option<Array<'_>>, Error> {
        self.get(key)
            .map(|value| match value {
                Value::Array(v) => Ok(v),
                other => Err(wrong_type(key, other, "array")),
            })
            .transpose()
    }

    fn integer<T: TryFrom<i128>>(&self, key: &str, wanted: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let integer = value.integer().ok_or_else(|| wrong_type(key, value, wanted))?;
        T::try_from(integer).map(Some).map_err(|_| out_of_range(key, value, wanted))
    }
}

fn wrong_type(key: &str, found: Value<'_>, wanted: &str) -> Error {
    let (key, found) = (Quoted(key.as_bytes()), found.value_type());
    let message = format!("key {key} is of type {found}, but {wanted} is wanted; convert the model again");
    Error::new(ErrorKind::WrongType, message)
}

fn out_of_range(key: &str, value: Value<'_>, wanted: &str) -> Error {
    let key = Quoted(key.as_bytes());
    let message = format!("key {key} is {value}, which does not fit {wanted}; convert the model again");
    Error::new(ErrorKind::WrongType, message)
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
