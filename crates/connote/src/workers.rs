//! Work on several threads, item by item, in which a panic costs one item.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// `work` on every item, by up to `workers` threads (this one included) that claim items in order. The
/// results are in the items' order; an item whose work panicked gives the panic's message.
pub(crate) fn map<T: Sync, R: Send + Sync>(
    items: &[T],
    workers: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<Result<R, String>> {
    let results: Vec<OnceLock<Result<R, String>>> = items.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let claim = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            // Nothing the work touches outlives a panic half-written: its scratch is dropped with it.
            let result = catch_unwind(AssertUnwindSafe(|| work(item))).map_err(|panic| message(&*panic));
            let _ = results[index].set(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(items.len()) {
            // If the system has no thread to give, the others do its share.
            let _ = thread::Builder::new().name("connote-worker".to_owned()).spawn_scoped(scope, claim);
        }
        claim();
    });
    let missing = || Err("no worker took it".to_owned());
    results.into_iter().map(|result| result.into_inner().unwrap_or_else(missing)).collect()
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_are_in_order_and_a_panic_costs_one_item() {
        let items: Vec<usize> = (0..100).collect();
        let results = map(&items, 4, |&item| {
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
