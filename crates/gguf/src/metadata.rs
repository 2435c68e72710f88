//! A file's keys and values.

use std::fmt;

use crate::bytes::Bytes;
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::value::{Array, Value, ValueType};

/// Where one key lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The key's text, in the file.
    pub(crate) key_at: usize,
    pub(crate) key_bytes: u32,
    pub(crate) ty: ValueType,
}

/// Keys and values, in the file's order. Typed reads accept any width of number that fits.
#[derive(Clone)]
pub struct Metadata {
    bytes: Bytes,
    entries: Vec<Entry>,
    /// Indices of the entries, by key.
    sorted: Vec<u32>,
}

impl Metadata {
    /// Checks that no key is there twice.
    pub(crate) fn new(bytes: Bytes, entries: Vec<Entry>) -> Result<Self, Error> {
        let mut sorted: Vec<u32> = (0..entries.len() as u32).collect();
        let text = |index: u32| key_text(&bytes, &entries[index as usize]);
        sorted.sort_unstable_by(|&a, &b| text(a).cmp(text(b)));
        if let Some(twice) = sorted.windows(2).find(|pair| text(pair[0]) == text(pair[1])) {
            let at = entries[twice[0].max(twice[1]) as usize].key_at;
            return Err(Error::malformed(format!("key `{}` is there twice, again at byte {at}", text(twice[0]))));
        }
        Ok(Self { bytes, entries, sorted })
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.entries.iter().filter_map(|entry| Some((key_text(&self.bytes, entry), self.value(entry)?)))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        let text = |index: &u32| key_text(&self.bytes, &self.entries[*index as usize]);
        let found = self.sorted.binary_search_by(|index| text(index).cmp(key)).ok()?;
        self.value(&self.entries[self.sorted[found] as usize])
    }

    fn value(&self, entry: &Entry) -> Option<Value<'_>> {
        // After the text comes the type, 4 bytes, then the value; all checked at open.
        let at = entry.key_at + entry.key_bytes as usize + 4;
        Value::read(&mut Cursor::new(&self.bytes, at), entry.ty)
    }

    /// A key as `wanted`, by `read`.
    fn typed<'a, T>(&'a self, key: &str, wanted: &str, read: impl Fn(Value<'a>) -> Option<T>) -> Result<Option<T>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let wrong = || {
            let found = match value {
                Value::String(_) | Value::Array(_) => value.value_type().to_string(),
                number => format!("{number}, a {}", number.value_type()),
            };
            Error::new(ErrorKind::WrongType, format!("key `{key}` is {found}; {wanted} is needed"))
        };
        read(value).map(Some).ok_or_else(wrong)
    }

    fn integer<T: TryFrom<i128>>(&self, key: &str, wanted: &str) -> Result<Option<T>, Error> {
        self.typed(key, wanted, |value| T::try_from(value.integer()?).ok())
    }

    /// A whole number that fits in u64; `None` if the key is absent.
    ///
    /// # Errors
    /// If it is something else, as for all typed reads.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, Error> {
        self.integer(key, "a whole number, not negative,")
    }

    /// A whole number that fits in u32.
    ///
    /// # Errors
    /// If it is something else.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, Error> {
        self.integer(key, "a whole number of 32 bits")
    }

    /// A whole number that fits in usize.
    ///
    /// # Errors
    /// If it is something else.
    pub fn usize(&self, key: &str) -> Result<Option<usize>, Error> {
        self.integer(key, "a whole number, not negative,")
    }

    /// A whole number that fits in i64.
    ///
    /// # Errors
    /// If it is something else.
    pub fn i64(&self, key: &str) -> Result<Option<i64>, Error> {
        self.integer(key, "a whole number")
    }

    /// A number, as near as f32 has it.
    ///
    /// # Errors
    /// If it is something else.
    pub fn f32(&self, key: &str) -> Result<Option<f32>, Error> {
        self.typed(key, "a number", |value| value.float())
    }

    /// A flag.
    ///
    /// # Errors
    /// If it is something else.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        self.typed(key, "a flag", |value| match value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        })
    }

    /// A text in UTF-8.
    ///
    /// # Errors
    /// If it is something else.
    pub fn str(&self, key: &str) -> Result<Option<&str>, Error> {
        self.typed(key, "a text in UTF-8", |value| match value {
            Value::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        })
    }

    /// A list.
    ///
    /// # Errors
    /// If it is something else.
    pub fn array(&self, key: &str) -> Result<Option<Array<'_>>, Error> {
        self.typed(key, "a list", |value| match value {
            Value::Array(array) => Some(array),
            _ => None,
        })
    }
}

/// The text was checked to be UTF-8 when the file was opened.
fn key_text<'a>(bytes: &'a Bytes, entry: &Entry) -> &'a str {
    std::str::from_utf8(&bytes[entry.key_at..][..entry.key_bytes as usize]).unwrap_or_default()
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
