//! Layer norm and RMS norm of one row.
//!
//! The largest error of a row is 3 ulp of its largest result for the RMS norm; for the layer norm 4, times the
//! mean in units of the spread where that is above 1, since the mean is rounded at its own size. So for rows of up
//! to 4096 values (`tests/ulp.rs`).

use crate::lanes::sum_of;

/// Mean, and one over the square root of variance and `eps`; the variance biased, in two passes.
#[inline(always)]
fn mean_and_scale(x: &[f32], eps: f32) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum_of(x, |v| v) / n;
    let variance = sum_of(x, |v| (v - mean) * (v - mean)) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[inline(always)]
fn check_layer_norm(x: &[f32], weight: &[f32], bias: &[f32]) {
    assert_eq!(x.len(), weight.len(), "layer norm: row and weight differ in length");
    assert!(bias.is_empty() || bias.len() == x.len(), "layer norm: row and bias differ in length");
}

/// `x = (x - mean) / sqrt(variance + eps) * weight + bias` (Ba, Kiros and Hinton 2016). `bias` may be empty.
#[inline(always)]
pub(crate) fn layer_norm_body(x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    check_layer_norm(x, weight, bias);
    let (mean, scale) = mean_and_scale(x, eps);
    if bias.is_empty() {
        for (value, &w) in x.iter_mut().zip(weight) {
            *value = (*value - mean) * scale * w;
        }
    } else {
        for ((value, &w), &b) in x.iter_mut().zip(weight).zip(bias) {
            *value = (*value - mean) * scale * w + b;
        }
    }
}

/// [`layer_norm_body`] into another row.
#[inline(always)]
pub(crate) fn layer_norm_to_body(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    check_layer_norm(x, weight, bias);
    assert_eq!(x.len(), out.len(), "layer norm: row and result differ in length");
    let (mean, scale) = mean_and_scale(x, eps);
    if bias.is_empty() {
        for ((out, &value), &w) in out.iter_mut().zip(x).zip(weight) {
            *out = (value - mean) * scale * w;
        }
    } else {
        for (((out, &value), &w), &b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = (value - mean) * scale * w + b;
        }
    }
}

/// One over the root of the mean square and `eps`.
#[inline(always)]
fn rms_scale(x: &[f32], weight: &[f32], eps: f32) -> f32 {
    assert_eq!(x.len(), weight.len(), "RMS norm: row and weight differ in length");
    1.0 / (sum_of(x, |v| v * v) / x.len() as f32 + eps).sqrt()
}

/// `x = x / sqrt(mean(x^2) + eps) * weight` (Zhang and Sennrich 2019).
#[inline(always)]
pub(crate) fn rms_norm_body(x: &mut [f32], weight: &[f32], eps: f32) {
    let scale = rms_scale(x, weight, eps);
    for (value, &w) in x.iter_mut().zip(weight) {
        *value = *value * scale * w;
    }
}

/// [`rms_norm_body`] into another row.
#[inline(always)]
pub(crate) fn rms_norm_to_body(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "RMS norm: row and result differ in length");
    let scale = rms_scale(x, weight, eps);
    for ((out, &value), &w) in out.iter_mut().zip(x).zip(weight) {
        *out = value * scale * w;
    }
}
