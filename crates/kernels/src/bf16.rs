//! Rounding to bf16: the upper half of an f32.

/// `out = x` rounded to bf16, to nearest and ties to even; `out` may be longer and is zero there.
///
/// What exceeds the largest bf16 becomes infinite, denormals stay what they round to, and NaN stays NaN
/// (made quiet: cutting a payload off could leave an infinity). Branch-free, so that it vectorises.
///
/// # Panics
/// If `out` is shorter than `x`.
#[inline(always)]
pub(crate) fn to_bf16_body(x: &[f32], out: &mut [u16]) {
    assert!(x.len() <= out.len(), "to_bf16: {} values into {}", x.len(), out.len());
    let (values, padding) = out.split_at_mut(x.len());
    for (out, x) in values.iter_mut().zip(x) {
        let bits = x.to_bits();
        let upper = bits >> 16;
        // Just below a half, and up to it where the upper half is odd: a carry goes where it belongs, into
        // the exponent and on to infinity.
        let rounded = bits.wrapping_add(0x7fff + (upper & 1)) >> 16;
        let quiet = upper | 0x40;
        *out = if bits & 0x7fff_ffff > 0x7f80_0000 { quiet } else { rounded } as u16;
    }
    padding.fill(0);
}

#[cfg(test)]
mod tests {
    use super::to_bf16_body;
    use testkit::random::Random;

    /// The nearest of the two bf16 that enclose `x`, found in f64.
    fn nearest(x: f32) -> u16 {
        let below = (x.to_bits() >> 16) as u16; // toward zero
        if x.is_nan() || x.is_infinite() {
            return below;
        }
        // Beyond the largest bf16 stands infinity, where 2^128 would be.
        let value = |bits: u16| match bits & 0x7fff {
            0x7f80 => 2.0f64.powi(128),
            magnitude => f64::from(f32::from_bits(u32::from(magnitude) << 16)),
        };
        let x = f64::from(x).abs();
        let (down, up) = (x - value(below), value(below + 1) - x);
        if down < up || (down == up && below.is_multiple_of(2)) { below } else { below + 1 }
    }

    fn assert_rounds(x: &[f32]) {
        let mut out = vec![0xdead; x.len()];
        to_bf16_body(x, &mut out);
        for (&x, &got) in x.iter().zip(&out) {
            if x.is_nan() {
                assert!(f32::from_bits(u32::from(got) << 16).is_nan(), "{:08x} is NaN", x.to_bits());
                assert!(got & 0x40 != 0, "{:08x} became {got:04x}, which is not quiet", x.to_bits());
                assert_eq!(got >> 15 == 1, x.is_sign_negative(), "the sign of {:08x}", x.to_bits());
            } else {
                assert_eq!(got, nearest(x), "{:08x} became {got:04x}", x.to_bits());
            }
        }
    }

    /// The result depends on the upper half, and on the lower only by its order to a half.
    #[test]
    fn every_upper_half_rounds_to_nearest_even() {
        for lower in [0, 1, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xffff] {
            let x: Vec<f32> = (0..=0xffffu32).map(|upper| f32::from_bits(upper << 16 | lower)).collect();
            assert_rounds(&x);
        }
    }

    #[test]
    fn random_bits_round_to_nearest_even_at_any_length() {
        let mut random = Random::seeded(41);
        for length in (0..70).chain([100_000]) {
            let x: Vec<f32> = (0..length).map(|_| f32::from_bits(random.bits() as u32)).collect();
            assert_rounds(&x);
        }
    }

    #[test]
    fn values_known_by_hand() {
        let known = [
            (1.0, 0x3f80),
            (-2.0, 0xc000),
            (1.0 + 1.0 / 256.0, 0x3f80), // a tie
            (1.0 + 3.0 / 256.0, 0x3f82), // a tie
            (-0.0, 0x8000),
            (f32::MAX, 0x7f80),
            (f32::NEG_INFINITY, 0xff80),
            (f32::MIN_POSITIVE / 2.0, 0x0040),
            (f32::from_bits(1), 0),
        ];
        for (x, wanted) in known {
            let mut out = [0];
            to_bf16_body(&[x], &mut out);
            assert_eq!(out[0], wanted, "{x:e}");
        }
    }

    #[test]
    fn what_is_longer_than_the_values_is_zero() {
        let mut out = [0xdead; 32];
        to_bf16_body(&[1.0; 5], &mut out);
        assert_eq!(out[..5], [0x3f80; 5]);
        assert_eq!(out[5..], [0; 27]);
    }

    #[test]
    #[should_panic(expected = "to_bf16: 2 values into 1")]
    fn what_does_not_fit_is_refused() {
        to_bf16_body(&[1.0; 2], &mut [0]);
    }
}
