//! What a caller listens to while its call is computed.

use std::time::{Duration, Instant};

/// Something that a thread does every now and then while it waits for a call, or computes it: a host's signals are heard
/// on one thread only, and that may be the very one.
pub(crate) struct Listener<'a>(Option<Ear<'a>>);

struct Ear<'a> {
    every: Duration,
    next: Instant,
    listen: &'a mut dyn FnMut(),
}

impl<'a> Listener<'a> {
    /// Nothing to listen to.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Calls `listen` so often, first when this time has gone.
    pub(crate) fn new(every: Duration, listen: &'a mut dyn FnMut()) -> Self {
        Self(Some(Ear { every, next: Instant::now() + every, listen }))
    }

    /// Whether it is time to listen.
    pub(crate) fn is_due(&self) -> bool {
        self.0.as_ref().is_some_and(|ear| Instant::now() >= ear.next)
    }

    /// Listens, if it is time to; how long until it is again, `None` for never.
    pub(crate) fn look(&mut self) -> Option<Duration> {
        let due = self.is_due();
        let ear = self.0.as_mut()?;
        if due {
            (ear.listen)();
            ear.next = Instant::now() + ear.every;
        }
        Some(ear.next.saturating_duration_since(Instant::now()))
    }
}
