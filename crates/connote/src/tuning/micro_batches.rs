//! The micro-batches of a call, as far as time depends on them.

use super::Work;
use crate::plan::plan;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MicroBatch {
    pub(crate) tokens: f64,
    /// Squares of its texts' lengths, summed.
    pub(crate) squares: f64,
}

/// All of them, in the order in which workers claim them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MicroBatches {
    Each(Vec<MicroBatch>),
    /// Of very many texts: they are near enough alike, but for the longest text.
    Alike {
        count: usize,
        one: MicroBatch,
        longest: MicroBatch,
    },
}

impl MicroBatches {
    /// As the plan for so many workers cuts them.
    pub(crate) fn of(work: &Work, workers: usize) -> Self {
        if work.texts > work.lengths.len() {
            return Self::alike(work, workers);
        }
        let lengths = &work.lengths;
        let sums = |batch: Vec<usize>| MicroBatch {
            tokens: batch.iter().map(|&job| lengths[job] as f64).sum(),
            squares: batch.iter().map(|&job| (lengths[job] as f64).powi(2)).sum(),
        };
        Self::Each(plan(lengths, workers, work.most_tokens).into_iter().map(sums).collect())
    }

    fn alike(work: &Work, workers: usize) -> Self {
        let wanted = work.tokens.div_ceil(work.most_tokens).next_multiple_of(workers.max(1));
        let count = wanted.clamp(1, work.texts.max(1));
        let each = count as f64;
        let longest = work.longest as f64;
        Self::Alike {
            count,
            one: MicroBatch { tokens: work.tokens as f64 / each, squares: work.squares / each },
            longest: MicroBatch { tokens: longest, squares: longest * longest },
        }
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Each(batches) => batches.len(),
            Self::Alike { count, .. } => *count,
        }
    }

    /// When the last worker is done, if each claims the next one whenever it is free.
    pub(crate) fn makespan(&self, workers: usize, seconds: impl Fn(MicroBatch) -> f64) -> f64 {
        match self {
            Self::Each(batches) => {
                let mut busy = vec![0.0f64; workers.max(1)];
                for &batch in batches {
                    if let Some(first) = busy.iter_mut().min_by(|a, b| a.total_cmp(b)) {
                        *first += seconds(batch);
                    }
                }
                busy.into_iter().fold(0.0, f64::max)
            }
            Self::Alike { count, one, longest } => {
                let rounds = count.div_ceil(workers.max(1)) as f64;
                (rounds * seconds(*one)).max(seconds(*longest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::MOST_TOKENS;

    #[test]
    fn many_texts_are_cut_as_the_plan_cuts_them() {
        for (texts, length) in [(300, 4), (1000, 64), (5000, 256), (700, 17)] {
            for workers in [1, 2, 6, 64] {
                let lengths = vec![length; texts];
                let alike = MicroBatches::of(&Work::of(&lengths), workers);
                let count = plan(&lengths, workers, MOST_TOKENS).len();
                let off = alike.count().abs_diff(count);
                assert!(off * 20 <= count, "{texts} of {length}: {} for {count}", alike.count());
            }
        }
    }

    #[test]
    fn the_last_worker_counts() {
        let lengths = [400, 300, 300, 200];
        let seconds = |batch: MicroBatch| batch.tokens;
        assert_eq!(MicroBatches::of(&Work::of(&lengths), 1).makespan(1, seconds), 1200.0);
        assert_eq!(MicroBatches::of(&Work::of(&lengths), 2).makespan(2, seconds), 600.0);
        assert_eq!(MicroBatches::of(&Work::of(&[]), 2).makespan(2, seconds), 0.0);
    }
}
