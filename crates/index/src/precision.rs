//! How values are kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::layout::Kind;

/// What the values of a vector are kept as, in files and collections. Ordered from the finest to the coarsest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 4 bytes, as the network gives them.
    #[default]
    F32,
    /// 2 bytes: IEEE half precision, rounded to the nearest, ties to even. A value beyond 65504 is refused.
    F16,
    /// Integers -127 to 127, and a scale a vector: a value is its integer times the scale, which makes the largest
    /// of the vector 127. One scale for all would be too coarse for most vectors or too small for some: those
    /// of EmbeddingGemma without its dense layers have values 18 times as large as most.
    Int8,
    /// The sign of each value, 8 to a byte, the first in the highest bit; 1 for values above 0. Bits past the
    /// last value are 0, as `numpy.packbits` leaves them.
    Binary,
}

impl Precision {
    /// All of them, the finest first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Int8, Self::Binary];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Binary => "binary",
        }
    }

    /// How many stored values (bytes, for [`Binary`](Self::Binary)) a vector of `dimensions` values has.
    pub fn width(self, dimensions: usize) -> usize {
        if self == Self::Binary { dimensions.div_ceil(8) } else { dimensions }
    }

    /// Bytes of a stored vector of `dimensions` values, scales aside.
    pub fn bytes(self, dimensions: usize) -> usize {
        let width = self.width(dimensions);
        match self {
            Self::F32 => width * 4,
            Self::F16 => width * 2,
            Self::Int8 | Self::Binary => width,
        }
    }

    /// Whether its scores are those of the vectors, but for rounding, so that candidates can be scored again by it.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    pub(crate) fn section(self) -> Kind {
        match self {
            Self::F32 => Kind::F32,
            Self::F16 => Kind::F16,
            Self::Int8 => Kind::Int8,
            Self::Binary => Kind::Binary,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|precision| precision.name() == name);
        known.ok_or_else(|| format!("`{name}` is no precision; write f32, f16, int8 or binary"))
    }
}
