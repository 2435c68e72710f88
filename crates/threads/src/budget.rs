//! One CPU budget a process.
//!
//! A thread that computes holds a [`Seat`]. Whoever calls from outside is running anyway and takes a seat
//! even if none is left; helpers of a team take one only if it is free, and give it up when callers have
//! overdrawn the budget. So eight callers on two CPUs get no helpers, one caller gets one.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::{Arc, OnceLock};

use crate::Topology;
use crate::sync::{AtomicIsize, AtomicUsize, Line, Ordering};

/// The CPUs that computing threads share. [`Budget::process`] is the one that teams use unless told otherwise.
pub struct Budget {
    cpus: AtomicUsize,
    /// CPUs less seats; below zero when more threads called than there are CPUs.
    free: Line<AtomicIsize>,
}

impl Budget {
    /// A budget of its own, for tests and for embedding several engines in one process. At least 1 CPU.
    pub fn new(cpus: usize) -> Self {
        let cpus = clamp(cpus);
        Self { cpus: AtomicUsize::new(cpus), free: Line(AtomicIsize::new(cpus as isize)) }
    }

    /// The budget of this process: [`Topology::workers`] CPUs as detected at first use.
    pub fn process() -> Arc<Self> {
        static PROCESS: OnceLock<Arc<Budget>> = OnceLock::new();
        PROCESS.get_or_init(|| Arc::new(Self::new(Topology::detect().workers()))).clone()
    }

    /// CPUs in the budget.
    pub fn cpus(&self) -> usize {
        self.cpus.load(Ordering::Relaxed)
    }

    /// Changes the number of CPUs (at least 1), also while threads run: helpers beyond it leave after the part
    /// at hand. This is how an explicit setting overrides what was detected.
    pub fn set_cpus(&self, cpus: usize) {
        let cpus = clamp(cpus);
        let before = self.cpus.swap(cpus, Ordering::Relaxed);
        self.free.fetch_add(cpus as isize - before as isize, Ordering::Relaxed);
    }

    /// Makes it so many CPUs if it has fewer.
    pub fn raise_to(&self, cpus: usize) {
        let cpus = clamp(cpus);
        let before = self.cpus.fetch_max(cpus, Ordering::Relaxed);
        if before < cpus {
            self.free.fetch_add(cpus as isize - before as isize, Ordering::Relaxed);
        }
    }

    /// CPUs that no thread has a seat for.
    pub fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed).max(0) as usize
    }

    /// Counts the current thread as computing until the seat is dropped, whether a CPU is free or not. Costs
    /// nothing on a thread that is already counted.
    ///
    /// A worker holds one around its work, so that the teams it calls need not count it again.
    pub fn occupy(&self) -> Seat<'_> {
        if COUNTED.with(Cell::get) == self {
            return Seat { budget: None, outer: self, thread: PhantomData };
        }
        self.free.fetch_sub(1, Ordering::Relaxed);
        self.seat()
    }

    /// As [`Budget::occupy`], but `None` where no CPU is free.
    pub fn try_occupy(&self) -> Option<Seat<'_>> {
        if COUNTED.with(Cell::get) == self {
            return Some(Seat { budget: None, outer: self, thread: PhantomData });
        }
        // Acquire pairs with the release of a seat given back: a member that saw the CPU come free also sees
        // what its last holder did.
        self.free
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |free| (free > 0).then(|| free - 1))
            .ok()
            .map(|_| self.seat())
    }

    fn seat(&self) -> Seat<'_> {
        Seat { budget: Some(self), outer: COUNTED.with(|counted| counted.replace(self)), thread: PhantomData }
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("cpus", &self.cpus()).field("free", &self.free()).finish()
    }
}

/// Keeps sums of CPUs and seats far from overflow, whatever number a user asks for.
fn clamp(cpus: usize) -> usize {
    cpus.clamp(1, crate::MAX_CPUS)
}

/// A thread's place in a [`Budget`]. It stays on its thread. Seats of a thread end in the reverse of the order in which
/// they were taken, as scopes do: one that outlives the first no longer counts the thread.
#[must_use = "the thread is counted until the seat is dropped"]
pub struct Seat<'a> {
    /// `None` where the thread was counted already, or has given way.
    budget: Option<&'a Budget>,
    /// The budget in which the thread was counted before.
    outer: *const Budget,
    thread: PhantomData<*const ()>,
}

impl Seat<'_> {
    /// Gives the seat up if more seats are taken than there are CPUs; says whether it did. As many seats give
    /// way as are overdrawn, not one more.
    pub(crate) fn give_way(&mut self) -> bool {
        let Some(budget) = self.budget else { return false };
        let mut free = budget.free.load(Ordering::Relaxed);
        while free < 0 {
            match budget.free.compare_exchange_weak(free, free + 1, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    self.budget = None;
                    COUNTED.with(|counted| counted.set(self.outer));
                    return true;
                }
                Err(now) => free = now,
            }
        }
        false
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(budget) = self.budget {
            COUNTED.with(|counted| counted.set(self.outer));
            budget.free.fetch_add(1, Ordering::Release);
        }
    }
}

// The budget in which this thread has a seat; compared, never read through.
#[cfg(not(loom))]
thread_local! {
    static COUNTED: Cell<*const Budget> = const { Cell::new(ptr::null()) };
}
#[cfg(loom)]
loom::thread_local! {
    static COUNTED: Cell<*const Budget> = Cell::new(ptr::null());
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Runs `work` on another thread and waits for it.
    fn elsewhere(work: impl FnOnce() + Send) {
        std::thread::scope(|scope| scope.spawn(work).join().unwrap());
    }

    #[test]
    fn callers_overdraw_and_helpers_do_not() {
        let budget = Budget::new(2);
        let first = budget.occupy();
        assert_eq!(budget.free(), 1);
        elsewhere(|| {
            let _second = budget.try_occupy().expect("one CPU is free");
            let _counted_once = budget.try_occupy().expect("the thread has its seat already");
            assert_eq!(budget.free(), 0);
            elsewhere(|| {
                assert!(budget.try_occupy().is_none());
                let _third = budget.occupy();
                assert_eq!(budget.free.load(Ordering::Relaxed), -1);
            });
        });
        assert_eq!(budget.free(), 1);
        drop(first);
        assert_eq!(budget.free(), 2);
    }

    #[test]
    fn as_many_give_way_as_are_overdrawn() {
        let budget = Budget::new(3);
        let mut one = budget.occupy();
        assert!(!one.give_way());
        budget.set_cpus(1);
        assert!(!one.give_way(), "one seat on one CPU is right");
        elsewhere(|| {
            let mut two = budget.occupy();
            assert!(two.give_way());
            assert!(!two.give_way(), "it has no seat any more");
            assert_eq!(budget.free.load(Ordering::Relaxed), 0);
        });
        assert_eq!(budget.free.load(Ordering::Relaxed), 0);
        drop(one);
        assert_eq!(budget.free(), 1);
    }

    #[test]
    fn nested_seats_of_two_budgets_unwind_in_order() {
        let (outer, inner) = (Budget::new(2), Budget::new(2));
        let a = outer.occupy();
        {
            let _b = inner.occupy();
            let _again = inner.occupy();
            assert_eq!((outer.free(), inner.free()), (1, 1));
        }
        let again = outer.occupy();
        assert_eq!((outer.free(), inner.free()), (1, 2));
        drop((again, a));
        assert_eq!(outer.free(), 2);
        let _clean = outer.occupy();
        assert_eq!(outer.free(), 1, "the thread was forgotten with its seat");
    }

    #[test]
    fn absurd_sizes_are_clamped() {
        assert_eq!(Budget::new(0).cpus(), 1);
        let budget = Budget::new(usize::MAX);
        assert_eq!(budget.cpus(), crate::MAX_CPUS);
        budget.set_cpus(0);
        assert_eq!((budget.cpus(), budget.free()), (1, 1));
        for (raise, cpus) in [(3, 3), (2, 3), (0, 3), (5, 5)] {
            budget.raise_to(raise);
            assert_eq!((budget.cpus(), budget.free()), (cpus, cpus));
        }
    }
}
