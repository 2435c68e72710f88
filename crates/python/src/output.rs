//! What the values of vectors are written as: one block of memory for all of them.

use arrow_buffer::{ArrowNativeType, Buffer};
use connote::{packed_signs, rounded_to_int8};
use half::f16;

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
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.into_iter().find(|(its, _)| *its == name);
        found.map(|(_, output)| output).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            format!("no output is called `{name}`; there is {names}")
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
pub(crate) struct Rows<'a> {
    output: Output,
    values: Values<'a>,
}

/// By their type in memory.
pub(crate) enum Values<'a> {
    Float32(Room<'a, f32>),
    Float16(Room<'a, f16>),
    Signed(Room<'a, i8>),
    Unsigned(Room<'a, u8>),
}

/// Where values are written, from its start on.
pub(crate) enum Room<'a, T> {
    Own(Vec<T>),
    /// Memory of somebody else's, as far as it is not written yet.
    Lent(&'a mut [T]),
}

/// A type that values are written as.
pub(crate) trait Value: Sized {
    fn values(room: Room<'_, Self>) -> Values<'_>;
}

impl Value for f32 {
    fn values(room: Room<'_, Self>) -> Values<'_> {
        Values::Float32(room)
    }
}

impl Value for f16 {
    fn values(room: Room<'_, Self>) -> Values<'_> {
        Values::Float16(room)
    }
}

impl Value for i8 {
    fn values(room: Room<'_, Self>) -> Values<'_> {
        Values::Signed(room)
    }
}

impl Value for u8 {
    fn values(room: Room<'_, Self>) -> Values<'_> {
        Values::Unsigned(room)
    }
}

impl<T: Copy> Room<'_, T> {
    fn extend(&mut self, values: impl ExactSizeIterator<Item = T>) {
        match self {
            Self::Own(own) => own.extend(values),
            Self::Lent(rest) => {
                let (row, behind) = std::mem::take(rest).split_at_mut(values.len());
                row.iter_mut().zip(values).for_each(|(place, value)| *place = value);
                *rest = behind;
            }
        }
    }

    fn fill(&mut self, count: usize, value: T) {
        self.extend(std::iter::repeat_n(value, count));
    }
}

impl<'a> Rows<'a> {
    /// In memory that grows, with room for so many values.
    pub(crate) fn growing(output: Output, values: usize) -> Self {
        let values = match output {
            Output::Float32 => Values::Float32(Room::Own(Vec::with_capacity(values))),
            Output::Float16 => Values::Float16(Room::Own(Vec::with_capacity(values))),
            Output::Int8 | Output::Binary => Values::Signed(Room::Own(Vec::with_capacity(values))),
            Output::Uint8 | Output::Ubinary => Values::Unsigned(Room::Own(Vec::with_capacity(values))),
        };
        Self { output, values }
    }

    /// In memory of the type that the output has.
    pub(crate) fn lent<T: Value>(output: Output, memory: &'a mut [T]) -> Self {
        Self { output, values: T::values(Room::Lent(memory)) }
    }

    pub(crate) fn push(&mut self, vector: &[f32]) {
        match &mut self.values {
            Values::Float32(room) => room.extend(vector.iter().copied()),
            Values::Float16(room) => room.extend(vector.iter().map(|&value| f16::from_f32(value))),
            Values::Signed(room) => match self.output {
                Output::Binary => {
                    room.extend(packed_signs(vector).map(|byte| byte.wrapping_sub(128).cast_signed()))
                }
                _ => room.extend(rounded_to_int8(vector)),
            },
            Values::Unsigned(room) => match self.output {
                Output::Ubinary => room.extend(packed_signs(vector)),
                _ => room.extend(rounded_to_int8(vector).map(|value| (i16::from(value) + 128) as u8)),
            },
        }
    }

    /// The row of a text that has no vector: not a number, where the output has such a value.
    pub(crate) fn push_none(&mut self, width: usize) {
        match &mut self.values {
            Values::Float32(room) => room.fill(width, f32::NAN),
            Values::Float16(room) => room.fill(width, f16::NAN),
            Values::Signed(room) => room.fill(width, 0),
            Values::Unsigned(room) => room.fill(width, 0),
        }
    }

    /// Whether what was lent is written to its end.
    pub(crate) fn is_full(&self) -> bool {
        fn full<T>(room: &Room<'_, T>) -> bool {
            matches!(room, Room::Lent(rest) if rest.is_empty())
        }
        match &self.values {
            Values::Float32(room) => full(room),
            Values::Float16(room) => full(room),
            Values::Signed(room) => full(room),
            Values::Unsigned(room) => full(room),
        }
    }

    /// The same memory, for whoever reads it.
    ///
    /// # Panics
    /// If it was lent: it is somebody else's.
    pub(crate) fn into_buffer(self) -> Buffer {
        fn buffer<T: ArrowNativeType>(room: Room<'_, T>) -> Buffer {
            match room {
                Room::Own(values) => Buffer::from_vec(values),
                Room::Lent(_) => unreachable!("memory that was lent is not given on"),
            }
        }
        match self.values {
            Values::Float32(room) => buffer(room),
            Values::Float16(room) => buffer(room),
            Values::Signed(room) => buffer(room),
            Values::Unsigned(room) => buffer(room),
        }
    }
}
