//! A team: members that sleep until a call has parts for them.

use std::io;
use std::num::NonZero;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::budget::{Budget, Seat};
use crate::call::{Call, run_inline};
use crate::pin::{current_cpu, step_aside};
use crate::sleep::Sleepers;
use crate::sync::{AtomicBool, AtomicUsize, Ordering, thread};
use crate::{CpuSet, pin_current_thread};

/// The most threads a team has, whatever was asked for.
pub const MAX_THREADS: usize = 1024;

/// How long an idle member spins before it sleeps. Waking a sleeper costs its waker about 12 us, and 50 us pass
/// until it works: spinning longer than that would cost more than it saves.
const SPIN: Duration = Duration::from_micros(50);

/// How long it stays awake while a pass is open; after [`SPIN`] it lets others run on its core between looks.
const PASS_SPIN: Duration = Duration::from_millis(5);

/// Looks at the call between two looks at the clock.
const LOOKS: usize = 32;

/// Sleepers that one thread wakes. Those wake two each in turn, so that a big team is up in a few steps and
/// no thread pays for waking all of it.
const WAKES: usize = 2;

/// Threads that share the parts of a call with its caller. Idle members sleep and use no CPU.
pub struct Team {
    shared: Arc<Shared>,
    members: Vec<thread::JoinHandle<()>>,
    /// After a fork(2) the child has the team, but not its members.
    process: u32,
}

struct Shared {
    call: Call,
    sleepers: Sleepers,
    budget: Arc<Budget>,
    /// Open passes.
    passes: AtomicUsize,
    /// Where the last caller ran, for members that wake there.
    caller_cpu: AtomicUsize,
    stop: AtomicBool,
}

/// Where members run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Wherever the system puts them. Best unless measured otherwise: the pinned teams of two processes
    /// would share a core while others are idle.
    #[default]
    Off,
    /// All of them anywhere within these CPUs, as those of one NUMA node.
    Within(CpuSet),
    /// Member `i` on the `i`-th of these CPUs (from the first again when they run out). The caller is a thread
    /// of its own: leave it a CPU and see [`pin_current_thread`].
    Each(CpuSet),
}

/// How a team is made, for [`Team::with`].
#[derive(Clone, Debug, Default)]
pub struct TeamOptions {
    /// Threads with the caller; 0 for as many as the budget has CPUs.
    pub threads: usize,
    /// Whose CPUs the members use; `None` for [`Budget::process`].
    pub budget: Option<Arc<Budget>>,
    /// Where members run; off by default.
    pub pinning: Pinning,
}

impl Team {
    /// A team of `threads` threads, the caller among them, on the process's [`Budget`]: 1 starts none, 0 is as
    /// many as the budget has CPUs. If the system refuses to start as many, [`Team::threads`] says how many
    /// there are.
    ///
    /// Members beyond the budget's free CPUs sleep; [`Budget::set_cpus`] raises it.
    pub fn new(threads: usize) -> Self {
        Self::on(Budget::process(), threads)
    }

    /// As [`Team::new`], on another budget than the process's.
    pub fn on(budget: Arc<Budget>, threads: usize) -> Self {
        let mut options = TeamOptions { threads, budget: Some(budget), pinning: Pinning::default() };
        loop {
            match Self::start(options.clone()) {
                (team, None) => return team,
                // Fewer than were asked for, so this ends, at one thread if need be.
                (team, Some(_)) => options.threads = team.threads(),
            }
        }
    }

    /// A team as `options` says.
    ///
    /// # Errors
    /// The system did not start a thread, or cannot pin one to the CPUs given.
    pub fn with(options: TeamOptions) -> io::Result<Self> {
        match Self::start(options) {
            (team, None) => Ok(team),
            (_, Some(error)) => Err(error),
        }
    }

    /// The team that could be started, and what went wrong.
    fn start(options: TeamOptions) -> (Self, Option<io::Error>) {
        let budget = options.budget.unwrap_or_else(Budget::process);
        let threads = if options.threads == 0 { budget.cpus() } else { options.threads };
        let members = threads.clamp(1, MAX_THREADS) - 1;
        let shared = Arc::new(Shared {
            call: Call::new(),
            sleepers: Sleepers::new(members),
            budget,
            passes: AtomicUsize::new(0),
            caller_cpu: AtomicUsize::new(usize::MAX),
            stop: AtomicBool::new(false),
        });
        let mut team = Self { shared, members: Vec::with_capacity(members), process: std::process::id() };
        let (pinned, pins) = mpsc::channel();
        let mut error = None;
        for index in 0..members {
            let shared = team.shared.clone();
            let place = options.pinning.place(index);
            let pinned = pinned.clone();
            let member = move || {
                if let Some(place) = place {
                    // Whoever made the team waits for this, but may not wait for others of it.
                    let _ = pinned.send(pin_current_thread(&place));
                }
                drop(pinned);
                shared.serve(index);
            };
            match thread::Builder::new().name(format!("connote-{}", index + 1)).spawn(member) {
                Ok(member) => team.members.push(member),
                Err(refused) => {
                    error = Some(refused);
                    break;
                }
            }
        }
        drop(pinned);
        // Ends when every member has said how its pinning went, at once where none is asked for.
        if options.pinning != Pinning::Off {
            error = pins.iter().filter_map(Result::err).next().or(error);
        }
        (team, error)
    }

    /// Threads that may work at a call, the caller included. At least 1.
    pub fn threads(&self) -> usize {
        self.members.len() + 1
    }

    /// The budget whose CPUs the team uses.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.shared.budget
    }

    /// Calls `part(i)` once for every `i` in `0..parts`, on the caller and on members; returns when all are done.
    /// Any thread may run any part, in any order, so results must not depend on it.
    ///
    /// If a part panics, the others still run; then the first panic goes on in the caller. The team is as good
    /// as before.
    ///
    /// Never waits for the team: if it is at another caller's call, or at the one that this call is nested in,
    /// the caller runs all parts itself. The same where no CPU of the budget is free.
    ///
    /// Claiming a part costs some 20 to 50 ns when threads contend for it; 4 to 16 parts a thread balance well.
    pub fn run(&self, parts: usize, part: &(dyn Fn(usize) + Sync)) {
        let seat = self.shared.budget.occupy();
        let alone = parts < 2 || self.members.is_empty();
        if !alone {
            self.shared.note_caller();
        }
        // Whoever is awake now will see the parts by itself.
        let invite = || self.shared.wake(|awake| (parts - 1).saturating_sub(awake));
        if alone || !self.shared.call.run(parts, part, invite) {
            run_inline(parts, part);
        }
        drop(seat);
        self.invite();
    }

    /// Wakes members for the call that is open, if any, where CPUs of the budget have come free. A member gives way
    /// when callers overdraw the budget; whoever ends such a call calls this, so that the member is not missed for
    /// the rest of a longer one. [`Team::run`] and [`PassGuard`] do it by themselves.
    pub fn invite(&self) {
        if self.shared.call.unclaimed() > 0 {
            self.shared.wake(|_| self.shared.call.unclaimed());
        }
    }

    /// For a series of short calls, as the layers of a forward pass: while the guard lives, members wait for the
    /// next call awake (5 ms at most after the last one) instead of sleeping after 50 us, and the caller keeps
    /// its seat in the budget. Wakes them now, so that they are there for the first call.
    pub fn pass(&self) -> PassGuard<'_> {
        let seat = self.shared.budget.occupy();
        self.shared.passes.fetch_add(1, Ordering::Relaxed);
        self.shared.note_caller();
        self.shared.wake(|_| self.members.len());
        PassGuard { team: self, seat: Some(seat) }
    }
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Team").field("threads", &self.threads()).field("budget", self.budget()).finish()
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // A forked child: there is nobody to join.
            self.members.drain(..).for_each(std::mem::forget);
            return;
        }
        self.shared.stop.store(true, Ordering::Release);
        self.shared.sleepers.wake(|_| MAX_THREADS);
        for member in self.members.drain(..) {
            // A member catches what its parts throw; it has nothing to say here.
            let _ = member.join();
        }
    }
}

/// Keeps a team awake; see [`Team::pass`].
#[must_use = "the team stays awake until the guard is dropped"]
pub struct PassGuard<'a> {
    team: &'a Team,
    seat: Option<Seat<'a>>,
}

impl Drop for PassGuard<'_> {
    fn drop(&mut self) {
        self.team.shared.passes.fetch_sub(1, Ordering::Relaxed);
        self.seat = None;
        self.team.invite();
    }
}

impl Pinning {
    /// The CPUs of member `index`; `None` to leave it alone.
    fn place(&self, index: usize) -> Option<CpuSet> {
        match self {
            Self::Off => None,
            Self::Within(cpus) => Some(cpus.clone()),
            Self::Each(cpus) => {
                let turn = NonZero::new(cpus.len()).map_or(0, |cpus| index % cpus);
                Some(cpus.iter().skip(turn).take(1).collect())
            }
        }
    }
}

impl Shared {
    /// Wakes sleeping members: how many are wanted, given those awake, but not more than there are free CPUs
    /// (whoever is awake has a seat), and at most [`WAKES`].
    fn wake(&self, wanted: impl FnOnce(usize) -> usize) {
        self.sleepers.wake(|awake| wanted(awake).min(self.budget.free()).min(WAKES));
    }

    /// Remembers where the caller runs.
    fn note_caller(&self) {
        if cfg!(not(loom)) {
            self.caller_cpu.store(current_cpu().unwrap_or(usize::MAX), Ordering::Relaxed);
        }
    }

    /// A member's life.
    fn serve(&self, index: usize) {
        loop {
            self.sleepers
                .sleep(index, || self.stopped() || self.call.unclaimed() > 0 && self.budget.free() > 0);
            if self.stopped() {
                return;
            }
            // Without a free CPU it sleeps again: the call does not need it, and its caller does not wait for it.
            let Some(mut seat) = self.budget.try_occupy() else { continue };
            if cfg!(not(loom)) {
                step_aside(self.caller_cpu.load(Ordering::Relaxed));
            }
            // Those awake may all have parts, so they do not count; and one part is this member's.
            let passing = self.passing();
            self.wake(|_| if passing { MAX_THREADS } else { self.call.unclaimed().saturating_sub(1) });
            self.attend(&mut seat);
        }
    }

    /// Works at calls, and waits awake between them, as long as the seat and the time last.
    fn attend(&self, seat: &mut Seat<'_>) {
        let mut since = None;
        loop {
            let mut stays = true;
            if self.call.work(|| {
                stays = !seat.give_way();
                stays
            }) {
                since = None;
            }
            if !stays || !self.watch(seat, &mut since) {
                return;
            }
        }
    }

    /// Looks for parts until there are some: `true`; or until it is time to sleep: `false`.
    fn watch(&self, seat: &mut Seat<'_>, since: &mut Option<Instant>) -> bool {
        if cfg!(loom) {
            // A clock would make the orders that loom tries endless.
            return self.call.unclaimed() > 0 && !self.stopped();
        }
        let begin = *since.get_or_insert_with(Instant::now);
        loop {
            for _ in 0..LOOKS {
                if self.stopped() {
                    return false;
                }
                if self.call.unclaimed() > 0 {
                    return true;
                }
                std::hint::spin_loop();
            }
            let idle = begin.elapsed();
            if seat.give_way() || idle >= if self.passing() { PASS_SPIN } else { SPIN } {
                return false;
            }
            if idle >= SPIN {
                thread::yield_now();
            }
        }
    }

    fn passing(&self) -> bool {
        self.passes.load(Ordering::Relaxed) > 0
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
