//! Correlations with intervals.

use serde::Serialize;

/// A correlation, and where the true one lies with 95% confidence; nothing is known of that where it is 1 or -1.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Interval {
    pub(crate) value: f64,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

impl Interval {
    /// By Fisher's z, whose standard error is `factor / sqrt(n - 3)`, of at least four pairs. The z of 1 is infinite, and no number
    /// of pairs makes an interval of it.
    fn of(value: f64, count: usize, factor: f64) -> Self {
        /// 97.5% of a normal distribution lies below.
        const QUANTILE: f64 = 1.959_963_984_540_054;
        /// Rounding may leave what is 1 so far below it.
        const ROUNDING: f64 = 1e-12;
        if value.abs() > 1.0 - ROUNDING {
            return Self { value, low: None, high: None };
        }
        let margin = QUANTILE * factor / (count as f64 - 3.0).sqrt();
        let z = value.atanh();
        Self { value, low: Some((z - margin).tanh()), high: Some((z + margin).tanh()) }
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

    /// Bounds that others computed.
    #[test]
    fn intervals_are_those_of_the_authors() {
        let close = |bound: Option<f64>, wanted: f64, within: f64| {
            let bound = bound.expect("a bound");
            assert!((bound - wanted).abs() < within, "{bound}, not {wanted}");
        };
        // Douglas Bonett's own package, R's statpsych: the example of `ci.spear(.05, y, x)` and what it prints.
        let y = [21., 4., 9., 12., 35., 18., 10., 22., 24., 1., 6., 8., 13., 16., 19.];
        let x = [67., 28., 30., 28., 52., 40., 25., 37., 44., 10., 14., 20., 28., 40., 51.];
        let one = spearman(&x, &y).expect("one");
        close(Some(one.value), 0.869_963_9, 5e-8);
        close(one.low, 0.584_095_1, 5e-8);
        close(one.high, 0.963_829_7, 5e-8);
        // By hand: ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4 have r = 0.9 ^ 0.5; z = atanh(r) = 1.818446459; the standard error is
        // ((1 + 0.9 / 2) / (4 - 3)) ^ 0.5 = 1.204159458, and 1.959963985 of it are 2.360109168; tanh(z - that), tanh(z + that).
        let (x, y) = ([1.0, 2.0, 2.0, 4.0], [1.0, 3.0, 2.0, 4.0]);
        let one = spearman(&x, &y).expect("one");
        close(one.low, -0.494_245_544_3, 1e-9);
        close(one.high, 0.999_530_667_352, 1e-9);
        // `scipy.stats.pearsonr(x, y).confidence_interval(0.95)` of scipy 1.17. By hand: r = 4.5 / (4.75 * 5) ^ 0.5 = 0.923380517,
        // z = 1.611494105, and the standard error is 1 / (4 - 3) ^ 0.5.
        let one = pearson(&x, &y).expect("one");
        close(one.low, -0.335_017_857_239, 1e-9);
        close(one.high, 0.998_420_361_301, 1e-9);
    }

    /// Four pairs in order are no proof of a correlation of 1.
    #[test]
    fn a_perfect_correlation_has_no_interval() {
        let x = [1.0, 2.0, 3.0, 4.0];
        for y in [[4.0, 3.0, 2.0, 1.0], [2.0, 3.0, 5.0, 9.0], [0.1, 0.2, 0.3, 0.4]] {
            let one = spearman(&x, &y).expect("one");
            assert!(one.value.abs() == 1.0 && one.low.is_none() && one.high.is_none(), "{one:?}");
        }
        // A line that rounding bends.
        let line: Vec<f64> = (0..40).map(|n| f64::from(n) * 0.1 + 0.7).collect();
        let steep: Vec<f64> = line.iter().map(|x| x * 0.3 + 1.0 / 3.0).collect();
        let one = pearson(&line, &steep).expect("one");
        assert!(one.value < 1.0 && one.low.is_none() && one.high.is_none(), "{one:?}");
        assert!(pearson(&x, &[2.0, 3.0, 5.0, 9.0]).expect("one").low.is_some());
    }

    #[test]
    fn intervals_hold_the_value_and_shrink_with_more_pairs() {
        let x: Vec<f64> = (0..400).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| x + 150.0 * (x * 0.7).sin()).collect();
        let (few, many) = (spearman(&x[..20], &y[..20]).expect("one"), spearman(&x, &y).expect("one"));
        let [few, many] = [few, many].map(|one| {
            let (low, high) = (one.low.expect("a bound"), one.high.expect("a bound"));
            assert!(low < one.value && one.value < high && high <= 1.0, "{one:?}");
            high - low
        });
        assert!(many < few);
    }

    #[test]
    fn what_cannot_be_ranked_has_no_correlation() {
        assert!(spearman(&[1.0; 5], &[1.0, 2.0, 3.0, 4.0, 5.0]).is_none());
        assert!(pearson(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]).is_none());
    }
}
