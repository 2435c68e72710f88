//! What holds the numbers of a column of JSON to their last digit.

use arrow_schema::DataType;

/// What all numbers of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// Integers that a float holds to the last digit.
    Integer,
    /// Integers of which a float may lose the last digits.
    LargeInteger,
    Float,
}

impl Number {
    /// None for what no type holds as it is written: `-0`, `1e400`, an integer of more than 64 bits.
    pub(crate) fn of(written: &str) -> Option<Self> {
        match written.parse::<i64>() {
            Ok(number) if number.to_string() == written => match is_exact_as_float(number) {
                true => Some(Self::Integer),
                false => Some(Self::LargeInteger),
            },
            _ => {
                let is_float = written.contains(['.', 'e', 'E']) && written.parse().is_ok_and(f64::is_finite);
                is_float.then_some(Self::Float)
            }
        }
    }

    /// What holds both; none where a float would lose the last digits of large integers.
    pub(crate) fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (one, other) if one == other => Some(one),
            (Self::Float, Self::LargeInteger) | (Self::LargeInteger, Self::Float) => None,
            (Self::Float, _) | (_, Self::Float) => Some(Self::Float),
            _ => Some(Self::LargeInteger),
        }
    }

    pub(crate) fn is_integer(self) -> bool {
        self != Self::Float
    }

    pub(crate) fn arrow(self) -> DataType {
        if self.is_integer() { DataType::Int64 } else { DataType::Float64 }
    }
}

/// Whether a float (f64) holds this integer and all smaller ones to the last digit: it is not beyond 2^53.
pub fn is_exact_as_float(integer: i64) -> bool {
    integer.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS
}
