//! Work on several threads, item by item, in which a panic costs one item.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use threads::Team;

/// `work` on every item, by the team's threads, which claim items in order. The results are in the items'
/// order; an item whose work panicked gives the panic's message.
pub(crate) fn map<T: Sync, R: Send + Sync>(
    items: &[T],
    team: &Team,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<Result<R, String>> {
    let results: Vec<OnceLock<Result<R, String>>> = items.iter().map(|_| OnceLock::new()).collect();
    team.run(items.len(), &|index| {
        // Nothing the work touches outlives a panic half-written: its scratch is dropped with it.
        let work = || work(&items[index]);
        let result = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic));
        let _ = results[index].set(result);
    });
    let missing = || Err("no worker took it".to_owned());
    results.into_iter().map(|result| result.into_inner().unwrap_or_else(missing)).collect()
}

/// `run` on every batch of jobs, which gives a result a job. If a batch panics, its jobs are run again one by
/// one, so that only the job at fault gets `failed`.
pub(crate) fn settle<R: Send + Sync>(
    batches: &[Vec<usize>],
    team: &Team,
    run: impl Fn(&[usize]) -> Vec<R> + Sync,
    failed: impl Fn(&str) -> R,
) -> Vec<(usize, R)> {
    let mut settled = Vec::new();
    let mut again: Vec<Vec<usize>> = Vec::new();
    for (batch, outcome) in batches.iter().zip(map(batches, team, |batch| run(batch))) {
        match outcome {
            Ok(results) => settled.extend(batch.iter().copied().zip(results)),
            Err(panic) if batch.len() <= 1 => settled.extend(batch.iter().map(|&job| (job, failed(&panic)))),
            Err(_) => again.extend(batch.iter().map(|&job| vec![job])),
        }
    }
    for (batch, outcome) in again.iter().zip(map(&again, team, |batch| run(batch))) {
        let result = outcome.map(|results| results.into_iter().next());
        settled.push((
            batch[0],
            match result {
                Ok(Some(result)) => result,
                Ok(None) => failed("no result"),
                Err(panic) => failed(&panic),
            },
        ));
    }
    settled
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{map, settle};
    use threads::Team;

    #[test]
    fn a_panic_costs_its_own_job_and_not_its_batch() {
        let batches = vec![vec![3, 1], vec![4, 7, 0], vec![5], vec![6, 2]];
        let run = |batch: &[usize]| {
            assert!(!batch.contains(&7) && !batch.contains(&5), "cannot");
            batch.iter().map(|job| Ok(job * 10)).collect()
        };
        let mut settled = settle(&batches, &Team::new(3), run, |panic| Err(panic.to_owned()));
        settled.sort();
        for (place, (job, result)) in settled.into_iter().enumerate() {
            assert_eq!(place, job);
            match job {
                5 | 7 => assert!(result.unwrap_err().contains("cannot")),
                job => assert_eq!(result, Ok(job * 10)),
            }
        }
    }

    #[test]
    fn results_are_in_order_and_a_panic_costs_one_item() {
        let items: Vec<usize> = (0..100).collect();
        let results = map(&items, &Team::new(4), |&item| {
            assert!(item != 42, "no answer");
            item * 2
        });
        for (item, result) in results.into_iter().enumerate() {
            match item {
                42 => assert!(result.unwrap_err().contains("no answer")),
                item => assert_eq!(result, Ok(item * 2)),
            }
        }
    }
}
