//! Values to be written.

use crate::value::{Value, ValueType};

/// A metadata value to be written: made from any number, flag, text, a `Vec` of them, or a [`Value`] that was
/// read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedValue {
    value_type: ValueType,
    /// As it stands in a file.
    bytes: Vec<u8>,
}

impl OwnedValue {
    /// Its type.
    pub fn value_type(&self) -> ValueType {
        self.value_type
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn array<T>(element_type: ValueType, elements: &[T], append: impl Fn(&mut Vec<u8>, &T)) -> Self {
        let mut bytes = element_type.id().to_le_bytes().to_vec();
        bytes.extend((elements.len() as u64).to_le_bytes());
        elements.iter().for_each(|element| append(&mut bytes, element));
        Self { value_type: ValueType::Array, bytes }
    }
}

fn append_string(bytes: &mut Vec<u8>, string: &[u8]) {
    bytes.extend((string.len() as u64).to_le_bytes());
    bytes.extend(string);
}

macro_rules! numbers {
    ($($number:ty => $value_type:ident,)*) => {$(
        impl From<$number> for OwnedValue {
            fn from(number: $number) -> Self {
                Self { value_type: ValueType::$value_type, bytes: number.to_le_bytes().to_vec() }
            }
        }

        impl From<Vec<$number>> for OwnedValue {
            fn from(numbers: Vec<$number>) -> Self {
                Self::array(ValueType::$value_type, &numbers, |bytes, number| bytes.extend(number.to_le_bytes()))
            }
        }
    )*};
}

numbers! {
    u8 => U8,
    i8 => I8,
    u16 => U16,
    i16 => I16,
    u32 => U32,
    i32 => I32,
    u64 => U64,
    i64 => I64,
    f32 => F32,
    f64 => F64,
}

impl From<bool> for OwnedValue {
    fn from(flag: bool) -> Self {
        Self { value_type: ValueType::Bool, bytes: vec![flag.into()] }
    }
}

impl From<Vec<bool>> for OwnedValue {
    fn from(flags: Vec<bool>) -> Self {
        Self::array(ValueType::Bool, &flags, |bytes, &flag| bytes.push(flag.into()))
    }
}

impl From<&[u8]> for OwnedValue {
    /// A string, which need not be UTF-8; for an array of numbers give a `Vec<u8>`.
    fn from(string: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(8 + string.len());
        append_string(&mut bytes, string);
        Self { value_type: ValueType::String, bytes }
    }
}

macro_rules! strings {
    ($($string:ty)*) => {$(
        impl From<Vec<$string>> for OwnedValue {
            fn from(strings: Vec<$string>) -> Self {
                Self::array(ValueType::String, &strings, |bytes, string| append_string(bytes, string.as_ref()))
            }
        }
    )*};
}

strings! { &str String &[u8] Vec<u8> }

impl From<&str> for OwnedValue {
    fn from(string: &str) -> Self {
        string.as_bytes().into()
    }
}

impl From<String> for OwnedValue {
    fn from(string: String) -> Self {
        string.as_bytes().into()
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::U8(v) => v.into(),
            Value::I8(v) => v.into(),
            Value::U16(v) => v.into(),
            Value::I16(v) => v.into(),
            Value::U32(v) => v.into(),
            Value::I32(v) => v.into(),
            Value::U64(v) => v.into(),
            Value::I64(v) => v.into(),
            Value::F32(v) => v.into(),
            Value::F64(v) => v.into(),
            Value::Bool(v) => v.into(),
            Value::String(v) => v.into(),
            Value::Array(array) => {
                let mut bytes = array.element_type().id().to_le_bytes().to_vec();
                bytes.extend((array.len() as u64).to_le_bytes());
                bytes.extend(array.bytes());
                Self { value_type: ValueType::Array, bytes }
            }
        }
    }
}
