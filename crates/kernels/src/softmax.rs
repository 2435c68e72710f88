//! Softmax of one row of attention scores.

use crate::activation::exp_of_negative;
use crate::lanes::{LANES, join};

/// `x = softmax(x)` in place. The largest score is taken off first, so that nothing overflows. An empty
/// row stays empty; a NaN makes every value NaN.
///
/// A value is within 8 ulp and as many more as its score lies below the largest (that distance is rounded to
/// f32 before it becomes an exponent), or within 1e-37 where it is that small; the values sum to 1 within 5e-7.
/// So for rows of up to 8192 scores (`tests/ulp.rs`).
#[inline(always)]
pub(crate) fn softmax_body(x: &mut [f32]) {
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    // A row is seldom a whole number of vectors, and often less than one. What is left goes through all three
    // passes as one vector, filled up with scores whose power is 0; it comes last in every order.
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);

    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks.iter() {
        compare(&mut lanes, chunk);
    }
    compare(&mut lanes, &last);
    let largest = join(lanes, larger);

    let mut sums = [0.0f32; LANES];
    for chunk in chunks.iter_mut() {
        power(&mut sums, chunk, largest);
    }
    if !rest.is_empty() {
        power(&mut sums, &mut last, largest);
    }
    let scale = 1.0 / join(sums, |a, b| a + b);

    for value in chunks.as_flattened_mut() {
        *value *= scale;
    }
    for (value, &power) in rest.iter_mut().zip(&last) {
        *value = power * scale;
    }
}

/// The larger one; `a`, which starts as a number, if `b` is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[inline(always)]
fn compare(lanes: &mut [f32; LANES], chunk: &[f32; LANES]) {
    for (lane, &value) in lanes.iter_mut().zip(chunk) {
        *lane = larger(*lane, value);
    }
}

/// Makes scores powers, and adds them to the sums.
#[inline(always)]
fn power(sums: &mut [f32; LANES], chunk: &mut [f32; LANES], largest: f32) {
    for (sum, value) in sums.iter_mut().zip(chunk) {
        *value = exp_of_negative(*value - largest);
        *sum += *value;
    }
}
