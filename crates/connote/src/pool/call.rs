//! What a caller waits for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::engine::Engine;
use crate::plan::MOST_TOKENS;
use crate::schedule::{Failure, Priority, Schedule};

/// The pooled rows of a sequence, or why there are none.
pub(crate) type Answer = Result<Vec<f32>, Failure>;

/// A call in the pool: its sequences, and a place for each one's answer.
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sequences: Vec<Vec<u32>>,
    /// Tokens of all its sequences.
    pub(crate) tokens: usize,
    pub(crate) priority: Priority,
    pub(crate) schedule: Schedule,
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
    /// A call of these sequences. Unless its schedule says how urgent it is, one that fits a micro-batch is interactive.
    pub(crate) fn new(engine: Arc<Engine>, sequences: Vec<Vec<u32>>, schedule: Schedule) -> Self {
        let answers = Answers { each: vec![None; sequences.len()], missing: sequences.len() };
        let tokens = sequences.iter().map(Vec::len).sum();
        let by_size = if tokens <= MOST_TOKENS { Priority::Interactive } else { Priority::Batch };
        Self {
            engine,
            sequences,
            tokens,
            priority: schedule.priority.unwrap_or(by_size),
            schedule,
            abandoned: AtomicBool::new(false),
            answers: Mutex::new(answers),
            changed: Condvar::new(),
        }
    }

    /// Whether nobody wants its answers any more.
    pub(crate) fn is_over(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.schedule.ended().is_some()
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
        let listening = self.schedule.cancellation.as_ref().map(|token| {
            let call = self.clone();
            token.listen(move || call.wake())
        });
        let mut answers = self.answers();
        let ended = loop {
            if answers.missing == 0 {
                break None;
            }
            if let Some(ended) = self.schedule.ended() {
                break Some(ended);
            }
            answers = match self.schedule.deadline {
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
