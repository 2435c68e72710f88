//! What the values of vectors are written as: one block of memory for all of them.

use arrow_buffer::Buffer;
use connote::{packed_signs, rounded_to_int8};
use half::f16;

use crate::failure::Failure;

/// What the values of a vector are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Float32,
    Float16,
    /// Of [`rounded_to_int8`].
    Int8,
    /// The same and 128.
    Uint8,
    /// The bytes of [`Ubinary`](Self::Ubinary) less 128.
    Binary,
    /// Of [`packed_signs`].
    Ubinary,
}

impl Output {
    const NAMES: [(&str, Self); 6] = [
        ("float32", Self::Float32),
        ("float16", Self::Float16),
        ("int8", Self::Int8),
        ("uint8", Self::Uint8),
        ("binary", Self::Binary),
        ("ubinary", Self::Ubinary),
    ];

    /// # Errors
    /// If none is called so.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let found = Self::NAMES.into_iter().find(|(its, _)| *its == name);
        found.map(|(_, output)| output).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            Failure::invalid(format!("no output is called `{name}`; there is {names}"))
        })
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, output)| *output == self).map_or("", |(name, _)| name)
    }

    /// How many values a vector of so many dimensions becomes.
    pub(crate) fn width(self, dimensions: usize) -> usize {
        match self {
            Output::Binary | Output::Ubinary => dimensions.div_ceil(8),
            _ => dimensions,
        }
    }

    /// Whether a value of it can say that there is none.
    pub(crate) fn has_nan(self) -> bool {
        matches!(self, Output::Float32 | Output::Float16)
    }

    /// Its type as numpy's array interface says it.
    pub(crate) fn typestr(self) -> &'static str {
        match self {
            Output::Float32 => "<f4",
            Output::Float16 => "<f2",
            Output::Int8 | Output::Binary => "|i1",
            Output::Uint8 | Output::Ubinary => "|u1",
        }
    }
}

/// Rows as they are made, one after the other.
pub(crate) struct Rows {
    output: Output,
    values: Values,
}

enum Values {
    Float32(Vec<f32>),
    Float16(Vec<f16>),
    Bytes(Vec<u8>),
}

impl Rows {
    /// Room for so many values.
    pub(crate) fn new(output: Output, values: usize) -> Self {
        let values = match output {
            Output::Float32 => Values::Float32(Vec::with_capacity(values)),
            Output::Float16 => Values::Float16(Vec::with_capacity(values)),
            _ => Values::Bytes(Vec::with_capacity(values)),
        };
        Self { output, values }
    }

    pub(crate) fn push(&mut self, vector: &[f32]) {
        match &mut self.values {
            Values::Float32(values) => values.extend_from_slice(vector),
            Values::Float16(values) => values.extend(vector.iter().map(|&value| f16::from_f32(value))),
            Values::Bytes(values) => match self.output {
                Output::Int8 => values.extend(rounded_to_int8(vector).map(|value| value as u8)),
                Output::Uint8 => {
                    values.extend(rounded_to_int8(vector).map(|value| (i16::from(value) + 128) as u8))
                }
                Output::Binary => values.extend(packed_signs(vector).map(|byte| byte.wrapping_sub(128))),
                _ => values.extend(packed_signs(vector)),
            },
        }
    }

    /// The row of a text that has no vector: not a number, where the output has such a value.
    pub(crate) fn push_none(&mut self, width: usize) {
        match &mut self.values {
            Values::Float32(values) => values.resize(values.len() + width, f32::NAN),
            Values::Float16(values) => values.resize(values.len() + width, f16::NAN),
            Values::Bytes(values) => values.resize(values.len() + width, 0),
        }
    }

    /// The same memory, for whoever reads it.
    pub(crate) fn into_buffer(self) -> Buffer {
        match self.values {
            Values::Float32(values) => Buffer::from_vec(values),
            Values::Float16(values) => Buffer::from_vec(values),
            Values::Bytes(values) => Buffer::from_vec(values),
        }
    }
}
