//! Reading from bytes that may end anywhere.

use crate::error::{Error, ErrorKind};
use crate::value::ValueType;

/// A place in the header. Nothing is read past the end, and every error says where it was.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Everything from here on.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Error> {
        if count > self.remaining() {
            let message = format!(
                "{what} at byte {} needs {count} bytes and the file has {} more; it is cut short or damaged",
                self.at,
                self.remaining()
            );
            return Err(Error::new(ErrorKind::Truncated, message));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, Error> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64, Error> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A length in bytes and that many bytes.
    pub(crate) fn string(&mut self, what: &str) -> Result<&'a [u8], Error> {
        let length = self.u64(what)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX), what)
    }

    /// Steps over a value, checking all of it.
    pub(crate) fn skip_value(&mut self, ty: ValueType, what: &str) -> Result<(), Error> {
        match ty {
            ValueType::String => self.string(what).map(drop),
            ValueType::Array => {
                let at = self.at;
                let element = self.value_type(what)?;
                let count = self.u64(what)?;
                if element == ValueType::Array {
                    return Err(Error::malformed(format!("{what} at byte {at} is a list of lists, which GGUF does not have")));
                }
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                if element == ValueType::String {
                    // Each has a length of 8 bytes at least: a count that cannot be is refused at once.
                    if count > self.remaining() / 8 {
                        return Err(self.too_many(count, what));
                    }
                    return (0..count).try_for_each(|_| self.string(what).map(drop));
                }
                match count.checked_mul(element.scalar_bytes()) {
                    Some(bytes) if bytes <= self.remaining() => self.take(bytes, what).map(drop),
                    _ => Err(self.too_many(count, what)),
                }
            }
            scalar => self.take(scalar.scalar_bytes(), what).map(drop),
        }
    }

    fn too_many(&self, count: usize, what: &str) -> Error {
        let message = format!(
            "{what} at byte {} declares {count} entries and the file has {} more bytes; it is cut short or damaged",
            self.at,
            self.remaining()
        );
        Error::new(ErrorKind::Truncated, message)
    }

    pub(crate) fn value_type(&mut self, what: &str) -> Result<ValueType, Error> {
        let at = self.at;
        let id = self.u32(what)?;
        ValueType::from_id(id).ok_or_else(|| Error::malformed(format!("{what} at byte {at} is of value type {id}, which does not exist")))
    }
}
