//! Work on several threads, item by item, in which a panic costs one item.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use threads::Team;

use crate::pool::message;

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

#[cfg(test)]
mod tests {
    use super::map;
    use threads::Team;

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
