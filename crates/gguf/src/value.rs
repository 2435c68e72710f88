//! Metadata values, read where they lie.

use std::fmt;

use crate::cursor::Cursor;

/// Types of metadata values.
#[allow(missing_docs)] // the names are the format's own
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    /// All of them; the index is the number files have them by.
    pub const ALL: [ValueType; 13] = [
        ValueType::U8,
        ValueType::I8,
        ValueType::U16,
        ValueType::I16,
        ValueType::U32,
        ValueType::I32,
        ValueType::F32,
        ValueType::Bool,
        ValueType::String,
        ValueType::Array,
        ValueType::U64,
        ValueType::I64,
        ValueType::F64,
    ];

    /// The number files have it by.
    pub fn id(self) -> u32 {
        self as u32
    }

    pub(crate) fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(id as usize).copied()
    }

    /// Bytes of one value; 0 for strings and arrays, which have no fixed size.
    pub(crate) fn scalar_bytes(self) -> usize {
        match self {
            ValueType::U8 | ValueType::I8 | ValueType::Bool => 1,
            ValueType::U16 | ValueType::I16 => 2,
            ValueType::U32 | ValueType::I32 | ValueType::F32 => 4,
            ValueType::U64 | ValueType::I64 | ValueType::F64 => 8,
            ValueType::String | ValueType::Array => 0,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ValueType::U8 => "u8",
            ValueType::I8 => "i8",
            ValueType::U16 => "u16",
            ValueType::I16 => "i16",
            ValueType::U32 => "u32",
            ValueType::I32 => "i32",
            ValueType::F32 => "f32",
            ValueType::Bool => "bool",
            ValueType::String => "string",
            ValueType::Array => "array",
            ValueType::U64 => "u64",
            ValueType::I64 => "i64",
            ValueType::F64 => "f64",
        })
    }
}

/// A metadata value. Strings are bytes: token texts need not be UTF-8.
#[allow(missing_docs)] // the names are the format's own
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(&'a [u8]),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl<'a> Value<'a> {
    /// Its type.
    pub fn value_type(&self) -> ValueType {
        match self {
            Value::U8(_) => ValueType::U8,
            Value::I8(_) => ValueType::I8,
            Value::U16(_) => ValueType::U16,
            Value::I16(_) => ValueType::I16,
            Value::U32(_) => ValueType::U32,
            Value::I32(_) => ValueType::I32,
            Value::F32(_) => ValueType::F32,
            Value::Bool(_) => ValueType::Bool,
            Value::String(_) => ValueType::String,
            Value::Array(_) => ValueType::Array,
            Value::U64(_) => ValueType::U64,
            Value::I64(_) => ValueType::I64,
            Value::F64(_) => ValueType::F64,
        }
    }

    /// A whole number of any width.
    pub(crate) fn integer(&self) -> Option<i128> {
        match *self {
            Value::U8(v) => Some(v.into()),
            Value::I8(v) => Some(v.into()),
            Value::U16(v) => Some(v.into()),
            Value::I16(v) => Some(v.into()),
            Value::U32(v) => Some(v.into()),
            Value::I32(v) => Some(v.into()),
            Value::U64(v) => Some(v.into()),
            Value::I64(v) => Some(v.into()),
            _ => None,
        }
    }

    /// A number of any kind, as near as f32 has it.
    pub(crate) fn float(&self) -> Option<f32> {
        match *self {
            Value::F32(v) => Some(v),
            Value::F64(v) => Some(v as f32),
            other => other.integer().map(|v| v as f32),
        }
    }

    /// Reads the value at a place that was checked when the file was opened; `None` if it was not.
    pub(crate) fn read(cursor: &mut Cursor<'a>, ty: ValueType) -> Option<Self> {
        let what = "value";
        Some(match ty {
            ValueType::U8 => Value::U8(u8::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::I8 => Value::I8(i8::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::U16 => Value::U16(u16::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::I16 => Value::I16(i16::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::U32 => Value::U32(u32::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::I32 => Value::I32(i32::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::F32 => Value::F32(f32::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::Bool => Value::Bool(cursor.take(1, what).ok()? != [0]),
            ValueType::String => Value::String(cursor.string(what).ok()?),
            ValueType::U64 => Value::U64(u64::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::I64 => Value::I64(i64::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::F64 => Value::F64(f64::from_le_bytes(cursor.array(what).ok()?)),
            ValueType::Array => {
                let element = cursor.value_type(what).ok()?;
                let length = usize::try_from(cursor.u64(what).ok()?).ok()?;
                Value::Array(Array { element, length, bytes: cursor.rest() })
            }
        })
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::U8(v) => write!(f, "{v}"),
            Value::I8(v) => write!(f, "{v}"),
            Value::U16(v) => write!(f, "{v}"),
            Value::I16(v) => write!(f, "{v}"),
            Value::U32(v) => write!(f, "{v}"),
            Value::I32(v) => write!(f, "{v}"),
            Value::U64(v) => write!(f, "{v}"),
            Value::I64(v) => write!(f, "{v}"),
            Value::F32(v) => write!(f, "{v}"),
            Value::F64(v) => write!(f, "{v}"),
            Value::Bool(v) => write!(f, "{v}"),
            Value::String(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Value::Array(array) => write!(f, "{} x {}", array.length, array.element),
        }
    }
}

/// A list of values of one type, in the file's bytes.
#[derive(Clone, Copy)]
pub struct Array<'a> {
    element: ValueType,
    length: usize,
    /// From the first element on; may go on past the last.
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// The type of its entries: never an array.
    pub fn element_type(&self) -> ValueType {
        self.element
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (element, mut cursor) = (self.element, Cursor::new(self.bytes, 0));
        (0..self.length).map_while(move |_| Value::read(&mut cursor, element))
    }

    /// The entries of a list of strings; `None` for other lists.
    pub fn strings(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        (self.element == ValueType::String).then(|| {
            self.iter().filter_map(|value| match value {
                Value::String(bytes) => Some(bytes),
                _ => None,
            })
        })
    }

    /// The entries as f32, from any kind of number; `None` for other lists.
    pub fn to_f32s(&self) -> Option<Vec<f32>> {
        self.iter().map(|value| value.float()).collect()
    }

    /// The entries of a list of whole numbers; `None` for other lists, and for numbers past i64.
    pub fn to_i64s(&self) -> Option<Vec<i64>> {
        self.iter().map(|value| value.integer().and_then(|v| i64::try_from(v).ok())).collect()
    }

    /// The entries of a list of flags; `None` for other lists.
    pub fn bools(&self) -> Option<Vec<bool>> {
        let flag = |value| match value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        };
        self.iter().map(flag).collect()
    }
}

impl PartialEq for Array<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.element == other.element && self.length == other.length && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}; {}]", self.element, self.length)
    }
}
