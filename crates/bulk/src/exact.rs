//! Integers beside floats in one column.

/// Whether a float (f64) holds this integer and all smaller ones to the last digit: it is not beyond 2^53.
pub fn is_exact_as_float(integer: i64) -> bool {
    integer.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS
}
