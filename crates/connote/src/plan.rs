//! Which texts are computed together.

/// Cuts jobs into micro-batches of about `budget` tokens: a pure function of their lengths.
///
/// The result holds every index once. A job longer than the budget is a batch of its own. Long jobs come
/// first, so that the workers that claim batches one by one finish close together. Nothing is padded, so
/// mixing lengths costs nothing; and a text's bits do not depend on its batch.
pub(crate) fn plan(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&job| std::cmp::Reverse(lengths[job]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut filled = usize::MAX;
    for job in order {
        let length = lengths[job];
        match batches.last_mut() {
            Some(batch) if filled + length <= budget => {
                batch.push(job);
                filled += length;
            }
            _ => {
                batches.push(vec![job]);
                filled = length;
            }
        }
    }
    batches
}

/// Tokens a micro-batch should have: enough rows to reuse a weight that was fetched, and at least two
/// batches a worker where there is work for them.
pub(crate) fn token_budget(lengths: &[usize], workers: usize) -> usize {
    const LEAST: usize = 64;
    const MOST: usize = 512;
    let total: usize = lengths.iter().sum();
    total.div_ceil(2 * workers.max(1)).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_job_once_and_the_budget_kept(lengths in prop::collection::vec(1usize..700, 0..200), budget in 1usize..600) {
            let batches = plan(&lengths, budget);
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for batch in &batches {
                let tokens: usize = batch.iter().map(|&job| lengths[job]).sum();
                prop_assert!(tokens <= budget || batch.len() == 1);
            }
        }
    }

    #[test]
    fn workers_get_two_batches_each_within_bounds() {
        assert_eq!(token_budget(&[10; 96], 2), 240);
        assert_eq!(token_budget(&[10], 2), 64);
        assert_eq!(token_budget(&[400; 1000], 2), 512);
    }
}
