//! Correlations with intervals.

use serde::Serialize;

/// A correlation, and where the true one lies with 95% confidence.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Interval {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    /// By Fisher's z, whose standard error is `factor / sqrt(n - 3)`.
    fn of(value: f64, count: usize, factor: f64) -> Self {
        /// 97.5% of a normal distribution lies below.
        const QUANTILE: f64 = 1.959_963_984_540_054;
        let margin = QUANTILE * factor / (count as f64 - 3.0).sqrt();
        let z = value.atanh();
        Self { value, low: (z - margin).tanh(), high: (z + margin).tanh() }
    }
}

/// Pearson's: of fewer than four pairs, or of values that are all equal, there is none.
pub(crate) fn pearson(x: &[f64], y: &[f64]) -> Option<Interval> {
    linear(x, y).map(|value| Interval::of(value, x.len(), 1.0))
}

/// Spearman's: Pearson's of the ranks, equal values sharing theirs. The interval is that of Bonett and Wright, "Sample size
/// requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 65 (2000).
pub(crate) fn spearman(x: &[f64], y: &[f64]) -> Option<Interval> {
    let value = linear(&ranks(x), &ranks(y))?;
    Some(Interval::of(value, x.len(), (1.0 + value * value / 2.0).sqrt()))
}

fn linear(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() < 4 {
        return None;
    }
    let count = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
    let (mut covariance, mut spread_x, mut spread_y) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (dx, dy) = (x - mean_x, y - mean_y);
        covariance += dx * dy;
        spread_x += dx * dx;
        spread_y += dy * dy;
    }
    let value = covariance / (spread_x * spread_y).sqrt();
    // Rounding may leave what is 1 a little above it.
    value.is_finite().then(|| value.clamp(-1.0, 1.0))
}

/// From 1 on; equal values have the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let below = order.partition_point(|&other| values[other] < values[equal[0]]);
        let rank = below as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&index| ranks[index] = rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::{pearson, spearman};

    /// `scipy.stats.spearmanr` and `pearsonr` of scipy 1.17.
    #[test]
    fn values_are_those_of_scipy() {
        let (x, y) = ([1.0, 2.0, 2.0, 4.0], [1.0, 3.0, 2.0, 4.0]);
        let close = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-12, "{value}");
        close(spearman(&x, &y).expect("one").value, 0.948_683_298_050_513_8);
        close(pearson(&x, &y).expect("one").value, 0.923_380_516_876_639_1);
    }

    #[test]
    fn intervals_hold_the_value_and_shrink_with_more_pairs() {
        let x: Vec<f64> = (0..400).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| x + 150.0 * (x * 0.7).sin()).collect();
        let (few, many) = (spearman(&x[..20], &y[..20]).expect("one"), spearman(&x, &y).expect("one"));
        for one in [few, many] {
            assert!(one.low < one.value && one.value < one.high && one.high <= 1.0, "{one:?}");
        }
        assert!(many.high - many.low < few.high - few.low);
    }

    #[test]
    fn what_cannot_be_ranked_has_no_correlation() {
        assert!(spearman(&[1.0; 5], &[1.0, 2.0, 3.0, 4.0, 5.0]).is_none());
        assert!(pearson(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]).is_none());
        let one = spearman(&[1.0, 2.0, 3.0, 4.0], &[4.0, 3.0, 2.0, 1.0]).expect("one");
        assert_eq!((one.value, one.low, one.high), (-1.0, -1.0, -1.0));
    }
}
