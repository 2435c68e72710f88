//! Arrays in metadata: a stretch of the file's bytes, never a copy.

use std::fmt;

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::value::{Value, ValueType};

/// An array of values of one type, in the file's bytes.
#[derive(Clone, Copy)]
pub struct Array<'a> {
    element_type: ValueType,
    len: usize,
    /// The elements, back to back, and nothing else.
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// Reads element type and count, and walks over the elements.
    pub(crate) fn read(cursor: &mut Cursor<'a>, what: &dyn fmt::Display) -> Result<Self, Error> {
        let at = cursor.position();
        let element_type = ValueType::read(cursor, what)?;
        if element_type == ValueType::Array {
            let message = format!("{what} is an array of arrays (at byte {at}), which no known model has");
            return Err(Error::new(ErrorKind::Key, message));
        }
        let count = cursor.u64(what)?;
        let least = u128::from(count) * u128::from(element_type.least_bytes());
        if least > u128::from(cursor.left()) {
            let left = cursor.left();
            let message = format!(
                "{what} declares {count} elements of type {element_type} at byte {at}, but the file has only \
                 {left} bytes more; it is damaged or its download incomplete: get it again"
            );
            return Err(Error::new(ErrorKind::Truncated, message));
        }
        let bytes = if element_type == ValueType::String {
            let mut end = cursor.clone();
            for _ in 0..count {
                end.string(what)?;
            }
            cursor.take((end.position() - cursor.position()) as u64, what)?
        } else {
            cursor.take(least as u64, what)?
        };
        // At least a byte each is there, so that the count fits memory.
        Ok(Self { element_type, len: count as usize, bytes })
    }

    /// The type of its elements; never [`ValueType::Array`].
    pub fn element_type(self) -> ValueType {
        self.element_type
    }

    /// How many elements it has.
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Its elements as they stand in the file.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Its elements in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let mut cursor = Cursor::at(self.bytes, 0);
        // The bytes were walked over before: nothing is missing, unless a mapped file was changed since.
        (0..self.len).map_while(move |_| Value::read(&mut cursor, self.element_type, &"an element").ok())
    }

    /// Its strings; `None` if it is of another type.
    pub fn strings(self) -> Option<impl Iterator<Item = &'a [u8]>> {
        let mut cursor = Cursor::at(self.bytes, 0);
        (self.element_type == ValueType::String)
            .then(|| (0..self.len).map_while(move |_| cursor.string(&"an element").ok()))
    }

    /// Its numbers, each rounded to the nearest f32; `None` if it is of flags or strings.
    pub fn to_f32s(self) -> Option<Vec<f32>> {
        self.collect(|value| match value {
            Value::F32(v) => Some(v),
            Value::F64(v) => Some(v as f32),
            other => other.integer().map(|v| v as f32),
        })
    }

    /// Its whole numbers; `None` if it is of another type, or a u64 does not fit.
    pub fn to_i64s(self) -> Option<Vec<i64>> {
        self.collect(|value| value.integer().and_then(|v| v.try_into().ok()))
    }

    /// Its flags; `None` if it is of another type.
    pub fn bools(self) -> Option<Vec<bool>> {
        self.collect(|value| match value {
            Value::Bool(v) => Some(v),
            _ => None,
        })
    }

    /// An empty array of another type is still of another type.
    fn collect<T>(self, convert: impl Fn(Value<'_>) -> Option<T>) -> Option<Vec<T>> {
        let zeros = [0; 8];
        let sample = Value::read(&mut Cursor::at(&zeros, 0), self.element_type, &"a sample").ok()?;
        convert(sample)?;
        let mut values = Vec::with_capacity(self.len);
        for value in self.iter() {
            values.push(convert(value)?);
        }
        Some(values)
    }
}

impl PartialEq for Array<'_> {
    /// As the file has it: NaN equals itself, and `true` written as 1 differs from `true` written as 2.
    fn eq(&self, other: &Self) -> bool {
        (self.element_type, self.len, self.bytes) == (other.element_type, other.len, other.bytes)
    }
}

impl fmt::Display for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        f.write_str("[")?;
        for (index, value) in self.iter().take(SHOWN).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{value}")?;
        }
        if self.len > SHOWN {
            write!(f, ", ... {} in all", self.len)?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}: {self}", self.len, self.element_type)
    }
}
