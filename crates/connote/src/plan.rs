//! Which texts are computed together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Tokens a micro-batch should have at most unless a tuning says otherwise: enough rows to reuse a weight that was
/// fetched, and as many as still fit the cache. A text that is longer is a micro-batch of its own.
pub(crate) const MOST_TOKENS: usize = 512;

/// Cuts jobs into micro-batches of at most `most_tokens` for `workers` workers: a pure function of their lengths.
///
/// The result holds every index once, and no batch is empty. As many batches as the tokens ask for, rounded up
/// to a multiple of the workers, as far as there are jobs, and filled alike: the longest job that is left
/// goes to the batch that has least. So workers that claim batches one by one finish close together. Nothing is
/// padded, so mixing lengths costs nothing; and a text's bits do not depend on its batch. Whether so many workers are worth
/// it, each of which fetches all the weights, was decided before.
pub(crate) fn plan(lengths: &[usize], workers: usize, most_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&job| Reverse(lengths[job]));
    let total: usize = lengths.iter().sum();
    let wanted = total.div_ceil(most_tokens).next_multiple_of(workers.max(1));
    let count = wanted.clamp(1, lengths.len().max(1));
    // The batch with least is on top; of equals the first.
    let mut batches: BinaryHeap<Reverse<(usize, usize, Vec<usize>)>> =
        (0..count).map(|at| Reverse((0, at, Vec::new()))).collect();
    for job in order {
        let Some(mut least) = batches.peek_mut() else { break };
        let Reverse((tokens, _, jobs)) = &mut *least;
        if jobs.is_empty() || *tokens + lengths[job] <= most_tokens {
            *tokens += lengths[job];
            jobs.push(job);
        } else {
            // Only where lengths fit together badly: a batch more.
            drop(least);
            batches.push(Reverse((lengths[job], batches.len(), vec![job])));
        }
    }
    let mut batches = batches.into_vec();
    batches.sort_by_key(|Reverse((tokens, at, _))| (Reverse(*tokens), *at));
    batches.into_iter().map(|Reverse((.., jobs))| jobs).filter(|jobs| !jobs.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(lengths: &[usize], batch: &[usize]) -> usize {
        batch.iter().map(|&job| lengths[job]).sum()
    }

    proptest! {
        #[test]
        fn every_job_once_and_the_budget_kept(
            lengths in prop::collection::vec(1usize..700, 0..200),
            workers in 1usize..20,
        ) {
            let batches = plan(&lengths, workers, MOST_TOKENS);
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for batch in &batches {
                prop_assert!(!batch.is_empty());
                prop_assert!(tokens(&lengths, batch) <= MOST_TOKENS || batch.len() == 1);
            }
        }

        #[test]
        fn workers_have_about_the_same_to_do(
            lengths in prop::collection::vec(1usize..60, 40..300),
            workers in 2usize..6,
        ) {
            let batches = plan(&lengths, workers, MOST_TOKENS);
            let total: usize = lengths.iter().sum();
            // Batches are claimed in order, by whoever is free.
            let mut busy = vec![0; workers];
            for batch in &batches {
                let first = busy.iter_mut().min().expect("a worker");
                *first += tokens(&lengths, batch);
            }
            let most = busy.into_iter().max().expect("a worker");
            prop_assert!(most <= total / workers + total / 20 + 64, "{} of {} on {} workers", most, total, workers);
        }
    }

    #[test]
    fn batches_are_a_multiple_of_the_workers_as_far_as_there_are_texts() {
        assert_eq!(plan(&[11], 2, MOST_TOKENS), [[0]]);
        assert_eq!(plan(&[11, 12], 2, MOST_TOKENS), [[1], [0]]);
        assert_eq!(plan(&[11, 12], 1, MOST_TOKENS), [[1, 0]]);
        assert_eq!(plan(&[12; 96], 2, MOST_TOKENS).len(), 4);
        assert_eq!(plan(&[55; 96], 2, MOST_TOKENS).len(), 12);
        assert_eq!(plan(&[412; 16], 2, MOST_TOKENS).len(), 16);
        assert_eq!(plan(&[412], 8, MOST_TOKENS), [[0]]);
        assert!(plan(&[], 2, MOST_TOKENS).is_empty());
    }
}
