//! How many calls compute at once.

use std::sync::{Condvar, Mutex, PoisonError};

/// Lets a number of callers through at a time; the others wait. Each that computes has scratch of its own, and more
/// of them than there are CPUs would not be faster.
pub(crate) struct Gate {
    free: Mutex<usize>,
    opened: Condvar,
}

/// A place inside, given back when it is dropped.
pub(crate) struct Inside<'a>(&'a Gate);

impl Gate {
    /// For `places` callers, at least one.
    pub(crate) fn new(places: usize) -> Self {
        Self { free: Mutex::new(places.max(1)), opened: Condvar::new() }
    }

    /// Waits for a place.
    pub(crate) fn enter(&self) -> Inside<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.opened.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Inside(self)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.opened.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::Gate;

    #[test]
    fn no_more_are_inside_than_have_a_place_and_a_panic_gives_its_back() {
        let (gate, inside) = (Gate::new(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            for caller in 0..12 {
                let (gate, inside) = (&gate, &inside);
                scope.spawn(move || {
                    for call in 0..50 {
                        let _ = catch_unwind(AssertUnwindSafe(|| {
                            let _place = gate.enter();
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                            thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            assert!(caller != 5 || call != 7, "leaves by a panic");
                        }));
                    }
                });
            }
        });
        assert_eq!(*gate.free.lock().unwrap(), 3);
        drop(Gate::new(0).enter());
    }
}
