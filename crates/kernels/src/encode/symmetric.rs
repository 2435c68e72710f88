//! Blocks of sub-blocks without minima, `y = d * scale * q`: the search that Q3_K and Q6_K share.
//!
//! Each sub-block first gets the real scale with the least squared error; the block's `d` makes whole numbers of
//! them; then numbers and `d` are moved as long as the error that a reader will see grows smaller.

use super::blocks::{lane_sum, nearest, whole_sum};
use super::half::f32_to_f16;
use crate::decode::f16_to_f32;

/// What a type can hold. `q` lies in `-levels..levels`, sub-scales in `-scales..scales`.
pub(super) struct Grid {
    pub(super) levels: f32,
    pub(super) scales: f32,
}

/// A block as it will be read.
pub(super) struct Fit {
    /// As f16 holds it.
    pub(super) d: f32,
    pub(super) scales: [f32; 16],
    pub(super) codes: [[f32; 16]; 16],
}

impl Grid {
    /// The nearest code of every value, given what one step is worth.
    #[inline(always)]
    fn codes(&self, x: &[f32; 16], step: f32) -> [f32; 16] {
        let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
        let mut codes = [0.0; 16];
        for (code, x) in codes.iter_mut().zip(x) {
            *code = nearest(x * inverse).clamp(-self.levels, self.levels - 1.0);
        }
        codes
    }

    /// The scale of one sub-block, by itself. The sign is free, and the negative side has one more code, so the outermost
    /// value takes that side.
    #[inline(always)]
    fn scale(&self, x: &[f32; 16]) -> f32 {
        let outermost = x.iter().fold(0f32, |far, &x| if x.abs() > far.abs() { x } else { far });
        if outermost.abs() < 1e-30 {
            return 0.0;
        }
        let mut best = (0.0, 0.0);
        for shift in -12..=12 {
            let step = -outermost / (self.levels + 0.08 * self.levels.sqrt() * shift as f32 * 0.5);
            let codes = self.codes(x, step);
            let (xq, qq) = sums(x, &codes);
            // With these codes the best scale is xq / qq, and takes xq * xq / qq off the error.
            if qq > 0.0 && xq * xq > best.0 * qq {
                best = (xq * xq / qq, xq / qq);
            }
        }
        best.1
    }

    /// The block with the least error that was found.
    #[inline(always)]
    pub(super) fn fit(&self, block: &[f32; 256]) -> Fit {
        let x = block.as_chunks::<16>().0;
        let mut wanted = [0.0; 16];
        for (wanted, x) in wanted.iter_mut().zip(x) {
            *wanted = self.scale(x);
        }
        let outermost =
            wanted.iter().fold(0f32, |far, &scale| if scale.abs() > far.abs() { scale } else { far });
        let mut best = self.with_d(x, &wanted, outermost / -self.scales);
        for _ in 0..3 {
            // Given all codes and scales, the best d is a line's slope.
            let (mut xq, mut qq) = (0.0, 0.0);
            for (s, codes) in best.1.codes.iter().enumerate() {
                let (sub_xq, sub_qq) = sums(&x[s], codes);
                xq += best.1.scales[s] * sub_xq;
                qq += best.1.scales[s] * best.1.scales[s] * sub_qq;
            }
            if qq == 0.0 {
                break;
            }
            let next = self.with_d(x, &wanted, xq / qq);
            if next.0 >= best.0 {
                break;
            }
            best = next;
        }
        best.1
    }

    /// The best whole scales and codes under a `d`, and their squared error.
    #[inline(always)]
    fn with_d(&self, x: &[[f32; 16]], wanted: &[f32; 16], d: f32) -> (f32, Fit) {
        let d = f16_to_f32(f32_to_f16(d));
        let mut fit = Fit { d, scales: [0.0; 16], codes: [[0.0; 16]; 16] };
        let mut sum = 0.0;
        for (s, x) in x.iter().enumerate() {
            // A small `d` that f16 rounded down asks for more than there is.
            let near = if d == 0.0 { 0.0 } else { (wanted[s] / d).round_ties_even() };
            let near = near.clamp(-self.scales, self.scales - 1.0);
            let mut best = f32::INFINITY;
            for scale in [near, near - 1.0, near + 1.0] {
                if d == 0.0 || !(-self.scales..=self.scales - 1.0).contains(&scale) {
                    continue;
                }
                let codes = self.codes(x, d * scale);
                let error = error(x, &codes, d * scale);
                if error < best {
                    best = error;
                    (fit.scales[s], fit.codes[s]) = (scale, codes);
                }
            }
            sum += if best.is_finite() { best } else { x.iter().map(|x| x * x).sum() };
        }
        (sum, fit)
    }
}

#[inline(always)]
fn sums(x: &[f32; 16], codes: &[f32; 16]) -> (f32, f32) {
    (lane_sum::<16>(|i| x[i] * codes[i]), whole_sum::<16>(|i| codes[i] * codes[i]))
}

#[inline(always)]
fn error(x: &[f32; 16], codes: &[f32; 16], step: f32) -> f32 {
    lane_sum::<16>(|i| (x[i] - step * codes[i]) * (x[i] - step * codes[i]))
}
