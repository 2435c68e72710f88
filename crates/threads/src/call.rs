//! One call of a team: its parts, who claims them, when it is over.
//!
//! The one place where a borrowed closure is lent to threads that outlive it, and the argument why that is
//! sound:
//!
//! 1. `unclaimed` counts the parts that nobody has claimed. A thread claims by lowering it and *then* reads
//!    `job`; it never reads `job` without a claim.
//! 2. `pending` counts the parts that are not reported as done. A claimed part is reported after its closure
//!    has returned or panicked, and only then. So while a thread holds an unreported claim, `pending > 0`.
//! 3. [`Call::run`] returns only when it has seen `pending == 0`, also when a part panics, and writes `job`
//!    again only after that. Anything else that unwinds in between aborts the process.
//!
//! So whoever reads `job` or runs the closure holds the caller inside `run`, where the closure is borrowed,
//! and nobody writes `job`. A thread that comes late finds `unclaimed == 0`, or claims a part of whatever
//! call is then open: both are right, and no thread needs to know which call it is in (the measured ancestor
//! of this design kept an epoch beside the count; reading after the claim makes it unnecessary, and with it
//! the question of its wrap-around). The call is over when its parts are done, not when threads have
//! reported: a descheduled member that holds no part costs nothing.
#![allow(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;

use crate::sync::{AtomicBool, AtomicUsize, Condvar, Line, Mutex, Ordering, UnsafeCell, fence, thread};

type Payload = Box<dyn Any + Send>;

/// Pauses that a caller waits for the last part before it lets others run on its core. Longer spinning was
/// measured to hurt: the woken member had been put on the caller's core (540 us for a 10 us call).
const CALLER_PAUSES: usize = 200;

/// Yields after that (about a millisecond) before the caller sleeps.
const CALLER_YIELDS: usize = 1000;

/// The closure, its lifetime erased, and into how many parts it is cut.
#[derive(Clone, Copy)]
struct Job {
    part: *const (dyn Fn(usize) + Sync),
    parts: usize,
}

/// The slot in which one call at a time is open to the team.
pub(crate) struct Call {
    /// Someone is inside [`Call::run`].
    open: AtomicBool,
    /// Parts not yet claimed.
    unclaimed: Line<AtomicUsize>,
    /// Parts not yet reported as done.
    pending: Line<AtomicUsize>,
    job: Line<UnsafeCell<Job>>,
    /// The first panic of the open call.
    panic: Mutex<Option<Payload>>,
    caller_sleeps: AtomicBool,
    caller: Mutex<()>,
    over: Condvar,
}

// SAFETY: `job` is the only field that is not Sync and Send by itself. Its pointer is to a `Sync` closure, so
// any thread may call through it, and it is read and written only as the argument at the top of this file says.
unsafe impl Sync for Call {}
// SAFETY: as above; an idle slot's pointer is never followed.
unsafe impl Send for Call {}

impl Call {
    pub(crate) fn new() -> Self {
        let idle: &'static (dyn Fn(usize) + Sync) = &|_| {};
        Self {
            open: AtomicBool::new(false),
            unclaimed: Line(AtomicUsize::new(0)),
            pending: Line(AtomicUsize::new(0)),
            job: Line(UnsafeCell::new(Job { part: idle, parts: 0 })),
            panic: Mutex::new(None),
            caller_sleeps: AtomicBool::new(false),
            caller: Mutex::new(()),
            over: Condvar::new(),
        }
    }

    /// Parts that wait for a thread.
    pub(crate) fn unclaimed(&self) -> usize {
        self.unclaimed.load(Ordering::Relaxed)
    }

    /// Runs `part(0)` to `part(parts - 1)` here and on whoever comes to [`Call::work`], who are told by
    /// `invite`; returns when all are done. A part's panic goes on here after that. `false`, with nothing
    /// done, if another call is open.
    pub(crate) fn run(&self, parts: usize, part: &(dyn Fn(usize) + Sync), invite: impl FnOnce()) -> bool {
        if self.open.load(Ordering::Relaxed) || self.open.swap(true, Ordering::Acquire) {
            return false;
        }
        let unwinding = AbortOnUnwind;
        let part: *const (dyn Fn(usize) + Sync + '_) = part;
        // SAFETY: only the lifetime of the closure changes, which is what the argument above is about.
        let part = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(
                part,
            )
        };
        // SAFETY: `open` makes this the only caller, and the last call ended with `pending == 0`, so nobody
        // holds a claim and nobody reads `job`.
        self.job.with_mut(|job| unsafe { *job = Job { part, parts } });
        self.pending.store(parts, Ordering::Relaxed);
        // Release: a claim that reads this, or a count lowered from it, sees `job` and `pending`.
        self.unclaimed.store(parts, Ordering::Release);
        invite();
        self.work(|| true);
        self.wait();
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Release: the next caller's writes come after all that this call read.
        self.open.store(false, Ordering::Release);
        std::mem::forget(unwinding);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        true
    }

    /// Claims and runs parts until none is left or, asked after each, `stay` says no. Whether it ran any.
    pub(crate) fn work(&self, mut stay: impl FnMut() -> bool) -> bool {
        let Some(mut claim) = self.claim() else { return false };
        let unwinding = AbortOnUnwind;
        // SAFETY: the claim just made is not reported, so `run` has not returned and does not write `job`
        // (points 1 to 3 above). The copy stays right as long as a claim of ours is unreported.
        let job = self.job.with(|job| unsafe { *job });
        // SAFETY: as above: `run` still borrows the closure. The reference is not used after `report`.
        let part = unsafe { &*job.part };
        let mut done = 0;
        loop {
            // Claims count down from `parts` to 1, indexes up from 0.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| part(job.parts - claim))) {
                self.keep(payload);
            }
            done += 1;
            if !stay() {
                break;
            }
            // Our parts are unreported, so this claim can only be of the same call.
            match self.claim() {
                Some(next) => claim = next,
                None => break,
            }
        }
        self.report(done);
        std::mem::forget(unwinding);
        true
    }

    /// How many parts were unclaimed, this one included.
    fn claim(&self) -> Option<usize> {
        // Not a plain subtraction: a late thread's would write to the count between two calls, unordered with
        // the next caller's, and this way the load keeps idle threads from taking the cache line.
        let lower = |unclaimed: usize| unclaimed.checked_sub(1);
        self.unclaimed.fetch_update(Ordering::Acquire, Ordering::Relaxed, lower).ok()
    }

    fn report(&self, done: usize) {
        if self.pending.fetch_sub(done, Ordering::AcqRel) == done {
            // Either the caller, who raises `caller_sleeps` and then looks at `pending`, sees the zero, or we
            // see it raised. The slot outlives the call: members share it with the team.
            fence(Ordering::SeqCst);
            if self.caller_sleeps.load(Ordering::Relaxed) {
                drop(self.caller.lock().unwrap_or_else(PoisonError::into_inner));
                self.over.notify_all();
            }
        }
    }

    /// Returns when every part of the open call is reported.
    fn wait(&self) {
        let over = || self.pending.load(Ordering::Acquire) == 0;
        // Loom tries every moment of waking by itself.
        for look in (0..CALLER_PAUSES + CALLER_YIELDS).take_while(|_| !cfg!(loom)) {
            if over() {
                return;
            }
            if look < CALLER_PAUSES {
                std::hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
        let mut sleep = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        self.caller_sleeps.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while !over() {
            sleep = self.over.wait(sleep).unwrap_or_else(PoisonError::into_inner);
        }
        self.caller_sleeps.store(false, Ordering::Relaxed);
    }

    /// Keeps the first panic of a call. A later one is dropped here, and if that panics too it is forgotten:
    /// the caller hears of the first.
    fn keep(&self, payload: Payload) {
        let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(payload);
            return;
        }
        drop(first);
        discard(payload);
    }
}

/// Runs all parts on this thread, with the rule of [`Call::run`] for panics.
pub(crate) fn run_inline(parts: usize, part: &(dyn Fn(usize) + Sync)) {
    let mut first: Option<Payload> = None;
    for index in 0..parts {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| part(index))) {
            match first {
                None => first = Some(payload),
                Some(_) => discard(payload),
            }
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}

/// Drops a panic's payload, whose own `drop` is foreign code and may panic in its turn.
fn discard(payload: Payload) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// Ends the process if it is dropped: unwinding out of an open call would leave threads with a dead closure.
/// Nothing is known that could; this makes it certain.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}
