//! Small calls of many threads, computed together.
//!
//! A text alone leaves most of a matrix product's speed unused, so callers that come while others compute
//! wait, and one of them computes for all: whoever finds nobody computing leads, takes what waits, and hands
//! the lead on when its round is over. No thread of its own, no delay where nobody else calls.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Where calls of jobs `J` with results `R` meet.
pub(crate) struct Joint<J, R> {
    line: Mutex<Line<J, R>>,
}

struct Line<J, R> {
    /// Somebody computes.
    led: bool,
    waiting: VecDeque<Arc<Ticket<J, R>>>,
}

/// A call that waits.
struct Ticket<J, R> {
    /// What the jobs weigh.
    weight: usize,
    state: Mutex<State<J, R>>,
    changed: Condvar,
}

enum State<J, R> {
    Waiting(Vec<J>),
    /// In somebody's round.
    Taken,
    /// Its turn to lead, with its own jobs.
    Leads(Vec<J>),
    Done(Vec<R>),
    /// Whoever computed for it panicked.
    Lost,
}

impl<J, R> Default for Joint<J, R> {
    fn default() -> Self {
        Self { line: Mutex::new(Line { led: false, waiting: VecDeque::new() }) }
    }
}

impl<J, R> Joint<J, R> {
    /// The results of `jobs`, in their order. `compute` gives a result a job; it may be called on another
    /// thread's behalf, with jobs of several calls, which together weigh at most `most` unless one call alone
    /// weighs more. `None` if another thread computed for this call and panicked.
    pub(crate) fn run(
        &self,
        jobs: Vec<J>,
        weight: usize,
        most: usize,
        compute: impl Fn(&[J]) -> Vec<R>,
    ) -> Option<Vec<R>> {
        let mut line = lock(&self.line);
        if !line.led {
            line.led = true;
            drop(line);
            return Some(self.lead(jobs, weight, most, compute));
        }
        let ticket =
            Arc::new(Ticket { weight, state: Mutex::new(State::Waiting(jobs)), changed: Condvar::new() });
        line.waiting.push_back(ticket.clone());
        drop(line);
        let mut state = lock(&ticket.state);
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Done(results) => return Some(results),
                State::Lost => return None,
                State::Leads(jobs) => {
                    drop(state);
                    return Some(self.lead(jobs, weight, most, compute));
                }
                same => *state = same,
            }
            state = ticket.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A round: these jobs, and those that wait.
    fn lead(
        &self,
        mut jobs: Vec<J>,
        mut weight: usize,
        most: usize,
        compute: impl Fn(&[J]) -> Vec<R>,
    ) -> Vec<R> {
        let own = jobs.len();
        // Hands the lead on also if `compute` panics.
        let mut round = Round { joint: self, others: Vec::new() };
        let mut line = lock(&self.line);
        while let Some(next) = line.waiting.pop_front() {
            weight += next.weight;
            if weight > most {
                line.waiting.push_front(next);
                break;
            }
            if let State::Waiting(theirs) = std::mem::replace(&mut *lock(&next.state), State::Taken) {
                round.others.push((next.clone(), theirs.len()));
                jobs.extend(theirs);
            }
        }
        drop(line);
        let mut results = compute(&jobs);
        assert_eq!(results.len(), jobs.len(), "a result for every job");
        let mut rest = results.split_off(own).into_iter();
        for (ticket, count) in round.others.drain(..) {
            ticket.settle(State::Done(rest.by_ref().take(count).collect()));
        }
        results
    }
}

impl<J, R> Ticket<J, R> {
    fn settle(&self, state: State<J, R>) {
        *lock(&self.state) = state;
        self.changed.notify_one();
    }
}

/// A round at work, and the calls it computes for.
struct Round<'a, J, R> {
    joint: &'a Joint<J, R>,
    others: Vec<(Arc<Ticket<J, R>>, usize)>,
}

impl<J, R> Drop for Round<'_, J, R> {
    fn drop(&mut self) {
        // Those still here are without results: `compute` panicked.
        for (ticket, _) in self.others.drain(..) {
            ticket.settle(State::Lost);
        }
        let mut line = lock(&self.joint.line);
        match line.waiting.pop_front() {
            None => line.led = false,
            Some(next) => {
                drop(line);
                let mut state = lock(&next.state);
                if let State::Waiting(jobs) = std::mem::replace(&mut *state, State::Taken) {
                    *state = State::Leads(jobs);
                }
                next.changed.notify_one();
            }
        }
    }
}

/// A panic elsewhere leaves nothing half-written here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, Mutex};
    use std::thread;

    use super::Joint;

    /// Twice each job; remembers how many came together.
    fn twice(rounds: &Mutex<Vec<usize>>) -> impl Fn(&[usize]) -> Vec<usize> + '_ {
        |jobs| {
            rounds.lock().expect("no panic").push(jobs.len());
            thread::yield_now();
            jobs.iter().map(|job| job * 2).collect()
        }
    }

    #[test]
    fn every_call_gets_its_own_results() {
        let joint = Joint::<usize, usize>::default();
        let rounds = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for caller in 0..8 {
                let (joint, rounds) = (&joint, &rounds);
                scope.spawn(move || {
                    for call in 0..200 {
                        let jobs: Vec<usize> = (0..call % 4).map(|job| caller * 1000 + call + job).collect();
                        let wanted: Vec<usize> = jobs.iter().map(|job| job * 2).collect();
                        assert_eq!(joint.run(jobs, call % 4, 5, twice(rounds)), Some(wanted));
                    }
                });
            }
        });
        let rounds = rounds.into_inner().expect("no panic");
        assert_eq!(rounds.iter().sum::<usize>(), 8 * 50 * 6, "every job once");
        assert!(rounds.iter().all(|&jobs| jobs <= 5), "a round is not heavier than allowed");
    }

    #[test]
    fn who_comes_while_another_computes_is_computed_together() {
        let joint = Joint::<usize, usize>::default();
        let rounds = Mutex::new(Vec::new());
        let begun = Barrier::new(2);
        thread::scope(|scope| {
            let (joint, rounds, begun) = (&joint, &rounds, &begun);
            scope.spawn(move || {
                let compute = |jobs: &[usize]| {
                    begun.wait();
                    // Until three wait.
                    while joint.line.lock().expect("no panic").waiting.len() < 3 {
                        thread::yield_now();
                    }
                    twice(rounds)(jobs)
                };
                assert_eq!(joint.run(vec![1], 1, 100, compute), Some(vec![2]));
            });
            begun.wait();
            for caller in 0..3 {
                scope.spawn(move || {
                    assert_eq!(joint.run(vec![caller; 2], 2, 100, twice(rounds)), Some(vec![caller * 2; 2]));
                });
            }
        });
        assert_eq!(*rounds.lock().expect("no panic"), [1, 6]);
    }

    #[test]
    fn a_panic_is_told_to_those_it_cost_and_the_lead_goes_on() {
        let joint = Joint::<usize, usize>::default();
        let failed = AtomicUsize::new(0);
        let compute = |jobs: &[usize]| {
            thread::yield_now();
            assert!(!jobs.contains(&13), "cannot");
            jobs.to_vec()
        };
        thread::scope(|scope| {
            for caller in 0..6 {
                let (joint, failed) = (&joint, &failed);
                scope.spawn(move || {
                    for call in 0..100 {
                        let job = if call == 50 && caller == 2 { 13 } else { 20 + caller };
                        let result = catch_unwind(AssertUnwindSafe(|| joint.run(vec![job], 1, 3, compute)))
                            .ok()
                            .flatten();
                        match result {
                            Some(results) => assert_eq!(results, [job]),
                            None => drop(failed.fetch_add(1, Ordering::Relaxed)),
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&failed.into_inner()), "one round of at most three calls was lost");
    }
}
