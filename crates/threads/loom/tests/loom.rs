//! The team under every order of its threads' steps that loom tries.
#![cfg(loom)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use connote_threads::{Budget, Team, TeamOptions};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};

/// Tries all orders with that many preemptions at most; loom's guide finds two or three enough to show nearly
/// every fault, and without a bound these models do not end.
fn model(preemptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(check);
}

fn team(threads: usize, cpus: usize) -> Team {
    let budget = Some(Arc::new(Budget::new(cpus)));
    Team::with(TeamOptions { threads, budget, ..TeamOptions::default() }).unwrap()
}

/// Cells that parts write without any atomics: loom fails where a write is not ordered before the reading
/// that follows the call.
struct Cells(Vec<UnsafeCell<usize>>);

// SAFETY: loom's cell checks that every access is ordered; that is what these tests are for.
unsafe impl Sync for Cells {}

impl Cells {
    fn new(parts: usize) -> Self {
        Self((0..parts).map(|_| UnsafeCell::new(0)).collect())
    }

    fn add(&self, part: usize) {
        // SAFETY: only the thread that runs the part writes its cell, and loom fails if that is not so.
        self.0[part].with_mut(|cell| unsafe { *cell += part + 1 });
    }

    fn sums(&self) -> Vec<usize> {
        // SAFETY: read after the call has ended, and loom fails if a write is not ordered before.
        self.0.iter().map(|cell| cell.with(|cell| unsafe { *cell })).collect()
    }
}

#[test]
fn every_part_once_and_seen_by_the_caller() {
    model(3, || {
        let team = team(2, 2);
        let cells = Cells::new(2);
        team.run(2, &|part| cells.add(part));
        assert_eq!(cells.sums(), [1, 2]);
    });
}

// Three preemptions: with two, loom does not reach a claim without Acquire (tried).
#[test]
fn a_late_member_never_sees_the_closure_of_a_call_that_is_over() {
    model(3, || {
        let team = team(2, 2);
        for _ in 0..2 {
            // Dropped after the call: loom reports any access to it from then on.
            let cells = Cells::new(2);
            team.run(2, &|part| cells.add(part));
            assert_eq!(cells.sums(), [1, 2]);
        }
    });
}

#[test]
fn two_members() {
    model(2, || {
        let team = team(3, 3);
        let cells = Cells::new(2);
        team.run(2, &|part| cells.add(part));
        assert_eq!(cells.sums(), [1, 2]);
    });
}

#[test]
fn two_callers() {
    model(2, || {
        let team = Arc::new(team(2, 2));
        let other = {
            let team = team.clone();
            loom::thread::spawn(move || {
                let cells = Cells::new(2);
                team.run(2, &|part| cells.add(part));
                assert_eq!(cells.sums(), [1, 2]);
            })
        };
        let cells = Cells::new(2);
        team.run(2, &|part| cells.add(part));
        assert_eq!(cells.sums(), [1, 2]);
        other.join().unwrap();
    });
}

#[test]
fn a_panic_reaches_the_caller_and_the_team_lives_on() {
    model(2, || {
        let team = team(2, 2);
        let done = AtomicUsize::new(0);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            team.run(2, &|part| {
                done.fetch_add(1, Ordering::Relaxed);
                // Not panic!: its message for every order tried would be all there is to read.
                if part == 0 {
                    std::panic::resume_unwind(Box::new(7));
                }
            });
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&7));
        assert_eq!(done.load(Ordering::Relaxed), 2);
        let cells = Cells::new(2);
        team.run(2, &|part| cells.add(part));
        assert_eq!(cells.sums(), [1, 2]);
    });
}

#[test]
fn a_pass_opens_and_closes() {
    model(2, || {
        let team = team(2, 2);
        let pass = team.pass();
        let cells = Cells::new(2);
        team.run(2, &|part| cells.add(part));
        assert_eq!(cells.sums(), [1, 2]);
        drop(pass);
    });
}

/// Each of the two parts waits for the other, so the call ends only if the member comes, however late it starts,
/// falls asleep or is woken.
#[test]
fn a_member_with_a_free_cpu_comes() {
    model(2, || {
        let team = team(2, 2);
        let (met, both) = (loom::sync::Mutex::new(0), loom::sync::Condvar::new());
        team.run(2, &|_| {
            let mut here = met.lock().unwrap();
            *here += 1;
            both.notify_all();
            while *here < 2 {
                here = both.wait(here).unwrap();
            }
        });
    });
}
