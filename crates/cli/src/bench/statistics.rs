//! What rounds say: medians with their intervals, percentiles, and where more stops helping.

use serde::Serialize;

/// How sure an interval is meant to be.
const CONFIDENCE: f64 = 0.95;

/// A median and the interval that holds the true one. By order statistics, so that nothing is assumed of how the values
/// are spread: how many of `n` values lie below the true median is binomial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Median {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Probability that the interval holds the true median: at least 0.95 from 6 values on, less for fewer.
    pub(crate) confidence: f64,
    /// Values it is of.
    pub(crate) pairs: usize,
}

impl Median {
    /// `None` of no values.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let (rank, confidence) = rank(count)?;
        let (low, high) = (values[rank - 1], values[count - rank]);
        Some(Self { median: middle(&values), low, high, confidence, pairs: count })
    }

    /// Of what each value stands for; `of` must keep the order of values.
    pub(crate) fn map(self, of: impl Fn(f64) -> f64) -> Self {
        Self { median: of(self.median), low: of(self.low), high: of(self.high), ..self }
    }
}

/// The rank, from either end, whose order statistics hold the median with [`CONFIDENCE`], and how surely they do.
fn rank(count: usize) -> Option<(usize, f64)> {
    let mut chance = 0.5_f64.powi(i32::try_from(count).ok().filter(|count| *count > 0)?);
    let mut below = chance;
    let mut found = (1, 1.0 - 2.0 * below);
    for rank in 2..=count / 2 {
        // Binomial coefficients, one from the one before.
        chance *= (count - rank + 2) as f64 / (rank - 1) as f64;
        below += chance;
        if 1.0 - 2.0 * below < CONFIDENCE {
            break;
        }
        found = (rank, 1.0 - 2.0 * below);
    }
    Some((found.0, found.1.max(0.0)))
}

/// The middle of sorted values, or the mean of the two in the middle; not a number of none.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// As [`Median::of`], the median alone.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    middle(&values)
}

/// How long most waited, and how long the unlucky: nearest ranks, so each is a value that occurred.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    /// Values they are of: under 100, `p99` is the largest.
    pub(crate) count: usize,
}

impl Percentiles {
    /// `None` of no values.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let max = *values.last()?;
        let at = |percent: usize| values[(count * percent).div_ceil(100).max(1) - 1];
        Some(Self { p50: at(50), p95: at(95), p99: at(99), max, count })
    }
}

/// The fewest workers whose throughput is within 5% of the best: more would cost without giving.
pub(crate) fn knee(workers_and_rates: &[(usize, f64)]) -> Option<usize> {
    let best = workers_and_rates.iter().map(|&(_, rate)| rate).max_by(f64::total_cmp)?;
    workers_and_rates.iter().filter(|&&(_, rate)| rate >= 0.95 * best).map(|&(workers, _)| workers).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_medians_are_those_of_the_tables() {
        // Ranks and confidences as in Conover, Practical Nonparametric Statistics (sign test tables).
        for (count, low, high, confidence) in
            [(6, 1, 6, 0.96875), (9, 2, 8, 0.9609375), (12, 3, 10, 0.9614257813), (25, 8, 18, 0.9567147493)]
        {
            // Backwards: the order of rounds does not matter.
            let found = Median::of((1..=count).rev().map(f64::from).collect()).expect("values");
            assert_eq!((found.low, found.high), (f64::from(low), f64::from(high)), "{count} values");
            assert!((found.confidence - confidence).abs() < 1e-9, "{count} values: {}", found.confidence);
        }
    }

    #[test]
    fn few_values_have_a_wide_interval_that_says_so() {
        let three = Median::of(vec![3.0, 1.0, 2.0]).expect("values");
        assert_eq!((three.low, three.median, three.high, three.pairs), (1.0, 2.0, 3.0, 3));
        assert_eq!(three.confidence, 0.75);
        let one = Median::of(vec![7.0]).expect("a value");
        assert_eq!((one.low, one.high, one.confidence), (7.0, 7.0, 0.0));
        assert_eq!(Median::of(Vec::new()), None);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median([]).is_nan());
        assert_eq!(three.map(|value| value * 10.0).high, 30.0);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred = Percentiles::of((1..=100).rev().map(f64::from).collect()).expect("values");
        assert_eq!((hundred.p50, hundred.p95, hundred.p99, hundred.max), (50.0, 95.0, 99.0, 100.0));
        let two = Percentiles::of(vec![5.0, 1.0]).expect("values");
        assert_eq!((two.p50, two.p95, two.p99, two.count), (1.0, 5.0, 5.0, 2));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn the_knee_is_the_fewest_workers_near_the_best() {
        assert_eq!(knee(&[(1, 50.0), (2, 95.0), (4, 100.0)]), Some(2));
        assert_eq!(knee(&[(1, 50.0), (2, 94.9), (4, 100.0)]), Some(4));
        assert_eq!(knee(&[(8, 99.0), (1, 98.0), (2, 60.0)]), Some(1));
        assert_eq!(knee(&[]), None);
    }
}
