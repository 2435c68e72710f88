//! How much may wait: a bound in tokens, and when to come back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connote::Priority;
use tokio::sync::{self, Notify};

use crate::fault::Fault;

/// Counts tokens of requests between their acceptance and their answer.
#[derive(Clone)]
pub(crate) struct Admission {
    limit: usize,
    progress: Arc<dyn Fn() -> Progress + Send + Sync>,
    state: Arc<Mutex<State>>,
    lanes: Arc<[Lane; 2]>,
}

/// Those that wait for room of one priority, one after the other.
#[derive(Default)]
struct Lane {
    turn: sync::Mutex<()>,
    /// Told when a ticket was given back.
    room: Notify,
}

/// How far the engine is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// Tokens that were not begun yet.
    pub(crate) waiting: usize,
    /// Tokens that were, ever.
    pub(crate) computed: u64,
}

struct State {
    /// Tokens at hand, interactive and batch.
    tokens: [usize; 2],
    /// Tokens that wait for room and come before those that ask now.
    promised: [usize; 2],
    rate: Rate,
}

/// Tokens a second, of the time in which there was work; the more recent counts more.
struct Rate {
    tokens: f64,
    seconds: f64,
    /// When it was looked last, and what the engine had computed by then.
    seen: (Instant, u64),
}

/// Seconds of work after which they count a third.
const MEMORY: f64 = 30.0;

/// Tokens a second that are assumed before anything was measured, and for so many seconds' worth.
const USUAL_RATE: f64 = 1000.0;
const USUAL_SECONDS: f64 = 0.1;

impl Rate {
    fn new(now: Instant, computed: u64) -> Self {
        Self { tokens: USUAL_RATE * USUAL_SECONDS, seconds: USUAL_SECONDS, seen: (now, computed) }
    }

    /// Counts what came since it looked last. There was work all the time.
    fn look(&mut self, now: Instant, computed: u64) {
        let (before, known) = std::mem::replace(&mut self.seen, (now, computed));
        let seconds = now.saturating_duration_since(before).as_secs_f64();
        let kept = (-seconds / MEMORY).exp();
        self.tokens = self.tokens * kept + computed.saturating_sub(known) as f64;
        self.seconds = self.seconds * kept + seconds;
    }

    /// Work begins: the time before it was without, and nothing was computed in it.
    fn begin(&mut self, now: Instant) {
        self.seen.0 = now;
    }

    /// How long so many tokens take: whole seconds, at least one, and not so many that nobody would come back.
    fn wait(&self, tokens: usize) -> Duration {
        let seconds = (tokens as f64 * self.seconds / self.tokens.max(1.0)).ceil();
        Duration::from_secs_f64(seconds.clamp(1.0, 600.0))
    }
}

impl Admission {
    pub(crate) fn new(limit: usize, progress: impl Fn() -> Progress + Send + Sync + 'static) -> Self {
        let rate = Rate::new(Instant::now(), progress().computed);
        let state = Arc::new(Mutex::new(State { tokens: [0; 2], promised: [0; 2], rate }));
        Self { limit, progress: Arc::new(progress), state, lanes: Arc::default() }
    }

    /// Takes a request in, until the ticket is dropped. One that finds nothing of its priority is always taken, however
    /// large: otherwise it never could be.
    pub(crate) fn admit(&self, priority: Priority, tokens: usize) -> Result<Ticket, Fault> {
        let mut state = self.state();
        let lane = lane(priority);
        let present = state.tokens[lane] + state.promised[lane];
        if present > 0 && present.saturating_add(tokens) > self.limit {
            drop(state);
            let why = format!(
                "{present} tokens of {priority} work wait already, and this request's {tokens} would be past the limit of {} \
                 (--max-queue-tokens)",
                self.limit
            );
            return Err(Fault::overloaded(&why, self.wait()));
        }
        state.take(lane, tokens);
        drop(state);
        Ok(Ticket { admission: self.clone(), lane, tokens })
    }

    /// When what is at hand will have been computed, by the speed that was measured.
    pub(crate) fn wait(&self) -> Duration {
        let (state, waiting) = self.look();
        let all: usize = state.tokens.iter().sum();
        // Part of a large request may be done.
        state.rate.wait(all.min(waiting))
    }

    /// Takes part of a stream in as soon as there is room: what was begun is not sent away. Those that wait are taken in the
    /// order in which they came, and before requests that come later.
    pub(crate) async fn wait_for_room(&self, priority: Priority, tokens: usize) -> Ticket {
        let lane = lane(priority);
        let promise = Promise::new(self, lane, tokens);
        let _turn = self.lanes[lane].turn.lock().await;
        while !self.state().has_room(lane, tokens, self.limit) {
            self.lanes[lane].room.notified().await;
        }
        drop(promise);
        self.state().take(lane, tokens);
        Ticket { admission: self.clone(), lane, tokens }
    }

    /// Tokens at hand: interactive and batch.
    pub(crate) fn tokens(&self) -> [usize; 2] {
        self.state().tokens
    }

    /// Tokens of each priority that may be.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The state, with what was computed up to now, and the tokens that were not begun yet. Asking the engine takes a lock of
    /// its, so a request that is taken asks once: when it ends.
    fn look(&self) -> (MutexGuard<'_, State>, usize) {
        let mut state = self.state();
        let Progress { waiting, computed } = (self.progress)();
        if state.works() {
            state.rate.look(Instant::now(), computed);
        }
        (state, waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn works(&self) -> bool {
        self.tokens != [0; 2]
    }

    fn take(&mut self, lane: usize, tokens: usize) {
        if !self.works() {
            self.rate.begin(Instant::now());
        }
        self.tokens[lane] += tokens;
    }

    fn has_room(&self, lane: usize, tokens: usize, limit: usize) -> bool {
        let present = self.tokens[lane];
        present == 0 || present.saturating_add(tokens) <= limit
    }
}

fn lane(priority: Priority) -> usize {
    match priority {
        Priority::Interactive => 0,
        Priority::Batch => 1,
    }
}

/// Tokens that wait for room, until they have it or nobody wants it any more.
struct Promise<'a> {
    admission: &'a Admission,
    lane: usize,
    tokens: usize,
}

impl<'a> Promise<'a> {
    fn new(admission: &'a Admission, lane: usize, tokens: usize) -> Self {
        admission.state().promised[lane] += tokens;
        Self { admission, lane, tokens }
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.admission.state().promised[self.lane] -= self.tokens;
    }
}

/// A request's place.
pub(crate) struct Ticket {
    admission: Admission,
    lane: usize,
    tokens: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.look().0.tokens[self.lane] -= self.tokens;
        self.admission.lanes[self.lane].room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use super::*;
    use crate::fault::FaultKind;

    #[test]
    fn a_full_queue_says_when_to_come_back_and_the_other_lane_stays_open() {
        // Part of what it was given the engine has begun.
        let admission = Admission::new(100, || Progress { waiting: 1500, computed: 0 });
        let Ok(first) = admission.admit(Priority::Batch, 8000) else {
            panic!("an empty queue takes anything")
        };
        let Err(fault) = admission.admit(Priority::Batch, 1) else { panic!("it was full") };
        assert_eq!(fault.kind, FaultKind::Overloaded);
        let wait = fault.retry_after.expect("when to come back");
        assert!(
            wait >= Duration::from_secs(2),
            "at the usual rate or less, as nothing is computed: {wait:?}"
        );
        assert!(fault.message.contains("--max-queue-tokens"), "{}", fault.message);
        let Ok(query) = admission.admit(Priority::Interactive, 12) else {
            panic!("queries have their own room")
        };
        assert_eq!(admission.tokens(), [12, 8000]);
        drop((first, query));
        assert_eq!(admission.tokens(), [0, 0]);
        assert!(admission.admit(Priority::Batch, 1).is_ok());
    }

    #[test]
    fn the_wait_is_that_of_the_work_before_idle_time_or_not() {
        let begin = Instant::now();
        let at = |seconds: f64| begin + Duration::from_secs_f64(seconds);
        let mut rate = Rate::new(begin, 0);
        assert_eq!(rate.wait(5000), Duration::from_secs(5), "as usual");
        // Forty requests of a hundred tokens and 10 ms, each after a second of idleness.
        for request in 0..40 {
            let second = f64::from(request);
            rate.begin(at(second));
            rate.look(at(second + 0.01), 100 * (request as u64 + 1));
        }
        let wait = rate.wait(100_000).as_secs();
        assert!((10..=13).contains(&wait), "of 10000 tokens a second, from 0.4 s of work: {wait}");
        // Then it is slower, and is seen to be while a request is computed.
        rate.begin(at(100.0));
        rate.look(at(400.0), 4000 + 300 * 500);
        assert_eq!(rate.wait(10_000).as_secs(), 20, "of 500 tokens a second");
        assert_eq!(rate.wait(0).as_secs(), 1);
        assert_eq!(rate.wait(usize::MAX).as_secs(), 600);
    }

    #[tokio::test]
    async fn the_engine_is_asked_once_a_request() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counting = asked.clone();
        let admission = Admission::new(100, move || {
            counting.fetch_add(1, Ordering::Relaxed);
            Progress { waiting: 0, computed: 0 }
        });
        asked.store(0, Ordering::Relaxed);
        let Ok(first) = admission.admit(Priority::Interactive, 90) else { panic!("taken") };
        let Ok(second) = admission.admit(Priority::Interactive, 10) else { panic!("taken") };
        let third = admission.wait_for_room(Priority::Batch, 10).await;
        drop((first, second, third));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        // One that is refused hears when to come back.
        let Ok(_first) = admission.admit(Priority::Batch, 90) else { panic!("taken") };
        assert!(admission.admit(Priority::Batch, 90).is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn a_stream_waits_for_room_and_goes_before_those_that_come_later() {
        let admission = Admission::new(100, || Progress { waiting: 0, computed: 0 });
        let Ok(first) = admission.admit(Priority::Batch, 90) else { panic!("taken") };
        let mut second = Box::pin(admission.wait_for_room(Priority::Batch, 60));
        let mut third = Box::pin(admission.wait_for_room(Priority::Batch, 30));
        assert!(ready(&mut second).await.is_none() && ready(&mut third).await.is_none());
        assert!(admission.admit(Priority::Batch, 5).is_err(), "there would be room, which is promised");
        assert!(admission.admit(Priority::Interactive, 5).is_ok());
        drop(first);
        assert!(ready(&mut third).await.is_none(), "it came later");
        let Some(second) = ready(&mut second).await else { panic!("there is room") };
        assert_eq!(admission.tokens(), [0, 60]);
        let Some(_third) = ready(&mut third).await else { panic!("there is room for both") };
        drop(second);
        assert_eq!(admission.tokens(), [0, 30]);
        // Who waits no more holds nobody up.
        let mut gone = Box::pin(admission.wait_for_room(Priority::Batch, 80));
        assert!(ready(&mut gone).await.is_none());
        drop(gone);
        assert!(admission.admit(Priority::Batch, 70).is_ok());
    }

    /// The ticket, if there is room by now.
    async fn ready<F: Future<Output = Ticket>>(waits: &mut Pin<Box<F>>) -> Option<Ticket> {
        let poll = |context: &mut Context<'_>| match waits.as_mut().poll(context) {
            Poll::Ready(ticket) => Poll::Ready(Some(ticket)),
            Poll::Pending => Poll::Ready(None),
        };
        poll_fn(poll).await
    }
}
