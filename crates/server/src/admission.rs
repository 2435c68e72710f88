//! How much may wait: a bound in tokens, and when to come back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connote::Priority;
use tokio::sync::{self, Notify};

use crate::fault::{Fault, FaultKind};

/// Counts tokens of requests between their acceptance and their answer.
#[derive(Clone)]
pub(crate) struct Admission {
    limit: usize,
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

struct State {
    /// Tokens at hand, interactive and batch.
    tokens: [usize; 2],
    /// Tokens that wait for room and come before those that ask now.
    promised: [usize; 2],
    /// Tokens answered since `since`, while there was work.
    answered: usize,
    since: Instant,
    /// Tokens a second, as last measured; 0 before.
    rate: f64,
}

/// How long tokens are counted for one measurement of their rate.
const WINDOW: Duration = Duration::from_secs(2);

/// Assumed before anything was measured.
const USUAL_RATE: f64 = 1000.0;

impl Admission {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State { tokens: [0; 2], promised: [0; 2], answered: 0, since: Instant::now(), rate: 0.0 };
        Self { limit, state: Arc::new(Mutex::new(state)), lanes: Arc::default() }
    }

    /// Takes a request in, until the ticket is dropped. One that finds nothing of its priority is always taken, however
    /// large: otherwise it never could be.
    pub(crate) fn admit(&self, priority: Priority, tokens: usize) -> Result<Ticket, Fault> {
        let mut state = self.state();
        let lane = lane(priority);
        let present = state.tokens[lane] + state.promised[lane];
        if present > 0 && present.saturating_add(tokens) > self.limit {
            let all: usize = state.tokens.iter().sum();
            let wait = (all as f64 / state.rate()).ceil().clamp(1.0, 600.0);
            let message = format!(
                "{present} tokens of {priority} work wait already, and this request's {tokens} would be past the limit of {} \
                 (--max-queue-tokens); come back in {wait} s",
                self.limit
            );
            let mut fault = Fault::new(FaultKind::Overloaded, message);
            fault.retry_after = Some(Duration::from_secs_f64(wait));
            return Err(fault);
        }
        state.take(lane, tokens);
        drop(state);
        Ok(Ticket { admission: self.clone(), lane, tokens, answered: false })
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
        Ticket { admission: self.clone(), lane, tokens, answered: false }
    }

    /// Tokens at hand: interactive and batch.
    pub(crate) fn tokens(&self) -> [usize; 2] {
        self.state().tokens
    }

    /// Tokens of each priority that may be.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, lane: usize, tokens: usize, limit: usize) -> bool {
        let present = self.tokens[lane];
        present == 0 || present.saturating_add(tokens) <= limit
    }

    fn take(&mut self, lane: usize, tokens: usize) {
        if self.tokens == [0; 2] {
            // Idle time is not counted.
            (self.answered, self.since) = (0, Instant::now());
        }
        self.tokens[lane] += tokens;
    }

    /// Tokens a second, as real requests had them.
    fn rate(&self) -> f64 {
        let seconds = self.since.elapsed().as_secs_f64();
        match (self.rate, self.answered) {
            (rate, _) if rate > 0.0 => rate,
            (_, answered) if answered > 0 && seconds > 0.0 => answered as f64 / seconds,
            _ => USUAL_RATE,
        }
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
    answered: bool,
}

impl Ticket {
    /// It has its answer: its tokens say how fast the engine is.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.tokens[self.lane] -= self.tokens;
        if self.answered {
            state.answered += self.tokens;
            let seconds = state.since.elapsed();
            if seconds >= WINDOW {
                state.rate = state.answered as f64 / seconds.as_secs_f64();
                (state.answered, state.since) = (0, Instant::now());
            }
        }
        drop(state);
        self.admission.lanes[self.lane].room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    #[test]
    fn a_full_queue_says_when_to_come_back_and_the_other_lane_stays_open() {
        let admission = Admission::new(100);
        let Ok(first) = admission.admit(Priority::Batch, 5000) else {
            panic!("an empty queue takes anything")
        };
        let Err(fault) = admission.admit(Priority::Batch, 1) else { panic!("it was full") };
        assert_eq!(fault.kind, FaultKind::Overloaded);
        assert_eq!(fault.retry_after, Some(Duration::from_secs(5)), "at the usual rate");
        assert!(fault.message.contains("--max-queue-tokens"), "{}", fault.message);
        let Ok(query) = admission.admit(Priority::Interactive, 12) else {
            panic!("queries have their own room")
        };
        assert_eq!(admission.tokens(), [12, 5000]);
        drop((first, query));
        assert_eq!(admission.tokens(), [0, 0]);
        assert!(admission.admit(Priority::Batch, 1).is_ok());
    }

    #[test]
    fn the_wait_is_that_of_the_measured_rate() {
        let admission = Admission::new(10);
        admission.state().rate = 500.0;
        let Ok(_first) = admission.admit(Priority::Batch, 10_000) else { panic!("taken") };
        let Err(fault) = admission.admit(Priority::Batch, 10) else { panic!("full") };
        assert_eq!(fault.retry_after, Some(Duration::from_secs(20)));
    }

    #[tokio::test]
    async fn a_stream_waits_for_room_and_goes_before_those_that_come_later() {
        let admission = Admission::new(100);
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
