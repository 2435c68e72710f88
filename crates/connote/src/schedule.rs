//! When a call is computed, among others.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::plan::MOST_TOKENS;
use crate::tuning::Shape;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits: overtakes [`Priority::Batch`] work that has begun, at its next half layer.
    Interactive,
    /// Nobody waits for a single text. It always gets on: a quarter of the time is its own, however much of the other comes.
    Batch,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Priority::Interactive => "interactive",
            Priority::Batch => "batch",
        })
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "interactive" => Ok(Priority::Interactive),
            "batch" => Ok(Priority::Batch),
            other => Err(format!("no priority is called `{other}`; there is interactive and batch")),
        }
    }
}

/// Why a text has no vector, where the engine is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The call was cancelled.
    Cancelled,
    /// Its deadline passed.
    Late,
    /// The engine panicked on it, with this message.
    Panicked(String),
}

/// A call's place among others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// `None`: by its size.
    pub(crate) priority: Option<Priority>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancellation: Option<CancellationToken>,
    /// Instead of the tuning's choice.
    pub(crate) shape: Option<Shape>,
}

impl Schedule {
    /// How urgent a call of so many tokens is: unless somebody says, one that fits a micro-batch is interactive.
    pub(crate) fn priority_of(&self, tokens: usize) -> Priority {
        let by_size = if tokens <= MOST_TOKENS { Priority::Interactive } else { Priority::Batch };
        self.priority.unwrap_or(by_size)
    }

    /// Whether something can end the call before its answers are there.
    pub(crate) fn can_end_early(&self) -> bool {
        self.cancellation.is_some() || self.deadline.is_some()
    }

    /// Why the call has ended, if it has.
    pub(crate) fn ended(&self) -> Option<Failure> {
        if self.cancellation.as_ref().is_some_and(CancellationToken::is_cancelled) {
            return Some(Failure::Cancelled);
        }
        self.deadline.filter(|&deadline| deadline <= Instant::now()).map(|_| Failure::Late)
    }
}

/// Ends the calls that carry it, from any thread: they return within milliseconds, and their work stops within half a
/// layer. Clones are the same token.
///
/// ```
/// let token = connote::CancellationToken::new();
/// let elsewhere = token.clone();
/// std::thread::spawn(move || elsewhere.cancel()).join().unwrap();
/// assert!(token.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct CancellationToken(Arc<State>);

#[derive(Default)]
struct State {
    cancelled: AtomicBool,
    /// Whom to wake, each under its number.
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    waiting: Vec<(u64, Arc<dyn Fn() + Send + Sync>)>,
}

impl CancellationToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the calls that carry it, now and later. More than once is as good as once.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        // Called without the lock: a listener may take its own.
        let waiting = std::mem::take(&mut self.listeners().waiting);
        waiting.into_iter().for_each(|(_, wake)| wake());
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Calls `wake` once when the token is cancelled, at once if it is already, and hardly after what this returns is dropped (a cancelling that is under way may still call).
    pub(crate) fn listen(&self, wake: impl Fn() + Send + Sync + 'static) -> Listening {
        let mut listeners = self.listeners();
        let number = listeners.next;
        listeners.next += 1;
        listeners.waiting.push((number, Arc::new(wake)));
        drop(listeners);
        if self.is_cancelled() {
            // `cancel` may have looked at the listeners before this one came.
            self.cancel();
        }
        Listening { token: self.clone(), number }
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Listeners> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the listeners of a token, until it is dropped.
pub(crate) struct Listening {
    token: CancellationToken,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.token.listeners().waiting.retain(|(number, _)| *number != self.number);
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancellationToken").field(&self.is_cancelled()).finish()
    }
}

/// Of the same token.
impl PartialEq for CancellationToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CancellationToken {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn whoever_listens_hears_once() {
        let token = CancellationToken::new();
        let heard = Arc::new(AtomicUsize::new(0));
        let ear = |heard: &Arc<AtomicUsize>| {
            let heard = heard.clone();
            move || {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        };
        drop(token.listen(ear(&heard)));
        let _listening = token.listen(ear(&heard));
        assert!(!token.is_cancelled());
        token.clone().cancel();
        token.cancel();
        assert!(token.is_cancelled());
        assert_eq!(heard.load(Ordering::Relaxed), 1, "one had gone, one was there");
        drop(token.listen(ear(&heard)));
        assert_eq!(heard.load(Ordering::Relaxed), 2, "who comes late hears at once");
        assert!(token.listeners().waiting.is_empty());
    }

    #[test]
    fn clones_are_one_token_and_others_are_not() {
        let token = CancellationToken::new();
        assert_eq!(token, token.clone());
        assert_ne!(token, CancellationToken::new());
    }
}
