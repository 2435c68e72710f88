//! What a caller waits for.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::listener::Listener;
use crate::engine::Engine;
use crate::schedule::{Failure, Priority, Schedule};

/// The pooled rows of a sequence, or why there are none.
pub(crate) type Answer = Result<Vec<f32>, Failure>;

/// A call in the pool: its sequences, and a place for each one's answer.
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sequences: Vec<Vec<u32>>,
    /// Tokens of all its sequences.
    pub(crate) tokens: usize,
    /// Alike for calls of equal sequences, and for hardly any others: for what may be wrong once in a while.
    pub(crate) key: u64,
    pub(crate) priority: Priority,
    pub(crate) schedule: Schedule,
    /// When it came.
    came: Instant,
    /// When the first of it began.
    begun: OnceLock<Instant>,
    /// Its caller has gone.
    abandoned: AtomicBool,
    answers: Mutex<Answers>,
    changed: Condvar,
}

struct Answers {
    each: Vec<Option<Answer>>,
    missing: usize,
    /// Who polls for them.
    waker: Option<Waker>,
}

impl Call {
    /// A call of these sequences. Unless its schedule says how urgent it is, one that fits a micro-batch is interactive.
    pub(crate) fn new(engine: Arc<Engine>, sequences: Vec<Vec<u32>>, schedule: Schedule) -> Self {
        let answers = Answers { each: vec![None; sequences.len()], missing: sequences.len(), waker: None };
        let tokens = sequences.iter().map(Vec::len).sum();
        let key = BuildHasherDefault::<DefaultHasher>::default().hash_one(&sequences);
        Self {
            engine,
            sequences,
            tokens,
            key,
            priority: schedule.priority_of(tokens),
            schedule,
            came: Instant::now(),
            begun: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            answers: Mutex::new(answers),
            changed: Condvar::new(),
        }
    }

    /// Whether nobody wants its answers any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_abandoned() || self.schedule.ended().is_some()
    }

    /// Whether its caller has gone. No clock is asked.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Some of it begins.
    pub(crate) fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// How long it waited until some of it began; `None` if none has.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.begun.get().map(|begun| begun.saturating_duration_since(self.came))
    }

    /// Nobody wants its answers any more.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
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
                let waker = answers.waker.take();
                drop(answers);
                // Without the lock: it may poll at once.
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// All answers, if they are there or the call is cancelled or late; else `waker` hears of it. Not after it was ready.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Vec<Answer>> {
        let mut answers = self.answers();
        let ended = match (answers.missing, self.schedule.ended()) {
            (0, _) => None,
            (_, Some(ended)) => Some(ended),
            (_, None) => {
                answers.waker = Some(waker.clone());
                return Poll::Pending;
            }
        };
        Poll::Ready(self.take(answers, ended))
    }

    /// Waits until all answers are there, or the call is cancelled or late, or the listener panics: then those that are missing say so.
    pub(crate) fn wait(self: &Arc<Self>, listener: &mut Listener<'_>) -> Vec<Answer> {
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
            // Without the lock: it may end the call.
            drop(answers);
            let listens = listener.look();
            answers = self.answers();
            if listener.has_panicked() {
                break Some(Failure::Cancelled);
            }
            if answers.missing == 0 || self.schedule.ended().is_some() {
                continue;
            }
            let deadline = self.schedule.deadline;
            let late = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            answers = match listens.into_iter().chain(late).min() {
                None => self.changed.wait(answers).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed.wait_timeout(answers, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        let answers = self.take(answers, ended);
        drop(listening);
        answers
    }

    /// All answers; those that are missing say why it has ended.
    fn take(&self, mut answers: MutexGuard<'_, Answers>, ended: Option<Failure>) -> Vec<Answer> {
        if ended.is_some() {
            self.abandon();
        }
        let each = std::mem::take(&mut answers.each);
        answers.missing = 0;
        drop(answers);
        let missing = ended.unwrap_or_else(|| Failure::Panicked("a sequence was not answered".to_owned()));
        each.into_iter().map(|answer| answer.unwrap_or_else(|| Err(missing.clone()))).collect()
    }

    /// Lets the caller look again.
    pub(crate) fn wake(&self) {
        // With the lock, so that a caller who has looked already waits when it is told.
        let waker = self.answers().waker.take();
        self.changed.notify_all();
        waker.into_iter().for_each(Waker::wake);
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
