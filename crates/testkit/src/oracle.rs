//! Reference arithmetic in f64: what every kernel is held against.

/// Cosine of the angle between two vectors; 0 if either is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of different length");
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
}

/// Asserts that every value is within `relative` of the reference's largest value.
///
/// # Panics
/// If one is not.
pub fn assert_close(what: &str, got: &[f32], wanted: &[f64], relative: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}: length");
    let scale = wanted.iter().fold(1e-30f64, |largest, value| largest.max(value.abs()));
    for (i, (&got, &wanted)) in got.iter().zip(wanted).enumerate() {
        let error = (f64::from(got) - wanted).abs() / scale;
        assert!(
            error <= relative,
            "{what}: value {i} is {got}, should be {wanted} (error {error:.1e} of the largest)"
        );
    }
}

/// `out[r][o] = sum_i x[r][i] w[o][i]`, rows back to back.
pub fn matmul(x: &[f32], w: &[f32], inputs: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for row in x.chunks_exact(inputs) {
        for weights in w.chunks_exact(inputs) {
            out.push(row.iter().zip(weights).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum());
        }
    }
    out
}

/// What a tile unit adds to `sums[r][o]` for rows `x` of bf16 and outputs `w` of bf16, in its order (Intel's
/// pseudo-code of TDPBF16PS): every 32 inputs, the products of even inputs are chained with fused
/// multiply-adds from zero, those of odd inputs likewise, and the two are added, then added to the sum.
/// Denormals are zeros wherever they come in or go out.
///
/// Computed in f64, rounded to odd, so that rounding to f32's 24 bits rounds once, at an exponent that knows
/// no denormals: that is how x86 judges what is tiny.
pub fn tile_bf16(x: &[u16], w: &[u16], inputs: usize, sums: &mut [f32]) {
    const STEP: usize = 32;
    assert!(inputs.is_multiple_of(STEP), "inputs come by {STEP}");
    assert_eq!(sums.len(), x.len() / inputs * (w.len() / inputs), "sums");
    let cells =
        x.chunks_exact(inputs).flat_map(|row| w.chunks_exact(inputs).map(move |output| (row, output)));
    for ((row, output), sum) in cells.zip(sums) {
        for (row, output) in row.chunks_exact(STEP).zip(output.chunks_exact(STEP)) {
            let chain = |parity: usize| {
                let terms = row.iter().zip(output).skip(parity).step_by(2);
                terms.fold(0.0, |chain, (&x, &w)| flushing_fma(from_bf16(x), from_bf16(w), chain))
            };
            let step = flushing_fma(chain(0), 1.0, chain(1));
            *sum = flushing_fma(step, 1.0, *sum);
        }
    }
}

fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// `a * b + c`, rounded once to nearest even; denormals are zeros, in and out.
fn flushing_fma(a: f32, b: f32, c: f32) -> f32 {
    let [a, b, c] = [a, b, c].map(|v| f64::from(v) * if v.is_subnormal() { 0.0 } else { 1.0 });
    let product = a * b; // exact: 48 bits
    let sum = product + c;
    if !sum.is_finite() || sum == 0.0 {
        return sum as f32;
    }
    // What the sum lost (Knuth's TwoSum). If anything, the odd one of its two neighbours stands for it.
    let of_c = sum - product;
    let lost = (product - (sum - of_c)) + (c - of_c);
    let mut bits = sum.to_bits();
    if lost != 0.0 && bits.is_multiple_of(2) {
        bits = if (lost > 0.0) == (sum > 0.0) { bits + 1 } else { bits - 1 };
    }
    // 29 bits are too many.
    let rounded = f64::from_bits((bits + 0x0fff_ffff + (bits >> 29 & 1)) & !0x1fff_ffff);
    let magnitude = rounded.abs();
    // Beyond f32 the conversion gives infinity by itself.
    (if magnitude < f64::from(f32::MIN_POSITIVE) { rounded * 0.0 } else { rounded }) as f32
}

/// A block in steps of the scale that makes its largest magnitude `limit`: that scale, and the values, not
/// rounded. All are zero if the block is.
pub fn in_steps(block: &[f64], limit: f64) -> (f64, Vec<f64>) {
    let scale = block.iter().fold(0.0f64, |largest, value| largest.max(value.abs())) / limit;
    (scale, block.iter().map(|value| if scale == 0.0 { 0.0 } else { value / scale }).collect())
}

/// Layer norm of one row; an empty bias is zero.
pub fn layer_norm(x: &[f64], weight: &[f64], bias: &[f64], eps: f64) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let scale = 1.0 / (variance + eps).sqrt();
    let at = |i: usize| bias.get(i).copied().unwrap_or(0.0);
    x.iter().zip(weight).enumerate().map(|(i, (v, w))| (v - mean) * scale * w + at(i)).collect()
}

/// RMS norm of one row.
pub fn rms_norm(x: &[f64], weight: &[f64], eps: f64) -> Vec<f64> {
    let scale = 1.0 / (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64 + eps).sqrt();
    x.iter().zip(weight).map(|(v, w)| v * scale * w).collect()
}

/// Softmax of one row.
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = x.iter().map(|v| (v - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

/// The error function: its Taylor series near zero, from its complement far out.
pub fn erf(x: f64) -> f64 {
    let t = x.abs();
    if t >= 2.0 {
        return (1.0 - erfc(t)).copysign(x);
    }
    let (mut term, mut sum, mut n) = (t, t, 0.0);
    while term.abs() > 1e-18 * sum {
        n += 1.0;
        term *= -t * t / n;
        sum += term / (2.0 * n + 1.0);
    }
    (sum * std::f64::consts::FRAC_2_SQRT_PI).copysign(x)
}

/// `1 - erf(x)`, far out too to 12 digits of its own: a continued fraction.
pub fn erfc(x: f64) -> f64 {
    if x < 2.0 {
        return 1.0 - erf(x);
    }
    // exp(-x^2)/sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))), from the inside out.
    let fraction = (1..=120).rev().fold(x, |inner, k| x + f64::from(k) / 2.0 / inner);
    (-x * x).exp() / std::f64::consts::PI.sqrt() / fraction
}

/// Exact GELU, `x Phi(x)`. No digits cancel at the negative end.
pub fn gelu_erf(x: f64) -> f64 {
    0.5 * x * erfc(-x / std::f64::consts::SQRT_2)
}

/// Tanh GELU, with `(1 + tanh u)/2 = 1/(1 + e^(-2u))`, so that no digits cancel at the negative end.
pub fn gelu_tanh(x: f64) -> f64 {
    let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    x / (1.0 + (-2.0 * u).exp())
}

/// SiLU.
pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// Turns the pairs `(i, i + dims/2)` of a head by `position * scale * base^(-2i/dims)`.
pub fn rope(head: &mut [f64], dims: usize, position: usize, base: f64, scale: f64) {
    let half = dims / 2;
    for i in 0..half {
        let angle = position as f64 * scale / base.powf(2.0 * i as f64 / dims as f64);
        let (a, b) = (head[i], head[i + half]);
        head[i] = a * angle.cos() - b * angle.sin();
        head[i + half] = a * angle.sin() + b * angle.cos();
    }
}

/// Spearman's rank correlation, equal values sharing their mean rank.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(&a), mean(&b));
    let covariance: f64 = a.iter().zip(&b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let spread = |v: &[f64], m: f64| v.iter().map(|x| (x - m) * (x - m)).sum::<f64>();
    covariance / (spread(&a, ma) * spread(&b, mb)).sqrt()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let value = values[order[first]];
        let last = first + order[first..].iter().take_while(|&&i| values[i] == value).count();
        let shared = (first + last - 1) as f64 / 2.0 + 1.0;
        for &i in &order[first..last] {
            ranks[i] = shared;
        }
        first = last;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_agrees_with_published_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, y) in [(0.5, 0.5204998778), (1.0, 0.8427007929), (2.0, 0.9953222650), (-1.5, -0.9661051465)] {
            assert!((erf(x) - y).abs() < 1e-10, "erf({x})");
        }
        assert!((erf(1.999_999_9) - erf(2.000_000_1)).abs() < 1e-8, "the two forms meet");
        // mpmath.erfc, 40 digits.
        for (x, y) in [(1.9, 7.209570764742526e-3), (2.1, 2.979466656333007e-3), (9.0, 4.13703174651381e-37)]
        {
            assert!((erfc(x) / y - 1.0).abs() < 1e-12, "erfc({x})");
        }
    }

    #[test]
    fn flushing_fma_rounds_once() {
        let mut random = crate::random::Random::seeded(1);
        for _ in 0..100_000 {
            // Exponents of which no result is denormal or infinite.
            let mut value = |lowest: u64| {
                let bits = random.bits();
                f32::from_bits((bits & 0x807f_ffff) as u32 | ((lowest + (bits >> 32) % 60) << 23) as u32)
            };
            let (a, b, c) = (value(100), value(100), value(80));
            assert_eq!(flushing_fma(a, b, c).to_bits(), a.mul_add(b, c).to_bits(), "{a:e} * {b:e} + {c:e}");
        }
    }

    #[test]
    fn flushing_fma_knows_no_denormals() {
        let power = |n: i32| 2.0f64.powi(n) as f32;
        let (least, denormal) = (f32::MIN_POSITIVE, f32::MIN_POSITIVE / 2.0);
        let known = [
            (denormal, 1.0, 0.0, 0.0),
            (-denormal, power(100), -0.0, -0.0),
            (1.0, 2.0, denormal, 2.0),
            (power(-70), -power(-60), 0.0, -0.0),
            // 2^-126 - 2^-150 fits 24 bits of a lower exponent; 2^-126 - 2^-152 does not and rounds up.
            (power(-75), -power(-75), least, 0.0),
            (power(-76), -power(-76), least, least),
            (f32::MAX, 2.0, 0.0, f32::INFINITY),
            (f32::MAX, 1.0, f32::MAX / 16_777_216.0, f32::INFINITY),
            (f32::MAX, 1.0, f32::MAX / 67_108_864.0, f32::MAX),
        ];
        for (a, b, c, wanted) in known {
            assert_eq!(flushing_fma(a, b, c).to_bits(), f32::to_bits(wanted), "{a:e} * {b:e} + {c:e}");
        }
        assert!(flushing_fma(f32::INFINITY, 0.0, 1.0).is_nan());
        assert!(flushing_fma(f32::INFINITY, 1.0, f32::NEG_INFINITY).is_nan());
        assert!(flushing_fma(f32::INFINITY, denormal, 1.0).is_nan());
    }

    #[test]
    fn tile_bf16_takes_even_and_odd_inputs_apart() {
        // 1 + 2^-24 (16 times) in one chain stays 1; the other chain reaches 2^-20 and is seen.
        let bits = |v: f32| (v.to_bits() >> 16) as u16;
        let mut x = [bits(2.0f32.powi(-24)); 64];
        (x[0], x[32]) = (bits(1.0), bits(1.0));
        let mut sums = [0.0];
        tile_bf16(&x, &[bits(1.0); 64], 64, &mut sums);
        assert_eq!(sums, [2.0 * (1.0 + 2.0f32.powi(-20))]);
    }

    #[test]
    fn spearman_shares_ranks_of_equal_values() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
        // scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4]) = 0.9486832980505138
        assert!(
            (spearman(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 0.948_683_298_050_513_8).abs() < 1e-12
        );
    }
}
