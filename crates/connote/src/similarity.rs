//! How close two vectors are.

/// The cosine of the angle between two vectors: 1 the same direction, 0 unrelated, -1 opposite. 0 if one is
/// zero.
///
/// # Panics
/// If they differ in length: such vectors are of different models or sizes.
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of {} and {} values cannot be compared", a.len(), b.len());
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { (dot(a, b) / norms) as f32 }
}
