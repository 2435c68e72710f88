//! Integers of the product as two bytes each, for instructions that multiply bytes and add four or eight products to a sum.
//!
//! An integer of the product has 12 and a half bits: `v = 64 high + low`, `high` within +-45 and `low` from -32 to 31. A
//! product of two such is four products of bytes, or three by Karatsuba's way (Multiplication of Multidigit Numbers on
//! Automata, 1962):
//!
//! ```text
//! (64 h + l) (64 h' + l') = 4096 h h' + 64 (h l' + l h') + l l'
//!                         = 4032 h h' + 64 (h + l) (h' + l') - 63 l l'
//! ```
//!
//! `h + l` is within +-77, so all are bytes. Each of the three sums is exact in i32, and what they come to is what pairs of
//! i16 give, bit for bit.
#![allow(unsafe_code)] // a named room: intrinsics

use std::arch::aarch64::{
    int8x16_t, int16x8_t, int32x4_t, vaddq_s8, vdupq_n_s32, vld1q_s8, vmlaq_n_s32, vmulq_n_s32,
    vreinterpretq_s8_s16, vrshrn_high_n_s16, vrshrn_n_s16, vshlq_n_s8, vst1q_s8, vsubq_s8, vuzp1q_s8,
};

/// Bytes of a vector.
pub(crate) const BYTES: usize = 16;

/// Halves of sixteen integers.
#[derive(Clone, Copy)]
pub(crate) struct Halves {
    high: int8x16_t,
    low: int8x16_t,
}

impl Halves {
    /// Of the first eight, and the others.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn of(first: int16x8_t, other: int16x8_t) -> Self {
        let high = vrshrn_high_n_s16::<6>(vrshrn_n_s16::<6>(first), other);
        let bytes = vuzp1q_s8(vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(other));
        Self { high, low: vsubq_s8(bytes, vshlq_n_s8::<6>(high)) }
    }

    /// Writes the high ones and then the low ones.
    ///
    /// # Safety
    /// There must be two vectors of bytes.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) unsafe fn store(self, to: *mut i8) {
        // SAFETY: as this function's.
        unsafe {
            vst1q_s8(to, self.high);
            vst1q_s8(to.add(BYTES), self.low);
        }
    }

    /// Reads what [`store`](Self::store) wrote.
    ///
    /// # Safety
    /// There must be two vectors of bytes.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) unsafe fn load(from: *const i8) -> Self {
        // SAFETY: as this function's.
        unsafe { Self { high: vld1q_s8(from), low: vld1q_s8(from.add(BYTES)) } }
    }

    /// What is multiplied of them.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn factors(self) -> Factors {
        Factors { high: self.high, low: self.low, both: vaddq_s8(self.high, self.low) }
    }
}

/// What is multiplied: the halves, and both added.
#[derive(Clone, Copy)]
pub(crate) struct Factors {
    pub(crate) high: int8x16_t,
    pub(crate) low: int8x16_t,
    pub(crate) both: int8x16_t,
}

/// Sums of the three products.
#[derive(Clone, Copy)]
pub(crate) struct Products {
    pub(crate) high: int32x4_t,
    pub(crate) low: int32x4_t,
    pub(crate) both: int32x4_t,
}

impl Products {
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn none() -> Self {
        let zero = vdupq_n_s32(0);
        Self { high: zero, low: zero, both: zero }
    }

    /// What they come to.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn all(self) -> int32x4_t {
        vmlaq_n_s32(vmlaq_n_s32(vmulq_n_s32(self.both, 64), self.high, 64 * 64 - 64), self.low, 1 - 64)
    }
}

#[cfg(test)]
mod tests {
    use std::arch::aarch64::{vdupq_n_s16, vdupq_n_s32, vgetq_lane_s32};

    use super::*;

    /// The bytes of a vector.
    fn bytes(vector: int8x16_t) -> [i8; BYTES] {
        let mut all = [0; BYTES];
        // SAFETY: sixteen bytes are written.
        unsafe { vst1q_s8(all.as_mut_ptr(), vector) };
        all
    }

    #[test]
    fn every_integer_is_its_halves_and_they_are_bytes() {
        for value in -2895..=2895i16 {
            // SAFETY: every aarch64 has NEON.
            let Factors { high, low, both } =
                unsafe { Halves::of(vdupq_n_s16(value), vdupq_n_s16(-value)).factors() };
            for (at, wanted) in (0..BYTES).map(|at| (at, if at < 8 { value } else { -value })) {
                let (high, low) = (i16::from(bytes(high)[at]), i16::from(bytes(low)[at]));
                assert_eq!(64 * high + low, wanted);
                assert_eq!(i16::from(bytes(both)[at]), high + low, "{wanted} overflows");
            }
        }
    }

    #[test]
    fn three_products_are_the_product() {
        for (a, b) in
            [(2895i32, 2895i32), (-2895, 2895), (-2895, -2895), (31, -33), (32, 32), (0, -1), (95, -2417)]
        {
            let split = |v: i32| ((v + 32) >> 6, v - 64 * ((v + 32) >> 6));
            let ((h, l), (k, m)) = (split(a), split(b));
            // SAFETY: every aarch64 has NEON.
            let all = unsafe {
                let of = |value: i32| vdupq_n_s32(256 * value);
                vgetq_lane_s32::<0>(
                    Products { high: of(h * k), low: of(l * m), both: of((h + l) * (k + m)) }.all(),
                )
            };
            assert_eq!(all, 256 * a * b);
        }
    }
}
