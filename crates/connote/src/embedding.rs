//! What a caller gets.

use crate::error::{Error, ErrorKind};
use crate::request::{Norm, Options};

/// The vector of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The vector; with pooling `none`, the vectors of all tokens, one after the other.
    pub vector: Vec<f32>,
    /// Values a vector.
    pub dimensions: usize,
    /// Tokens the network read, special tokens and prompt included.
    pub tokens: usize,
    /// Whether the text was cut to fit.
    pub truncated: bool,
}

impl Embedding {
    /// The vectors: one, or with pooling `none` one a token.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.vector.chunks_exact(self.dimensions)
    }
}

/// How whole vectors become the size that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Values that stay.
    pub(crate) dimensions: usize,
    /// Whether a layer norm goes over the whole vector first, as some authors do it. Never where nothing is cut off.
    pub(crate) layer_norm: bool,
}

/// Turns what the network gave into what is handed out: checked, cut, normalised.
///
/// `rows` holds vectors of `width` values.
pub(crate) fn finish(rows: &[f32], width: usize, cut: Cut, options: &Options) -> Result<Vec<f32>, Error> {
    let mut vectors = Vec::with_capacity(rows.len() / width * cut.dimensions);
    let mut normed = Vec::new();
    for row in rows.chunks_exact(width) {
        if row.iter().any(|value| !value.is_finite()) {
            return Err(bad("is not finite"));
        }
        let row = if cut.layer_norm {
            layer_norm_into(&mut normed, row);
            &normed
        } else {
            row
        };
        let row = &row[..cut.dimensions];
        // In f64: a sum of squares in f32 overflows before the values do.
        let length = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
        if length == 0.0 {
            return Err(bad("is zero"));
        }
        let divisor = match options.norm {
            Norm::None => {
                vectors.extend_from_slice(row);
                continue;
            }
            Norm::L2 => length,
            Norm::Largest => largest(row) / 32760.0,
            Norm::P(p) => p_norm(row, p.get()),
        };
        vectors.extend(row.iter().map(|&value| (f64::from(value) / divisor) as f32));
    }
    Ok(vectors)
}

/// A layer norm without weight and bias, with torch's epsilon.
fn layer_norm_into(normed: &mut Vec<f32>, row: &[f32]) {
    const EPSILON: f64 = 1e-5;
    let count = row.len() as f64;
    let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = row.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    let divisor = (variance + EPSILON).sqrt();
    normed.clear();
    normed.extend(row.iter().map(|&value| ((f64::from(value) - mean) / divisor) as f32));
}

/// The largest absolute value.
fn largest(row: &[f32]) -> f64 {
    row.iter().fold(0.0, |largest, &value| f64::from(value).abs().max(largest))
}

/// The p-norm of a row that is not zero, for any p: no value has a power that overflows, nor do all vanish.
fn p_norm(row: &[f32], p: u32) -> f64 {
    let (largest, p) = (largest(row), f64::from(p));
    let sum = row.iter().map(|&value| (f64::from(value).abs() / largest).powf(p)).sum::<f64>();
    largest * sum.powf(1.0 / p)
}

fn bad(what: &str) -> Error {
    let message =
        format!("the vector {what}, so it was withheld: the file is damaged or not the model it says it is");
    Error::new(ErrorKind::BadVector, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(dimensions: usize) -> Cut {
        Cut { dimensions, layer_norm: false }
    }

    fn norm(vector: &[f32]) -> f64 {
        vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn a_cut_vector_is_normalised_again() {
        let row = [3.0, 4.0, 12.0, 84.0];
        let cut = finish(&row, 4, plain(2), &Options::new()).expect("a vector");
        assert_eq!(cut, [0.6, 0.8]);
        let whole = finish(&row, 4, plain(4), &Options::new()).expect("a vector");
        assert!((norm(&whole) - 1.0).abs() < 1e-6);
        assert_eq!(finish(&row, 4, plain(1), &Options::new()).expect("a vector"), [1.0]);
        assert_eq!(
            finish(&row, 4, plain(3), &Options::new().normalize(false)).expect("a vector"),
            [3.0, 4.0, 12.0]
        );
    }

    /// torch 2.14.1: `F.layer_norm(row, normalized_shape=(8,))[:, :3]`, and `F.normalize(cut, p=2, dim=1)` of it, which is what the
    /// model card of nomic-embed-text-v1.5 has.
    #[test]
    fn a_layer_norm_before_the_cut_is_torchs() {
        let row = [3.0, 4.0, 12.0, -84.0, 0.5, 7.25, -1.0, 2.0];
        let cut = |row: &[f32], dimensions, normalize| {
            let cut = Cut { dimensions, layer_norm: true };
            finish(row, 8, cut, &Options::new().normalize(normalize)).expect("a vector")
        };
        let near = |got: Vec<f32>, wanted: &[f32]| {
            assert_eq!(got.len(), wanted.len());
            let apart = got.iter().zip(wanted).map(|(got, wanted)| (got - wanted).abs());
            assert!(apart.fold(0.0, f32::max) < 3e-7, "{got:?}, not {wanted:?}");
        };
        near(cut(&row, 3, false), &[0.341_881_36, 0.375_962_97, 0.648_616]);
        near(cut(&row, 3, true), &[0.414_917_47, 0.456_279_93, 0.787_179_8]);
        near(cut(&row, 5, true), &[0.123_801, 0.136_142_5, 0.234_874_76, -0.949_912_2, 0.092_947_15]);
        // So small that the epsilon counts.
        let small = [3e-3, 4e-3, 1.2e-2, -8.4e-2, 5e-4, 7.25e-3, -1e-3, 2e-3];
        near(cut(&small, 3, false), &[0.339_912_86, 0.373_798_25, 0.644_881_37]);
        // Every row by itself.
        let both = cut(&[row, small].concat(), 3, false);
        assert_eq!(both, [cut(&row, 3, false), cut(&small, 3, false)].concat());
    }

    #[test]
    fn every_token_row_is_cut_and_normalised_by_itself() {
        let rows = [3.0, 4.0, 9.0, 0.0, 5.0, 9.0];
        assert_eq!(finish(&rows, 3, plain(2), &Options::new()).expect("vectors"), [0.6, 0.8, 0.0, 1.0]);
    }

    #[test]
    fn large_and_small_values_keep_their_direction() {
        for scale in [1e30f32, 1e-30] {
            let got = finish(&[3.0 * scale, 4.0 * scale], 2, plain(2), &Options::new()).expect("a vector");
            assert!((got[0] - 0.6).abs() < 1e-6 && (got[1] - 0.8).abs() < 1e-6, "{got:?}");
        }
    }

    #[test]
    fn every_norm_is_one_however_high_its_power() {
        let p = |p: u32| Norm::P(p.try_into().expect("not 0"));
        let finish = |row: &[f32], norm| {
            finish(row, row.len(), plain(row.len()), &Options::new().norm(norm)).expect("a vector")
        };
        let row = [3.0, -4.0, 0.5];
        assert_eq!(finish(&row, Norm::None), row);
        assert_eq!(finish(&row, Norm::Largest), [24570.0, -32760.0, 4095.0]);
        assert_eq!(finish(&row, p(1)), [0.4, -4.0 / 7.5, 0.5 / 7.5]);
        assert_eq!(finish(&row, p(2)), finish(&row, Norm::L2));
        for (power, scale) in [(3, 1.0), (20, 1.0), (400, 1e-30), (400, 1e30), (2000, 1.0)] {
            let got = finish(&row.map(|value| value * scale), p(power));
            let sum: f64 = got.iter().map(|&value| f64::from(value).abs().powi(power as i32)).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{power}, {scale}: {got:?}");
            assert!((got[0] / got[1] + 0.75).abs() < 1e-6, "{got:?}");
        }
        // So high that only the largest counts.
        assert_eq!(finish(&row, p(u32::MAX)), [0.75, -1.0, 0.125]);
    }

    #[test]
    fn what_is_no_vector_is_withheld() {
        // Past the cut, too: such a file cannot be trusted.
        for row in [[1.0, f32::NAN], [1.0, f32::INFINITY], [0.0, 1.0]] {
            assert_eq!(
                finish(&row, 2, plain(1), &Options::new()).expect_err("withheld").kind(),
                ErrorKind::BadVector
            );
        }
    }
}
