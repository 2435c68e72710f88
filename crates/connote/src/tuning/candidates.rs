//! The shapes that a choice is made among.

use super::{Parallelism, Shape};

/// Every shape worth thinking of on `cpus` CPUs in these ways: workers 1, 2, 4 .. and half and all of the CPUs, on
/// threads 1, 2, 4 .. and as many as any of those workers would leave for each. Ordered by workers, then threads.
pub(crate) fn candidates(cpus: usize, parallelism: Parallelism) -> Vec<Shape> {
    let cpus = cpus.max(1);
    let workers = counts(cpus);
    // Not only with as many workers: what is best for three workers of four threads may be cut into one batch.
    let shares: Vec<usize> = workers.iter().map(|workers| cpus / workers).collect();
    let threads = [counts(cpus), shares].concat();
    let all =
        workers.iter().flat_map(|&workers| threads.iter().map(move |&threads| Shape::new(workers, threads)));
    let mut shapes: Vec<Shape> = all.filter(|shape| shape.cpus() <= cpus).collect();
    shapes.retain(|shape| match parallelism {
        Parallelism::Auto => true,
        Parallelism::Texts => shape.threads == 1,
        Parallelism::Matmul => shape.workers == 1,
    });
    shapes.sort_unstable();
    shapes.dedup();
    shapes
}

/// The numbers of workers, and of threads, that are measured on `cpus` CPUs: 1, 2, 4 .. and half and all of them. Half
/// of them are often a node.
pub(crate) fn counts(cpus: usize) -> Vec<usize> {
    let cpus = cpus.max(1);
    let powers = std::iter::successors(Some(1usize), |power| power.checked_mul(2));
    let mut counts: Vec<usize> = powers.take_while(|&power| power <= cpus).collect();
    counts.extend([(cpus / 2).max(1), cpus]);
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// Whether one differs from the other by at most a doubling or halving of workers and of threads.
pub(crate) fn are_neighbours(a: Shape, b: Shape) -> bool {
    let near = |a: usize, b: usize| a.max(b) <= 2 * a.min(b);
    near(a.workers, b.workers) && near(a.threads, b.threads)
}

/// Whether they keep about as many CPUs busy: one at least three quarters of the other's.
pub(crate) fn are_as_busy(a: Shape, b: Shape) -> bool {
    4 * a.cpus().min(b.cpus()) >= 3 * a.cpus().max(b.cpus())
}

/// Whether one is the next step from the other on the ladder from threads in one pass to passes side by side: workers
/// differ by at most a doubling, and it keeps about as many CPUs busy, or as many as `most`, which uses most of all.
pub(crate) fn is_rung(shape: Shape, of: Shape, most: Shape) -> bool {
    let near = shape.workers.max(of.workers) <= 2 * shape.workers.min(of.workers);
    near && (are_as_busy(shape, of) || (shape.cpus() >= of.cpus() && are_as_busy(shape, most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(cpus: usize, parallelism: Parallelism) -> Vec<String> {
        candidates(cpus, parallelism).iter().map(Shape::to_string).collect()
    }

    #[test]
    fn shapes_of_some_machines() {
        assert_eq!(all(0, Parallelism::Auto), ["1x1"]);
        assert_eq!(all(2, Parallelism::Auto), ["1x1", "1x2", "2x1"]);
        assert_eq!(
            all(6, Parallelism::Auto),
            ["1x1", "1x2", "1x3", "1x4", "1x6", "2x1", "2x2", "2x3", "3x1", "3x2", "4x1", "6x1"]
        );
        assert_eq!(all(12, Parallelism::Texts), ["1x1", "2x1", "4x1", "6x1", "8x1", "12x1"]);
        assert_eq!(all(12, Parallelism::Matmul), ["1x1", "1x2", "1x3", "1x4", "1x6", "1x8", "1x12"]);
        assert!(candidates(192, Parallelism::Auto).len() < 90);
        assert_eq!(counts(192), [1, 2, 4, 8, 16, 32, 64, 96, 128, 192]);
        assert_eq!(counts(1), [1]);
    }

    #[test]
    fn rungs_are_the_splits_next_to_one() {
        let of = |shape: &str| shape.parse::<Shape>().expect("a shape");
        let rung = |shape, from| is_rung(of(shape), of(from), of("64x3"));
        for shape in ["64x3", "32x6", "16x12", "32x4", "64x2"] {
            assert!(rung(shape, "32x4"), "{shape}");
        }
        for shape in ["32x2", "128x1", "8x24", "16x2", "1x192"] {
            assert!(!rung(shape, "32x6"), "{shape}");
        }
        assert!(are_as_busy(of("8x1"), of("1x6")) && !are_as_busy(of("8x1"), of("1x4")));
    }
}
