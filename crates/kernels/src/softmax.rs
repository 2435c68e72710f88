//! Softmax of one row of attention scores.

use crate::activation::exp;
use crate::lanes::{max, sum_of};

/// `x = softmax(x)` in place. The largest score is taken off first, so that nothing overflows. An empty
/// row stays empty.
#[inline(always)]
pub(crate) fn softmax_body(x: &mut [f32]) {
    let largest = max(x);
    for value in x.iter_mut() {
        *value = exp(*value - largest);
    }
    let scale = 1.0 / sum_of(x, |v| v);
    for value in x.iter_mut() {
        *value *= scale;
    }
}
