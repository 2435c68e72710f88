//! exp, erf and the activations built on them, branch-free so that they vectorise.

/// `e^x`, relative error below 2 ulp; 0 below -87.3, and held at e^88.37 (2.4e38) above. NaN stays NaN.
///
/// `x = n ln 2 + r` (Cody and Waite, ln 2 in two parts), a polynomial of degree 6 in `r` fitted at
/// Chebyshev nodes on `[-ln2/2, ln2/2]`, and `2^n` by its exponent bits.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.37;
    // Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits, without a conversion.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let held = x.clamp(LOWEST, HIGHEST);
    let shifted = held * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (held - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 0.001_394_858_1;
    p = p * r + 0.008_375_129;
    p = p * r + 0.041_666_217;
    p = p * r + 0.166_664_15;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < LOWEST { 0.0 } else { p * power }
}

/// `erf(x)`, error below 3 ulp (1.4e-7 absolute): a polynomial in `x^2` up to 1, and `1 - exp(q(|x|))`
/// with `q` fitted to `ln(erfc)` on `[1, 4]` above. Both are computed and one is taken.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    let mut near = 7.882_497e-5;
    near = near * s - 8.018_855e-4;
    near = near * s + 0.005_189_312;
    near = near * s - 0.026_854_33;
    near = near * s + 0.112_835_97;
    near = near * s - 0.376_126_26;
    near = near * s + std::f32::consts::FRAC_2_SQRT_PI;
    let near = near * x;

    let u = if t > 4.0 { 4.0 } else { t };
    let mut tail = 1.614_061_6e-6;
    tail = tail * u - 4.559_062e-5;
    tail = tail * u + 5.927_695e-4;
    tail = tail * u - 0.004_740_222_4;
    tail = tail * u + 0.026_364_718;
    tail = tail * u - 0.109_978_24;
    tail = tail * u - 0.631_937_1;
    tail = tail * u - 1.130_166_6;
    tail = tail * u + 3.032_129_6e-4;
    let far = (1.0 - exp(tail)).copysign(x);
    if t < 1.0 { near } else { far }
}

/// GELU in its exact form, `x/2 (1 + erf(x/sqrt 2))`: the BERT family (Hendrycks and Gimpel 2016).
#[inline(always)]
pub(crate) fn gelu_erf_body(x: &mut [f32]) {
    for value in x {
        *value = 0.5 * *value * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// GELU in its tanh form, as Gemma has it. `(1 + tanh u)/2` is `1/(1 + e^(-2u))`.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    x / (1.0 + exp(-TWICE_SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)))
}

/// `up[i] = gelu_tanh(gate[i]) * up[i]`: Gemma's gated feed-forward.
#[inline(always)]
pub(crate) fn gated_gelu_tanh_body(gate: &[f32], up: &mut [f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up differ in length");
    for (up, &gate) in up.iter_mut().zip(gate) {
        *up *= gelu_tanh(gate);
    }
}
