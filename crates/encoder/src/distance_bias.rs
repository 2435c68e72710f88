//! What is added to scores for the distance of query and key.

/// A value for each head and distance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DistanceBias {
    /// A slope a head: ALiBi.
    Slopes(Vec<f32>),
    /// Values of buckets of distances, `heads x buckets`: T5.
    Buckets { values: Vec<f32>, buckets: usize, max_distance: usize },
}

impl DistanceBias {
    /// ALiBi's slopes. A number of heads that is no power of two takes every other slope of twice the power below
    /// for what is over.
    pub(crate) fn alibi(heads: usize, max_bias: f32) -> Self {
        let power = 1 << heads.max(1).ilog2();
        let slope = |head: usize| match head < power {
            true => 2f32.powf(-max_bias * (head + 1) as f32 / power as f32),
            false => 2f32.powf(-max_bias / 2.0 * (2 * (head - power) + 1) as f32 / power as f32),
        };
        Self::Slopes((0..heads).map(slope).collect())
    }

    fn heads(&self) -> usize {
        match self {
            Self::Slopes(slopes) => slopes.len(),
            Self::Buckets { values, buckets, .. } => values.len() / buckets,
        }
    }

    /// For a key `distance` positions after the query (before it, if negative).
    fn value(&self, head: usize, distance: isize) -> f32 {
        match self {
            Self::Slopes(slopes) => -slopes[head] * distance.unsigned_abs() as f32,
            Self::Buckets { values, buckets, max_distance } => {
                values[head * buckets + bucket(distance, *buckets, *max_distance)]
            }
        }
    }
}

/// The bucket of a distance: half of the buckets are for keys behind the query, half for those before it; in each
/// half the first half holds one distance each, and the rest widen by powers up to `max_distance`.
fn bucket(distance: isize, buckets: usize, max_distance: usize) -> usize {
    let one_way = buckets / 2;
    let exact = one_way / 2;
    let direction = if distance > 0 { one_way } else { 0 };
    let far = distance.unsigned_abs();
    let within = if far < exact {
        far
    } else {
        // In f32, as the authors do: near a bucket's edge the rounding decides.
        let span = (max_distance as f64 / exact as f64).ln() as f32;
        let wider = (far as f32 / exact as f32).ln() / span * (one_way - exact) as f32;
        (exact + wider as usize).min(one_way - 1)
    };
    direction + within
}

/// A bias as one run of values a head, so that a query's keys are a piece of it.
#[derive(Debug)]
pub(crate) struct BiasTable {
    bias: DistanceBias,
    /// Longest sequence.
    tokens: usize,
    /// For each head, distances `1 - tokens` to `tokens - 1`.
    values: Vec<f32>,
}

impl BiasTable {
    pub(crate) fn new(bias: &DistanceBias, tokens: usize) -> Self {
        let reach = tokens as isize;
        let of_head = |head| (1 - reach..reach).map(move |distance| bias.value(head, distance));
        let values = (0..bias.heads()).flat_map(of_head).collect();
        Self { bias: bias.clone(), tokens, values }
    }

    /// Whether this is the table of a bias, for sequences of so many tokens.
    pub(crate) fn serves(&self, bias: &DistanceBias, tokens: usize) -> bool {
        self.tokens >= tokens && self.bias == *bias
    }

    /// What is added to the scores of the query at `position` with the keys from `first_key` on.
    pub(crate) fn row(&self, head: usize, position: usize, first_key: usize, keys: usize) -> &[f32] {
        let start = head * (2 * self.tokens - 1) + self.tokens - 1 + first_key - position;
        &self.values[start..][..keys]
    }
}

#[cfg(test)]
mod tests {
    use super::{BiasTable, DistanceBias, bucket};

    #[test]
    fn slopes_are_the_authors() {
        let DistanceBias::Slopes(slopes) = DistanceBias::alibi(8, 8.0) else { panic!("slopes") };
        assert_eq!(slopes, [0.5, 0.25, 0.125, 0.0625, 0.031_25, 0.015_625, 0.007_812_5, 0.003_906_25]);
        let DistanceBias::Slopes(slopes) = DistanceBias::alibi(12, 8.0) else { panic!("slopes") };
        let root = |power: f32| 2f32.powf(-power);
        assert_eq!(slopes[..8], [0.5, 0.25, 0.125, 0.0625, 0.031_25, 0.015_625, 0.007_812_5, 0.003_906_25]);
        assert_eq!(slopes[8..], [root(0.5), root(1.5), root(2.5), root(3.5)]);
    }

    #[test]
    fn buckets_widen() {
        let of = |distance| bucket(distance, 32, 128);
        assert_eq!(
            [0, -1, -7, -8, -11, -12, -16, -127, -128, -9999].map(of),
            [0, 1, 7, 8, 8, 9, 10, 15, 15, 15]
        );
        assert_eq!([1, 7, 8, 64, 200].map(of), [17, 23, 24, 30, 31]);
    }

    #[test]
    fn a_row_is_a_piece_of_the_table() {
        let bias = DistanceBias::alibi(2, 8.0);
        let table = BiasTable::new(&bias, 9);
        for position in 0..9usize {
            let wanted: Vec<f32> =
                (2..9usize).map(|key| -0.0625 * 0.0625 * key.abs_diff(position) as f32).collect();
            assert_eq!(table.row(1, position, 2, 7), wanted);
        }
        assert!(table.serves(&bias, 9) && !table.serves(&bias, 10));
        assert!(!table.serves(&DistanceBias::alibi(3, 8.0), 9));
    }
}
