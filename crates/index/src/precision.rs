//! How values are kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::layout::Kind;

/// What a value is kept as. Ordered from the finest to the coarsest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 4 bytes, as the network gives them.
    F32,
    /// 2 bytes: half precision.
    F16,
    /// 1 byte, and a scale a vector: a value is its integer times it.
    Int8,
    /// 1 bit: whether the value is above 0.
    Binary,
}

impl Precision {
    /// All of them, the finest first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Int8, Self::Binary];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Binary => "binary",
        }
    }

    /// Bytes of a vector of so many values, scales aside.
    pub fn width(self, dimensions: usize) -> usize {
        match self {
            Self::F32 => dimensions * 4,
            Self::F16 => dimensions * 2,
            Self::Int8 => dimensions,
            Self::Binary => dimensions.div_ceil(8),
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
