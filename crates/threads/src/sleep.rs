//! Where idle members sleep, and how they are woken.

use std::sync::OnceLock;

use crate::sync::{AtomicBool, AtomicUsize, Line, Ordering, fence, thread};

/// One bed a member.
pub(crate) struct Sleepers {
    /// Members in bed: one load tells a caller that nobody needs waking.
    asleep: Line<AtomicUsize>,
    beds: Vec<Line<Bed>>,
}

struct Bed {
    taken: AtomicBool,
    /// Set before the bed is first taken.
    thread: OnceLock<thread::Thread>,
}

impl Sleepers {
    pub(crate) fn new(members: usize) -> Self {
        let bed = || Line(Bed { taken: AtomicBool::new(false), thread: OnceLock::new() });
        Self { asleep: Line(AtomicUsize::new(0)), beds: (0..members).map(|_| bed()).collect() }
    }

    /// Member `index` sleeps until it is woken or `ready` holds. What `ready` looks at is to be written before
    /// [`Sleepers::wake`] is called: then either the member sees it or the waker sees the member.
    pub(crate) fn sleep(&self, index: usize, ready: impl Fn() -> bool) {
        let bed = &self.beds[index];
        bed.thread.get_or_init(thread::current);
        // Not a plain store: it is to come after whatever a waker did to the bed before.
        bed.taken.swap(true, Ordering::AcqRel);
        // Release: who sees the count sees the bed taken.
        self.asleep.fetch_add(1, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        loop {
            if ready() {
                if bed.taken.swap(false, Ordering::AcqRel) {
                    self.asleep.fetch_sub(1, Ordering::AcqRel);
                }
                return;
            }
            if !bed.taken.load(Ordering::Acquire) {
                return;
            }
            // Also returns for no reason, and for an unpark that a part's own code asked for: hence the loop.
            thread::park();
        }
    }

    /// Wakes as many sleeping members as `wanted` says, given how many are awake; it is not asked when all are.
    pub(crate) fn wake(&self, wanted: impl FnOnce(usize) -> usize) {
        fence(Ordering::SeqCst);
        let asleep = self.asleep.load(Ordering::Acquire);
        if asleep == 0 {
            return;
        }
        let mut wanted = wanted(self.beds.len().saturating_sub(asleep));
        // The first beds first: few members stay warm rather than all lukewarm.
        for bed in &self.beds {
            if wanted == 0 {
                return;
            }
            let taken = bed.taken.load(Ordering::Acquire);
            if taken && bed.taken.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                self.asleep.fetch_sub(1, Ordering::AcqRel);
                if let Some(thread) = bed.thread.get() {
                    thread.unpark();
                }
                wanted -= 1;
            }
        }
    }
}
