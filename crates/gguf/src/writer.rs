//! Writing GGUF files.

use std::io::Write;

use crate::error::Error;
use crate::header::{Header, align};
use crate::tensor_type::TensorType;
use crate::value::{Value, ValueType};

/// A metadata value to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedValue {
    ty: ValueType,
    bytes: Vec<u8>,
}

/// A GGUF file (version 3) under construction. What it writes, the reader accepts; what the reader would
/// refuse, it refuses.
#[derive(Debug, Clone)]
pub struct Writer {
    alignment: u32,
    keys: Vec<(String, OwnedValue)>,
    tensors: Vec<NewTensor>,
}

#[derive(Debug, Clone)]
struct NewTensor {
    name: String,
    ty: TensorType,
    dims: Vec<u64>,
    bytes: Vec<u8>,
}

const ALIGNMENT_KEY: &str = "general.alignment";

impl Default for Writer {
    fn default() -> Self {
        Self { alignment: 32, keys: Vec::new(), tensors: Vec::new() }
    }
}

impl Writer {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// What tensors' offsets are multiples of: a power of two. Default: 32.
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = alignment;
        self.keys.retain(|(key, _)| key != ALIGNMENT_KEY);
        self.metadata(ALIGNMENT_KEY, alignment)
    }

    /// Adds a key. [`alignment`](Self::alignment) adds its own.
    pub fn metadata(mut self, key: &str, value: impl Into<OwnedValue>) -> Self {
        let value = value.into();
        if let (ALIGNMENT_KEY, ValueType::U32, Ok(bytes)) = (key, value.ty, value.bytes.as_slice().try_into()) {
            self.alignment = u32::from_le_bytes(bytes);
        }
        self.keys.push((key.to_owned(), value));
        self
    }

    /// Adds a tensor: its shape with the fastest dimension first, and its bytes in the form of its type.
    pub fn tensor(mut self, name: &str, ty: TensorType, dims: &[u64], bytes: Vec<u8>) -> Self {
        self.tensors.push(NewTensor { name: name.to_owned(), ty, dims: dims.to_vec(), bytes });
        self
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written, or the reader would refuse it: a key or tensor twice, names too long, bytes
    /// that do not fit the shape, an alignment that is no power of two.
    pub fn write_to(&self, out: &mut impl Write) -> Result<(), Error> {
        let alignment = u64::from(self.alignment);
        if !alignment.is_power_of_two() {
            return Err(Error::malformed(format!("an alignment of {alignment} is no power of two")));
        }
        let mut header = b"GGUF".to_vec();
        header.extend(3u32.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            put_string(&mut header, key.as_bytes());
            header.extend(value.ty.id().to_le_bytes());
            header.extend(&value.bytes);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            put_string(&mut header, tensor.name.as_bytes());
            header.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| header.extend(dim.to_le_bytes()));
            header.extend(tensor.ty.id().to_le_bytes());
            header.extend(offset.to_le_bytes());
            offset += padded(tensor.bytes.len() as u64, alignment)?;
        }
        if !self.tensors.is_empty() {
            header.resize(padded(header.len() as u64, alignment)? as usize, 0);
        }
        self.check(&header, header.len() as u64 + offset)?;

        let failed = |error| Error::io("the GGUF file cannot be written", error);
        out.write_all(&header).map_err(failed)?;
        for tensor in &self.tensors {
            let padding = padded(tensor.bytes.len() as u64, alignment)? as usize - tensor.bytes.len();
            out.write_all(&tensor.bytes).map_err(failed)?;
            out.write_all(&vec![0; padding]).map_err(failed)?;
        }
        out.flush().map_err(failed)
    }

    /// The file in memory.
    ///
    /// # Errors
    /// As [`write_to`](Self::write_to).
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the header back, as a reader will.
    fn check(&self, header: &[u8], length: u64) -> Result<(), Error> {
        let read = Header::read(header, length as usize)?;
        for (tensor, info) in self.tensors.iter().zip(&read.tensors) {
            if info.data.len() != tensor.bytes.len() {
                let (has, needs) = (tensor.bytes.len(), info.data.len());
                return Err(Error::malformed(format!("tensor `{}`: has {has} bytes, its shape and type need {needs}", tensor.name)));
            }
        }
        let mut names: Vec<&str> = self.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let mut keys: Vec<&str> = self.keys.iter().map(|(key, _)| key.as_str()).collect();
        for list in [&mut names, &mut keys] {
            list.sort_unstable();
            if let Some(twice) = list.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(Error::malformed(format!("`{}` is there twice", twice[0])));
            }
        }
        Ok(())
    }
}

fn padded(length: u64, alignment: u64) -> Result<u64, Error> {
    align(length, alignment).ok_or_else(|| Error::malformed("the file is too large"))
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        let mut bytes = Vec::new();
        put_value(&mut bytes, value);
        Self { ty: value.value_type(), bytes }
    }
}

fn put_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::U8(v) => out.push(v),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push(v.into()),
        Value::String(bytes) => put_string(out, bytes),
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
        Value::Array(array) => {
            out.extend(array.element_type().id().to_le_bytes());
            out.extend((array.len() as u64).to_le_bytes());
            array.iter().for_each(|element| put_value(out, element));
        }
    }
}

macro_rules! from_scalars {
    ($($variant:ident $type:ty;)*) => {$(
        impl From<$type> for OwnedValue {
            fn from(value: $type) -> Self {
                Value::$variant(value).into()
            }
        }

        impl From<Vec<$type>> for OwnedValue {
            fn from(values: Vec<$type>) -> Self {
                list(ValueType::$variant, values.into_iter().map(Value::$variant))
            }
        }
    )*};
}

from_scalars! {
    U8 u8; I8 i8; U16 u16; I16 i16; U32 u32; I32 i32; F32 f32; Bool bool; U64 u64; I64 i64; F64 f64;
}

impl From<&str> for OwnedValue {
    fn from(text: &str) -> Self {
        Value::String(text.as_bytes()).into()
    }
}

impl From<String> for OwnedValue {
    fn from(text: String) -> Self {
        Value::String(text.as_bytes()).into()
    }
}

impl From<Vec<String>> for OwnedValue {
    fn from(texts: Vec<String>) -> Self {
        list(ValueType::String, texts.iter().map(|text| Value::String(text.as_bytes())))
    }
}

impl From<Vec<Vec<u8>>> for OwnedValue {
    fn from(texts: Vec<Vec<u8>>) -> Self {
        list(ValueType::String, texts.iter().map(|text| Value::String(text)))
    }
}

fn list<'a>(element: ValueType, values: impl ExactSizeIterator<Item = Value<'a>>) -> OwnedValue {
    let mut bytes = element.id().to_le_bytes().to_vec();
    bytes.extend((values.len() as u64).to_le_bytes());
    values.for_each(|value| put_value(&mut bytes, value));
    OwnedValue { ty: ValueType::Array, bytes }
}
