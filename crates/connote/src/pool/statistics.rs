//! What a pool has done so far, for those who watch it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::group::Group;

/// What the workers of this process have done since it began, and what waits for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Tokens of texts that wait for a worker.
    pub waiting_tokens: usize,
    /// Micro-batches that were begun.
    pub micro_batches: u64,
    /// Texts in them, each distinct one of a call once.
    pub texts: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// Micro-batches by how full they were: the first tenth of the budget of tokens, the second, and so on.
    pub fill: [u64; 10],
    /// How long each of the pool's threads was at work.
    pub workers: Vec<Duration>,
    /// How long threads of callers were, which compute their own calls where they can.
    pub callers: Duration,
}

/// The counters behind it.
#[derive(Default)]
pub(crate) struct Counts {
    micro_batches: AtomicU64,
    texts: AtomicU64,
    tokens: AtomicU64,
    fill: [AtomicU64; 10],
    /// Nanoseconds of each of the pool's threads.
    workers: Mutex<Vec<Arc<AtomicU64>>>,
    callers: AtomicU64,
}

thread_local! {
    /// The counter of this thread, if it is a worker of a pool.
    static OWN: RefCell<Option<Arc<AtomicU64>>> = const { RefCell::new(None) };
}

impl Counts {
    /// This thread is a worker from now on.
    pub(crate) fn new_worker(&self) {
        let counter = Arc::new(AtomicU64::new(0));
        self.workers().push(counter.clone());
        OWN.set(Some(counter));
    }

    /// Counts this thread's time until it is dropped.
    pub(crate) fn busy(&self) -> Busy<'_> {
        Busy { counts: self, since: Instant::now() }
    }

    pub(crate) fn micro_batch(&self, group: &Group, jobs: &[usize]) {
        let tokens: usize = jobs.iter().map(|&job| group.ids(job).len()).sum();
        let budget = group.work.most_tokens.max(1);
        let tenth = (tokens.saturating_sub(1) * 10 / budget).min(9);
        let add = |counter: &AtomicU64, more: usize| counter.fetch_add(more as u64, Ordering::Relaxed);
        add(&self.micro_batches, 1);
        add(&self.texts, jobs.len());
        add(&self.tokens, tokens);
        add(&self.fill[tenth], 1);
    }

    pub(crate) fn statistics(&self, waiting_tokens: usize) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let workers = self.workers();
        Statistics {
            waiting_tokens,
            micro_batches: get(&self.micro_batches),
            texts: get(&self.texts),
            tokens: get(&self.tokens),
            fill: std::array::from_fn(|tenth| get(&self.fill[tenth])),
            workers: workers.iter().map(|worker| Duration::from_nanos(get(worker))).collect(),
            callers: Duration::from_nanos(get(&self.callers)),
        }
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, Vec<Arc<AtomicU64>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread at work.
pub(crate) struct Busy<'a> {
    counts: &'a Counts,
    since: Instant,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let spent = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        OWN.with_borrow(|own| {
            own.as_deref().unwrap_or(&self.counts.callers).fetch_add(spent, Ordering::Relaxed)
        });
    }
}
