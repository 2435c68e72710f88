//! IEEE binary16 to binary32.

/// The value of an f16 (given by its bits), exactly; a NaN keeps its sign and payload.
///
/// Both cases are computed and one is chosen, so that the compiler can do it for many values at once.
/// Subnormals go through a subtraction of normal numbers, which the processor does at full speed and which
/// does not depend on its flush-to-zero setting, as multiplying a subnormal f32 would.
#[inline(always)]
pub fn f16_to_f32(half: u16) -> f32 {
    const REBIAS: u32 = (127 - 15) << 23;
    let magnitude = u32::from(half & 0x7fff);
    let sign = u32::from(half & 0x8000) << 16;
    // Exponent 31 (infinity, NaN) must become 255: the bias once more.
    let special = if magnitude >= 0x7c00 { REBIAS } else { 0 };
    let normal = (magnitude << 13) + REBIAS + special;
    // In [0.5, 1) an f32's last bit is worth 2^-24, as a subnormal f16's is.
    let subnormal = (f32::from_bits(0.5f32.to_bits() | (magnitude & 0x3ff)) - 0.5).to_bits();
    f32::from_bits(sign | if magnitude < 0x400 { subnormal } else { normal })
}

#[cfg(test)]
mod tests {
    use super::f16_to_f32;

    /// The definition, in f64, where every f16 and every step is exact.
    fn by_definition(half: u16) -> f64 {
        let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
        let exponent = i32::from(half >> 10 & 31);
        let fraction = f64::from(half & 0x3ff) / 1024.0;
        sign * match exponent {
            0 => fraction * 2f64.powi(-14),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
        }
    }

    #[test]
    fn all_values_are_exact() {
        for half in 0..=u16::MAX {
            let (got, wanted) = (f16_to_f32(half), by_definition(half));
            if wanted.is_nan() {
                assert!(got.is_nan(), "{half:#06x} is {got}, should be NaN");
                assert_eq!(got.to_bits() >> 13 & 0x3ff, u32::from(half & 0x3ff), "{half:#06x}: payload");
            } else {
                assert_eq!(
                    f64::from(got).to_bits(),
                    wanted.to_bits(),
                    "{half:#06x} is {got}, should be {wanted}"
                );
            }
        }
    }
}
