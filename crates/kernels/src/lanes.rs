//! Loops over fixed lanes.
//!
//! A sum in one chain cannot be vectorised without changing its bits. Chains in lanes, joined in a fixed
//! tree, can: the order is part of the function, not of the instruction set.
//!
//! What is left of a row after whole vectors goes through a vector that is filled up, not value by value: a
//! row of scores is seldom a whole number of vectors.

/// Chains a sum is split into, and values that a loop takes at once; a multiple of every vector width we
/// compile for. (32 and 64 chains make a norm less than a tenth faster.)
pub(crate) const LANES: usize = 16;

/// Joins the chains, always in the same tree.
#[inline(always)]
pub(crate) fn join(mut lanes: [f32; LANES], of: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = of(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// `x[i] = f(x[i])`.
#[inline(always)]
pub(crate) fn each(x: &mut [f32], f: impl Fn(f32) -> f32) {
    // Loops, not `array::map`: that is compiled without the level's features.
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for value in chunk {
            *value = f(*value);
        }
    }
    if !rest.is_empty() {
        let mut filled = [0.0; LANES];
        filled[..rest.len()].copy_from_slice(rest);
        for value in &mut filled {
            *value = f(*value);
        }
        rest.copy_from_slice(&filled[..rest.len()]);
    }
}

/// `x[i] = f(x[i], y[i])`; both have the same length.
#[inline(always)]
pub(crate) fn each_with(x: &mut [f32], y: &[f32], f: impl Fn(f32, f32) -> f32) {
    let (x_chunks, x_rest) = x.as_chunks_mut::<LANES>();
    let (y_chunks, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter_mut().zip(y_chunks) {
        for (x, &y) in x.iter_mut().zip(y) {
            *x = f(*x, y);
        }
    }
    if !x_rest.is_empty() {
        let (mut x, mut y) = ([0.0; LANES], [0.0; LANES]);
        x[..x_rest.len()].copy_from_slice(x_rest);
        y[..y_rest.len()].copy_from_slice(y_rest);
        for (x, &y) in x.iter_mut().zip(&y) {
            *x = f(*x, y);
        }
        x_rest.copy_from_slice(&x[..x_rest.len()]);
    }
}

/// `sum(term(x[i]))` in the fixed order.
#[inline(always)]
pub(crate) fn sum_of(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += term(value);
    }
    join(lanes, |a, b| a + b)
}
