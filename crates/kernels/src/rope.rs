//! Rotary position embedding (Su et al. 2021), half-split pairs as Hugging Face and GGUF's "neox" have it.

/// The frequencies of `dims / 2` pairs, in radians a position: `base^(-2i/dims)`.
///
/// # Panics
/// If `dims` is odd.
pub fn frequencies(dims: usize, base: f64) -> impl Iterator<Item = f64> {
    assert!(dims.is_multiple_of(2), "RoPE turns pairs: {dims} dimensions are odd");
    (0..dims / 2).map(move |i| base.powf(-2.0 * i as f64 / dims as f64))
}

/// Cosines and sines of every position up to a length, computed once.
///
/// Row `p` has a cosine and a sine for each frequency `f`: those of `p * f`, times the magnitude.
#[derive(Debug, Clone, Default)]
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// A table for `positions` positions and heads whose first `2 * frequencies.len()` dimensions turn, and grow
    /// by `magnitude`.
    pub fn new(frequencies: &[f64], magnitude: f64, positions: usize) -> Self {
        let half = frequencies.len();
        let mut cos = Vec::with_capacity(positions * half);
        let mut sin = Vec::with_capacity(positions * half);
        for position in 0..positions {
            for frequency in frequencies {
                let (s, c) = (position as f64 * frequency).sin_cos();
                cos.push((c * magnitude) as f32);
                sin.push((s * magnitude) as f32);
            }
        }
        Self { half, cos, sin }
    }

    /// Positions the table holds.
    pub fn positions(&self) -> usize {
        self.cos.len().checked_div(self.half).unwrap_or(0)
    }

    /// Cosines and sines of one position, `dims / 2` each.
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

/// Turns the pairs `(i, i + half)` of one head; dimensions past `2 * half` pass through. Within 2 ulp of the
/// pair's length at any position: angles are taken in f64 (`tests/ulp.rs`).
#[inline(always)]
pub(crate) fn rope_body(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    assert!(sin.len() == half && head.len() >= 2 * half, "RoPE: head shorter than its rotation");
    let (first, rest) = head.split_at_mut(half);
    let second = &mut rest[..half];
    for i in 0..half {
        let (a, b) = (first[i], second[i]);
        first[i] = a * cos[i] - b * sin[i];
        second[i] = a * sin[i] + b * cos[i];
    }
}
