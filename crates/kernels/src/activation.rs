//! exp and the activations built on it, branch-free so that they vectorise.
//!
//! Errors are in ulp, units in the last place of the exact result in f32, the worst that
//! `tests/ulp.rs` allows. NaN stays NaN.

use crate::lanes::{each, each_with};

/// `e^x` for `x` between -88 and 89, to 2 ulp; 0 below -87.68 (`2^n` has no smaller exponent) and infinite
/// above 88.38 (nor a larger one).
///
/// `x = n ln 2 + r` (Cody and Waite, ln 2 in two parts), a polynomial of degree 6 in `r` fitted at
/// Chebyshev nodes on `[-ln2/2, ln2/2]`, and `2^n` by its exponent bits.
#[inline(always)]
fn exp_inside(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits, without a conversion.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // In pairs, not in one chain: a chain waits for every result, and the loop with it.
    let r2 = r * r;
    let high = (0.041_666_217 + 0.008_375_129 * r) + 0.001_394_858_1 * r2;
    let middle = (0.5 + 0.166_664_15 * r) + high * r2;
    let p = 1.0 + (r + middle * r2);
    // At -127 these bits are those of 0, at 128 of infinity.
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// `e^x` for `x` not above 0, to 2 ulp where it is normal; 0 below -87.68.
#[inline(always)]
pub(crate) fn exp_of_negative(x: f32) -> f32 {
    // A comparison, not `f32::max`, which would lose NaN.
    exp_inside(if x < -88.0 { -88.0 } else { x })
}

/// `x / (1 + e^(-v))`, the logistic gate. `e^(-v)` is infinite above 88.38, so that the quotient goes to
/// zero however large `x` is.
#[inline(always)]
fn gated_by(x: f32, v: f32) -> f32 {
    x / (1.0 + exp_inside((-v).clamp(-88.0, 89.0)))
}

/// SiLU, `x / (1 + e^(-x))` (Elfwing et al. 2018): 3 ulp; below -88.3, where it is above -4e-37, it goes to -0.
/// Negative infinity gives NaN.
#[inline(always)]
fn silu(x: f32) -> f32 {
    gated_by(x, x)
}

/// GELU in its exact form, `x Phi(x)`: the BERT family (Hendrycks and Gimpel 2016). 6 ulp above -1,
/// 24 above -3, 80 above -4, 3000 (2e-4 of the value) above -5; below, an error of less than 1e-9 as the value
/// goes to zero. Infinities give NaN.
///
/// `2 Phi(-t) = erfc(t / sqrt 2)` is one over the 16th power of a polynomial, as in Abramowitz and Stegun 7.1.28, with
/// degree 8 and fitted again: relative error up to `2 Phi(-t) = 0.05`, and from there on that times
/// `(2 Phi(-t) / 0.05)^0.75`. So no `1 + erf` cancels at the negative end and no exp is needed.
#[inline(always)]
fn gelu_erf(x: f32) -> f32 {
    let t = x.abs();
    let t2 = t * t;
    let low = (0.049_867_924 + 0.021_136_241 * t) + (0.003_289_512_5 + 2.664_845e-5 * t) * t2;
    let high = (5.181_29e-5 + 7.030_865e-6 * t) + (-1.036_258_5e-6 + 1.507_674e-7 * t) * t2;
    let p = low + high * (t2 * t2);
    // (1 + s)^2 is 1 + s (2 + s): without its 1, s keeps the bits that powers would magnify.
    let s = p * t;
    let s = s * (2.0 + s);
    let s = s * (2.0 + s);
    let s = s * (2.0 + s);
    let root = 1.0 + s;
    let tail = 0.5 * t / (root * root);
    if x < 0.0 { -tail } else { x - tail }
}

/// GELU in its tanh form, as Gemma has it. `(1 + tanh u)/2` is `1/(1 + e^(-2u))`, `2u` is `v` here. 5 ulp
/// above -1; below, `v` is rounded to f32 before it becomes an exponent, which makes it 5 + 3 |v|. Below -10,
/// where it is above -2e-37, it goes to -0. Negative infinity gives NaN.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    gated_by(x, x * (TWICE_SQRT_2_OVER_PI + (TWICE_SQRT_2_OVER_PI * 0.044_715) * (x * x)))
}

/// `x = gelu_erf(x)`.
#[inline(always)]
pub(crate) fn gelu_erf_body(x: &mut [f32]) {
    each(x, gelu_erf);
}

/// `x = max(x, 0)`, exactly. NaN stays NaN, which `f32::max` would lose.
#[inline(always)]
pub(crate) fn relu_body(x: &mut [f32]) {
    each(x, |value| if value < 0.0 { 0.0 } else { value });
}

/// `x = silu(x)`.
#[inline(always)]
pub(crate) fn silu_body(x: &mut [f32]) {
    each(x, silu);
}

/// `up[i] *= gelu_erf(gate[i])`.
#[inline(always)]
pub(crate) fn gated_gelu_erf_body(gate: &[f32], up: &mut [f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up differ in length");
    each_with(up, gate, |up, gate| up * gelu_erf(gate));
}

/// `up[i] *= gelu_tanh(gate[i])`: Gemma's gated feed-forward.
#[inline(always)]
pub(crate) fn gated_gelu_tanh_body(gate: &[f32], up: &mut [f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up differ in length");
    each_with(up, gate, |up, gate| up * gelu_tanh(gate));
}

/// `up[i] *= silu(gate[i])`: SwiGLU (Shazeer 2020).
#[inline(always)]
pub(crate) fn gated_silu_body(gate: &[f32], up: &mut [f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up differ in length");
    each_with(up, gate, |up, gate| up * silu(gate));
}

#[cfg(test)]
mod tests {
    use super::{exp_inside, exp_of_negative};

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = 0.0f64;
        for x in (1e-30f32.to_bits()..87.3f32.to_bits()).step_by(509).map(f32::from_bits) {
            for (x, got) in [(-x, exp_of_negative(-x)), (x, exp_inside(x))] {
                let exact = f64::from(x).exp();
                let ulp = f64::from(f32::from_bits((exact as f32).to_bits() & 0x7f80_0000)) / 8_388_608.0;
                worst = worst.max((f64::from(got) - exact).abs() / ulp);
                assert!((f64::from(got) - exact).abs() <= 2.0 * ulp, "e^{x} is {exact:e}, not {got:e}");
            }
        }
        println!("exp {worst:.2} ulp");
        assert_eq!([-87.7f32, -88.5, -1e30, f32::NEG_INFINITY].map(exp_of_negative), [0.0; 4]);
        assert_eq!([88.5, 89.0].map(exp_inside), [f32::INFINITY; 2]);
        assert!(exp_of_negative(f32::NAN).is_nan());
    }
}
