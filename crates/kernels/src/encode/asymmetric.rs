//! Blocks of sub-blocks with minima, `y = d * scale * q - dmin * minimum`: the search that Q2_K, Q4_K and Q5_K share.
//!
//! As in `symmetric.rs`: each sub-block by itself in real numbers, then whole numbers of two shared units, then all of
//! them moved as long as the error that a reader will see grows smaller.

use super::blocks::{lane_sum, nearest, whole_sum};
use super::half::f32_to_f16;
use crate::decode::f16_to_f32;

/// What a type can hold, for sub-blocks of `N` values: `q` in `0..=levels`, scales and minima in `0..=units`.
pub(super) struct Grid<const N: usize> {
    pub(super) levels: f32,
    pub(super) units: f32,
}

/// A block of `S` sub-blocks as it will be read.
pub(super) struct Fit<const N: usize, const S: usize> {
    /// As f16 holds them.
    pub(super) d: f32,
    pub(super) dmin: f32,
    pub(super) scales: [f32; S],
    pub(super) minima: [f32; S],
    pub(super) codes: [[f32; N]; S],
}

impl<const N: usize> Grid<N> {
    #[inline(always)]
    fn codes(&self, x: &[f32; N], step: f32, minimum: f32) -> [f32; N] {
        let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
        let mut codes = [0.0; N];
        for (code, x) in codes.iter_mut().zip(x) {
            *code = nearest((x + minimum) * inverse).clamp(0.0, self.levels);
        }
        codes
    }

    /// Step and minimum (what is taken off, never negative) of one sub-block, by itself.
    #[inline(always)]
    fn line(&self, x: &[f32; N]) -> (f32, f32) {
        let least = x.iter().fold(0f32, |least, &x| least.min(x));
        let largest = x.iter().fold(f32::MIN, |largest, &x| largest.max(x));
        if largest - least < 1e-30 {
            return (0.0, -least);
        }
        let mut best = (f32::INFINITY, 0.0, 0.0);
        let sum = lane_sum::<N>(|i| x[i]);
        // Codes whose line was found: what they lead to is known.
        let mut known = [-1.0; N];
        for shift in -10..=10 {
            // A little less than the range, or more: few outermost values pay for a finer step.
            let levels = self.levels + 0.06 * self.levels.sqrt() * shift as f32;
            let mut line = ((largest - least) / levels, -least * (self.levels / levels).min(1.0));
            let mut codes = self.codes(x, line.0, line.1);
            if codes == known {
                continue;
            }
            for round in 0..2 {
                let fitted = least_squares(x, sum, &codes);
                if round == 0 && fitted.is_some() {
                    known = codes;
                }
                line = fitted.unwrap_or(line);
                let next = self.codes(x, line.0, line.1);
                let error = error(x, &next, line.0, line.1);
                if error < best.0 {
                    best = (error, line.0, line.1);
                }
                // The same codes have the same line.
                if next == codes {
                    break;
                }
                codes = next;
            }
        }
        (best.1, best.2)
    }

    /// The block with the least error that was found.
    #[inline(always)]
    pub(super) fn fit<const S: usize>(&self, block: &[f32; 256]) -> Fit<N, S> {
        let x = block.as_chunks::<N>().0;
        let mut lines = [(0.0, 0.0); S];
        for (line, x) in lines.iter_mut().zip(x) {
            *line = self.line(x);
        }
        let largest = |part: fn(&(f32, f32)) -> f32| lines.iter().map(part).fold(0f32, f32::max) / self.units;
        let mut best = self.with_units(x, &lines, largest(|line| line.0), largest(|line| line.1));
        for _ in 0..3 {
            let Some((d, dmin)) = best.1.better_units(x) else { break };
            let next = self.with_units(x, &lines, d, dmin);
            if next.0 >= best.0 {
                break;
            }
            best = next;
        }
        best.1
    }

    /// The best whole numbers under two units, and their squared error.
    #[inline(always)]
    fn with_units<const S: usize>(
        &self,
        x: &[[f32; N]],
        lines: &[(f32, f32); S],
        d: f32,
        dmin: f32,
    ) -> (f32, Fit<N, S>) {
        let seen = |unit: f32| f16_to_f32(f32_to_f16(unit));
        let (d, dmin) = (seen(d), seen(dmin));
        let mut fit = Fit { d, dmin, scales: [0.0; S], minima: [0.0; S], codes: [[0.0; N]; S] };
        let near = |wanted: f32, unit: f32| {
            let near =
                if unit == 0.0 { 0.0 } else { (wanted / unit).round_ties_even().clamp(0.0, self.units) };
            // Where the unit is nothing, so are its multiples.
            let further = if unit == 0.0 { 0.0 } else { 1.0 };
            [near, (near - further).max(0.0), (near + further).min(self.units)]
        };
        let mut sum = 0.0;
        for (s, x) in x.iter().enumerate() {
            let mut best = f32::INFINITY;
            for scale in near(lines[s].0, d) {
                for minimum in near(lines[s].1, dmin) {
                    let codes = self.codes(x, d * scale, dmin * minimum);
                    let error = error(x, &codes, d * scale, dmin * minimum);
                    if error < best {
                        best = error;
                        (fit.scales[s], fit.minima[s], fit.codes[s]) = (scale, minimum, codes);
                    }
                }
            }
            sum += best;
        }
        (sum, fit)
    }
}

impl<const N: usize, const S: usize> Fit<N, S> {
    /// The two units with the least error for these whole numbers.
    #[inline(always)]
    fn better_units(&self, x: &[[f32; N]]) -> Option<(f32, f32)> {
        // y = d * a - dmin * b over all values: two equations.
        let (mut aa, mut ab, mut bb, mut xa, mut xb) = (0f64, 0f64, 0f64, 0f64, 0f64);
        for (s, x) in x.iter().enumerate() {
            let b = f64::from(self.minima[s]);
            for (x, q) in x.iter().zip(&self.codes[s]) {
                let (x, a) = (f64::from(*x), f64::from(self.scales[s] * q));
                aa += a * a;
                ab += a * b;
                bb += b * b;
                xa += x * a;
                xb += x * b;
            }
        }
        if bb == 0.0 {
            return (aa > 0.0).then(|| ((xa / aa) as f32, self.dmin));
        }
        let determinant = aa * bb - ab * ab;
        if determinant <= 1e-9 * aa * bb {
            return None;
        }
        let d = (xa * bb - xb * ab) / determinant;
        let dmin = (xa * ab - xb * aa) / determinant;
        (d > 0.0 && dmin >= 0.0).then_some((d as f32, dmin as f32))
    }
}

/// The line `x = step * q - minimum` with the least error, `minimum` at least 0; `None` if the codes are all one.
/// `sum_x` is the sum of `x`.
#[inline(always)]
fn least_squares<const N: usize>(x: &[f32; N], sum_x: f32, codes: &[f32; N]) -> Option<(f32, f32)> {
    let n = N as f32;
    let sum_q = whole_sum::<N>(|i| codes[i]);
    let sum_qq = whole_sum::<N>(|i| codes[i] * codes[i]);
    let sum_xq = lane_sum::<N>(|i| x[i] * codes[i]);
    let determinant = n * sum_qq - sum_q * sum_q;
    if determinant <= 0.0 {
        return None;
    }
    let step = (n * sum_xq - sum_x * sum_q) / determinant;
    let minimum = (sum_q * sum_xq - sum_qq * sum_x) / determinant;
    if minimum < 0.0 {
        // Nothing may be added: the line goes through 0.
        return (sum_qq > 0.0).then(|| ((sum_xq / sum_qq).max(0.0), 0.0));
    }
    (step > 0.0).then_some((step, minimum))
}

#[inline(always)]
fn error<const N: usize>(x: &[f32; N], codes: &[f32; N], step: f32, minimum: f32) -> f32 {
    lane_sum::<N>(|i| {
        let off = x[i] - (step * codes[i] - minimum);
        off * off
    })
}
