//! What a caller waits for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::engine::Engine;
use crate::schedule::{CancellationToken, Priority, Schedule};
use crate::tuning::Shape;

/// The pooled rows of a sequence, or why there are none.
pub(crate) type Answer = Result<Vec<f32>, Failure>;

/// Why a sequence has no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The call was cancelled.
    Cancelled,
    /// Its deadline passed.
    Late,
    /// The engine panicked on it, with this message.
    Panicked(String),
}

/// A call in the pool: its sequences, and a place for each one's answer.
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sequences: Vec<Vec<u32>>,
    pub(crate) priority: Priority,
    pub(crate) deadline: Option<Instant>,
    /// Instead of the choice.
    pub(crate) shape: Option<Shape>,
    token: Option<CancellationToken>,
    /// Its caller has gone.
    abandoned: AtomicBool,
    answers: Mutex<Answers>,
    changed: Condvar,
}

struct Answers {
    each: Vec<Option<Answer>>,
    missing: usize,
}

impl Call {
    /// A call of this priority; what its schedule says of priority is not looked at.
    pub(crate) fn new(
        engine: Arc<Engine>,
        sequences: Vec<Vec<u32>>,
        priority: Priority,
        schedule: &Schedule,
    ) -> Self {
        let answers = Answers { each: vec![None; sequences.len()], missing: sequences.len() };
        Self {
            engine,
            sequences,
            priority,
            deadline: schedule.deadline,
            shape: schedule.shape,
            token: schedule.cancellation.clone(),
            abandoned: AtomicBool::new(false),
            answers: Mutex::new(answers),
            changed: Condvar::new(),
        }
    }

    /// Tokens of all its sequences.
    pub(crate) fn tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }

    /// Whether something can end it before its answers are there.
    pub(crate) fn can_end_early(&self) -> bool {
        self.token.is_some() || self.deadline.is_some()
    }

    /// Whether nobody wants its answers any more.
    pub(crate) fn is_over(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.ended().is_some()
    }

    /// Whether all its answers are there.
    pub(crate) fn is_answered(&self) -> bool {
        self.answers().missing == 0
    }

    /// The answer of one sequence; the first counts.
    pub(crate) fn answer(&self, sequence: usize, answer: Answer) {
        let mut answers = self.answers();
        // Where the caller has gone, there is no place any more.
        if let Some(place @ None) = answers.each.get_mut(sequence) {
            *place = Some(answer);
            answers.missing -= 1;
            if answers.missing == 0 {
                self.changed.notify_all();
            }
        }
    }

    /// Waits until all answers are there, or the call is cancelled or late: then those that are missing say so.
    pub(crate) fn wait(self: &Arc<Self>) -> Vec<Answer> {
        let listening = self.token.as_ref().map(|token| {
            let call = self.clone();
            token.listen(move || call.wake())
        });
        let mut answers = self.answers();
        let ended = loop {
            if answers.missing == 0 {
                break None;
            }
            if let Some(ended) = self.ended() {
                break Some(ended);
            }
            answers = match self.deadline {
                None => self.changed.wait(answers).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(answers, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        if ended.is_some() {
            self.abandoned.store(true, Ordering::Relaxed);
        }
        let each = std::mem::take(&mut answers.each);
        answers.missing = 0;
        drop(answers);
        drop(listening);
        let missing = ended.unwrap_or_else(|| Failure::Panicked("a sequence was not answered".to_owned()));
        each.into_iter().map(|answer| answer.unwrap_or_else(|| Err(missing.clone()))).collect()
    }

    /// Why the call ended, if it did.
    fn ended(&self) -> Option<Failure> {
        if self.token.as_ref().is_some_and(CancellationToken::is_cancelled) {
            return Some(Failure::Cancelled);
        }
        self.deadline.filter(|&deadline| deadline <= Instant::now()).map(|_| Failure::Late)
    }

    /// Lets the caller look again.
    fn wake(&self) {
        // With the lock, so that a caller who has looked already waits when it is told.
        drop(self.answers());
        self.changed.notify_all();
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
