//! What a caller listens to while its call is computed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Something that a thread does every now and then while it waits for a call, or computes it: a host's signals are heard
/// on one thread only, and that may be the very one.
pub(crate) struct Listener<'a> {
    ear: Option<Ear<'a>>,
    /// What it panicked with. It is kept until the pool's book-keeping is done.
    panic: Option<Box<dyn Any + Send>>,
}

struct Ear<'a> {
    every: Duration,
    /// `None` is past what a clock can hold: never.
    next: Option<Instant>,
    listen: &'a mut dyn FnMut(),
}

impl<'a> Listener<'a> {
    /// Nothing to listen to.
    pub(crate) fn none() -> Self {
        Self { ear: None, panic: None }
    }

    /// Calls `listen` so often, first when this time has gone.
    pub(crate) fn new(every: Duration, listen: &'a mut dyn FnMut()) -> Self {
        let next = Instant::now().checked_add(every);
        Self { ear: Some(Ear { every, next, listen }), panic: None }
    }

    /// Whether it is time to listen.
    pub(crate) fn is_due(&self) -> bool {
        let next = self.ear.as_ref().and_then(|ear| ear.next);
        next.is_some_and(|next| Instant::now() >= next)
    }

    /// Listens, if it is time to; how long until it is again, `None` for never. What panics is not heard again.
    pub(crate) fn look(&mut self) -> Option<Duration> {
        let due = self.is_due();
        let ear = self.ear.as_mut()?;
        if due {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (ear.listen)())) {
                *self = Self { ear: None, panic: Some(panic) };
                return None;
            }
            ear.next = Instant::now().checked_add(ear.every);
        }
        Some(ear.next?.saturating_duration_since(Instant::now()))
    }

    /// Whether it has panicked, so that nobody will want the answers.
    pub(crate) fn has_panicked(&self) -> bool {
        self.panic.is_some()
    }

    /// Lets its panic go on in its caller.
    pub(crate) fn go_on_panicking(&mut self) {
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
    }
}
