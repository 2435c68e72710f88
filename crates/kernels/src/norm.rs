//! Layer norm and RMS norm of one row.

use crate::lanes::sum_of;

/// `x = (x - mean) / sqrt(variance + eps) * weight + bias`, the variance biased, in two passes
/// (Ba, Kiros and Hinton 2016). `bias` may be empty.
#[inline(always)]
pub(crate) fn layer_norm_body(x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    assert_eq!(x.len(), weight.len(), "layer norm: row and weight differ in length");
    assert!(bias.is_empty() || bias.len() == x.len(), "layer norm: row and bias differ in length");
    let n = x.len() as f32;
    let mean = sum_of(x, |v| v) / n;
    let variance = sum_of(x, |v| (v - mean) * (v - mean)) / n;
    let scale = 1.0 / (variance + eps).sqrt();
    for (value, &w) in x.iter_mut().zip(weight) {
        *value = (*value - mean) * scale * w;
    }
    for (value, &b) in x.iter_mut().zip(bias) {
        *value += b;
    }
}

/// `x = x / sqrt(mean(x^2) + eps) * weight` (Zhang and Sennrich 2019).
#[inline(always)]
pub(crate) fn rms_norm_body(x: &mut [f32], weight: &[f32], eps: f32) {
    assert_eq!(x.len(), weight.len(), "RMS norm: row and weight differ in length");
    let scale = 1.0 / (sum_of(x, |v| v * v) / x.len() as f32 + eps).sqrt();
    for (value, &w) in x.iter_mut().zip(weight) {
        *value = *value * scale * w;
    }
}
