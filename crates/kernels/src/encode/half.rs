//! IEEE binary32 to binary16.

/// `value` rounded to f16 (as its bits), to nearest and ties to even. What exceeds 65504 by half a step becomes
/// infinite; a NaN stays one, made quiet.
pub fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    let rounded = match magnitude {
        0x7f80_0001.. => 0x7e00 | (magnitude >> 13 & 0x3ff) as u16,
        // 65520 and above.
        0x477f_f000.. => 0x7c00,
        // From 2^-14 on: the bias changes, 13 bits go. A carry moves on into the exponent, where it belongs.
        0x3880_0000.. => {
            let rebiased = magnitude - ((127 - 15) << 23);
            ((rebiased + 0xfff + (rebiased >> 13 & 1)) >> 13) as u16
        }
        // Subnormal: adding 0.5 leaves multiples of 2^-24 in the low bits, rounded by the addition itself.
        _ => ((f32::from_bits(magnitude) + 0.5).to_bits() & 0x7ff) as u16,
    };
    sign | rounded
}

#[cfg(test)]
mod tests {
    use super::f32_to_f16;
    use crate::decode::f16_to_f32;
    use testkit::random::Random;

    #[test]
    fn every_f16_is_itself() {
        for half in 0..=u16::MAX {
            let value = f16_to_f32(half);
            if value.is_nan() {
                assert!(f16_to_f32(f32_to_f16(value)).is_nan(), "{half:#06x}");
            } else {
                assert_eq!(f32_to_f16(value), half, "{value:e}");
            }
        }
    }

    /// Between two neighbours: below the middle, on it, above it.
    #[test]
    fn between_neighbours_the_nearer_wins_and_ties_go_to_even() {
        for half in 0..0x7c00u16 {
            let below = f64::from(f16_to_f32(half));
            let above = if half == 0x7bff { 65_536.0 } else { f64::from(f16_to_f32(half + 1)) };
            let middle = ((below + above) / 2.0) as f32;
            let even = if half.is_multiple_of(2) { half } else { half + 1 };
            for sign in [0, 0x8000u16] {
                let signed = |value: f32| if sign == 0 { value } else { -value };
                assert_eq!(f32_to_f16(signed(middle)), sign | even, "{middle:e}");
                assert_eq!(f32_to_f16(signed(middle.next_down())), sign | half, "below {middle:e}");
                assert_eq!(f32_to_f16(signed(middle.next_up())), sign | (half + 1), "above {middle:e}");
            }
        }
    }

    #[test]
    fn random_bits_are_as_near_as_any_f16() {
        let mut random = Random::seeded(7);
        for _ in 0..200_000 {
            let value = f32::from_bits(random.bits() as u32);
            let got = f32_to_f16(value);
            if value.is_nan() {
                assert!(f16_to_f32(got).is_nan());
            } else if value.abs() < 65_520.0 {
                let error = |half: u16| (f64::from(f16_to_f32(half)) - f64::from(value)).abs();
                for other in [got.wrapping_sub(1), got.wrapping_add(1)] {
                    if f16_to_f32(other).is_finite() {
                        assert!(error(got) <= error(other), "{value:e} became {got:#06x}");
                    }
                }
            } else {
                assert_eq!(got & 0x7fff, 0x7c00, "{value:e}");
            }
        }
    }
}
