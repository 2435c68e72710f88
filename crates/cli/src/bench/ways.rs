//! Ways to use the cores, by name.

use connote::{Policy, Shape, Tuning};

/// A tuning that takes part in a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// `2x1` or the policy's name.
    pub(crate) name: String,
    pub(crate) tuning: Tuning,
    /// What is fixed; `None` where a policy chooses.
    pub(crate) shape: Option<Shape>,
}

impl Way {
    pub(crate) fn fixed(workers: usize, threads: usize) -> Self {
        let shape = Shape::new(workers, threads);
        Self { shape: Some(shape), ..Self::policy(Policy::Fixed(shape)) }
    }

    pub(crate) fn policy(policy: Policy) -> Self {
        Self { name: policy.to_string(), tuning: Tuning::new().policy(policy), shape: None }
    }
}

/// 1, N/2, N and 2N, each once.
pub(crate) fn worker_counts(cores: usize) -> Vec<usize> {
    let mut counts = vec![1, cores / 2, cores, 2 * cores];
    counts.retain(|&count| count > 0);
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// The shapes that a choice has to measure itself against: serial, all threads inside products, halves, and workers of
/// one thread as the matrix has them.
pub(crate) fn fixed_shapes(cores: usize) -> Vec<Way> {
    let mut shapes = vec![(1, 1), (1, cores), (cores / 2, 2)];
    shapes.extend(worker_counts(cores).into_iter().map(|workers| (workers, 1)));
    shapes.retain(|&(workers, _)| workers > 0);
    let mut ways: Vec<Way> = Vec::new();
    for (workers, threads) in shapes {
        let way = Way::fixed(workers, threads);
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

/// Threads inside one text: powers of two up to all, without one.
pub(crate) fn thread_counts(cores: usize) -> Vec<usize> {
    let mut counts: Vec<usize> =
        (1..).map(|power| 1_usize << power).take_while(|&count| count < cores).collect();
    counts.extend((cores > 1).then_some(cores));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shapes_of_machines() {
        assert_eq!(worker_counts(1), [1, 2]);
        assert_eq!(worker_counts(2), [1, 2, 4]);
        assert_eq!(worker_counts(8), [1, 4, 8, 16]);
        let names = |cores| fixed_shapes(cores).into_iter().map(|way| way.name).collect::<Vec<_>>();
        assert_eq!(names(1), ["1x1", "2x1"]);
        assert_eq!(names(2), ["1x1", "1x2", "2x1", "4x1"]);
        assert_eq!(names(8), ["1x1", "1x8", "4x2", "4x1", "8x1", "16x1"]);
        assert_eq!(thread_counts(1), [0; 0]);
        assert_eq!(thread_counts(2), [2]);
        assert_eq!(thread_counts(12), [2, 4, 8, 12]);
    }
}
